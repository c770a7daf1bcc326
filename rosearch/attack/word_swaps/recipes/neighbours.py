"""Attacks by words with near vectors, with TextAttack's thresholds as defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    TEXTFOOLER_STOP_WORDS,
    Constraint,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    PartOfSpeech,
    SentenceSimilarity,
    WordCosine,
)
from rosearch.attack.word_swaps.constraints.likelihood import MaxLikelihoodDrop
from rosearch.attack.word_swaps.searches import GeneticSearch, GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import NearestNeighbours


@attacks.register("textfooler")
class TextFooler(WordSwapAttack):
    """Near words of the same kind for the words that matter most.

    Jin, Jin, Zhou, Szolovits: "Is BERT Really Robust? A Strong Baseline for Natural Language Attack
    on Text Classification and Entailment", AAAI 2020, arXiv 1907.11932, as TextAttack's recipe
    builds it: words ranked by deleting each, replaced by near words of the same part of speech
    in texts that stay alike in meaning; of several replacements that fool the victim, the one
    that keeps the meaning best. The paper says 0.7 for the word cosine, its code has 0.5.
    Similarity is measured around each change against the text before it, so small drifts add up.

    Args:
        neighbours: How many of the nearest words are proposed.
        min_word_cosine: Smallest cosine between the vectors of a word and its replacement.
        min_similarity: Smallest angular similarity of the two texts. The value was chosen for the
            Universal Sentence Encoder; with another encoder it lets other texts pass.
        window: Words around the change that are compared.
        skip_short: Let texts of fewer words than ``window`` pass uncompared, as TextAttack does. It
            switches the check off for short sentences.
        stop_words: Words left alone, compared with case. Default: the list of the paper's code.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        tagger: Tagger; see :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`.
            ``False`` leaves parts of speech out.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` leaves
            the similarity out.

    Raises:
        MissingResourceError: Vectors, tagger or encoder are not on this machine.
        DataError: A number is out of range.
    """

    def __init__(
        self,
        *,
        neighbours: int = 50,
        min_word_cosine: float = 0.5,
        min_similarity: float = 0.840845057,
        window: int = 15,
        skip_short: bool = True,
        stop_words: Iterable[str] | None = None,
        vectors: Any = None,
        tagger: Any = None,
        encoder: Any = None,
    ) -> None:
        table = find_vectors(vectors)
        constraints: list[Constraint] = [
            NoRepeat(),
            NoStopWords(TEXTFOOLER_STOP_WORDS if stop_words is None else stop_words),
            WordCosine(min_word_cosine, vectors=table),
        ]
        if tagger is not False:
            constraints.append(PartOfSpeech(tagger))
        if encoder is not False:
            constraints.append(
                SentenceSimilarity(
                    encoder,
                    min_similarity,
                    metric="angular",
                    window=window,
                    skip_short=skip_short,
                    against="previous",
                )
            )
        super().__init__(
            NearestNeighbours(neighbours, vectors=table), constraints, GreedyWordSwap("deletion")
        )


@attacks.register("textfooler-adjusted")
class TextFoolerAdjusted(WordSwapAttack):
    """TextFooler with thresholds at which people find the meaning kept.

    Morris, Lifland, Lanchantin, Ji, Qi: "Reevaluating Adversarial Examples in Natural Language",
    Findings of EMNLP 2020, arXiv 2004.14174, after the recipe in the authors' repository
    (TextAttack 0.3.11 has none): words ranked by blotting each out, much nearer words, and a much
    higher similarity of the texts. Their check that no new grammatical errors arise runs
    LanguageTool, which needs Java and a download; it is left out unless ``grammar`` is given.

    Args:
        neighbours: How many of the nearest words are proposed.
        min_word_cosine: Smallest cosine between the vectors of a word and its replacement.
        min_similarity: Smallest cosine of the embeddings of the two texts. The value was chosen
            for a BERT fine-tuned on natural-language inference.
        window: Words around the change that are compared.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        tagger: Tagger; see :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`. ``None``
            is the first that is here. Default: ``False``, no parts of speech, as in the authors'
            recipe.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` leaves
            the similarity out.
        grammar: A constraint of yours that refuses new grammatical errors.

    Raises:
        MissingResourceError: Vectors, tagger or encoder are not on this machine.
        DataError: A number is out of range.
    """

    def __init__(
        self,
        *,
        neighbours: int = 50,
        min_word_cosine: float = 0.9,
        min_similarity: float = 0.98,
        window: int = 15,
        stop_words: Iterable[str] | None = None,
        vectors: Any = None,
        tagger: Any = False,
        encoder: Any = None,
        grammar: Constraint | None = None,
    ) -> None:
        table = find_vectors(vectors)
        constraints: list[Constraint] = [
            NoRepeat(),
            NoStopWords(stop_words),
            WordCosine(min_word_cosine, vectors=table),
        ]
        if tagger is not False:
            constraints.append(PartOfSpeech(tagger))
        if encoder is not False:
            constraints.append(
                SentenceSimilarity(encoder, min_similarity, window=window, against="previous")
            )
        if grammar is not None:
            constraints.append(grammar)
        super().__init__(
            NearestNeighbours(neighbours, vectors=table), constraints, GreedyWordSwap("unknown")
        )


@attacks.register("genetic")
class Genetic(WordSwapAttack):
    """A genetic search over near words.

    Alzantot, Sharma, Elgohary, Ho, Srivastava, Chang: "Generating Natural Language Adversarial
    Examples", EMNLP 2018, in the faster form of Jia, Raghunathan, Göksel, Liang: "Certified
    Robustness to Adversarial Word Substitutions", EMNLP 2019, arXiv 1909.00986, as TextAttack's
    recipe builds it. Its language model is a download of TextAttack's; here any causal language
    model takes its place, and without one the check is left out, so that more replacements pass.

    Args:
        neighbours: How many of the nearest words are proposed.
        max_word_distance: Largest squared Euclidean distance between the vectors of a word and its
            replacement, for vectors of unit length.
        max_changed: Most words changed, as a share of all, rounded up.
        population: Texts in a generation.
        generations: Most generations.
        max_likelihood_drop: By how much the log-likelihood of the words around a change may fall,
            in nats.
        window: How many words around the change the language model reads.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        language_model: See
            :class:`~rosearch.attack.word_swaps.constraints.likelihood.LanguageModel`. Default:
            none.

    Raises:
        MissingResourceError: Vectors or the language model are not on this machine.
        DataError: A number is out of range.
    """

    def __init__(
        self,
        *,
        neighbours: int = 8,
        max_word_distance: float = 0.5,
        max_changed: float = 0.2,
        population: int = 60,
        generations: int = 40,
        max_likelihood_drop: float = 5.0,
        window: int = 6,
        stop_words: Iterable[str] | None = None,
        vectors: Any = None,
        language_model: Any = None,
    ) -> None:
        table = find_vectors(vectors)
        constraints: list[Constraint] = [
            NoRepeat(),
            NoStopWords(stop_words),
            MaxWordsChanged(share=max_changed),
            WordCosine(max_distance=max_word_distance, vectors=table),
        ]
        if language_model is not None and language_model is not False:
            constraints.append(
                MaxLikelihoodDrop(language_model, limit=max_likelihood_drop, window=window)
            )
        super().__init__(
            NearestNeighbours(neighbours, vectors=table),
            constraints,
            GeneticSearch(population=population, generations=generations),
            # Crossing two texts needs words that keep their places.
            resegment=False,
        )
