"""Recipes with replacements from WordNet or the nearest words by word vectors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    Constraint,
    MaxChangedShare,
    MaxLikelihoodDrop,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    PartOfSpeech,
    SentenceSimilarity,
    WordCosine,
)
from rosearch.attack.word_swaps.recipes.shared import unless_disabled
from rosearch.attack.word_swaps.searches import GeneticSearch, GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import (
    MaskedWords,
    NearestNeighbours,
    Substitution,
    WordNetSynonyms,
)
from rosearch.stop_words import TEXTFOOLER_STOP_WORDS


@attacks.register("pwws")
class PWWS(WordSwapAttack):
    """WordNet synonyms for the most important words.

    Ren, Deng, He, Che: "Generating Natural Language Adversarial Examples through Probability
    Weighted Word Saliency", ACL 2019, like TextAttack's recipe, which leaves out the paper's
    exchange of named entities, since it needs the labels of the whole data set.

    Args:
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        wordnet: Folder of WordNet's database; see
            :func:`rosearch.attack.resources.find_wordnet`.
        case_only: Whether a word may be replaced by itself in another case; see
            :class:`~rosearch.attack.word_swaps.substitutions.WordNetSynonyms`.

    Raises:
        MissingResourceError: WordNet is not available.
    """

    def __init__(
        self,
        *,
        stop_words: Iterable[str] | None = None,
        wordnet: str | os.PathLike[str] | None = None,
        case_only: bool = True,
    ) -> None:
        super().__init__(
            WordNetSynonyms(wordnet=wordnet, case_only=case_only),
            [NoRepeat(), NoStopWords(stop_words)],
            GreedyWordSwap("weighted-saliency"),
        )


@attacks.register("textfooler")
class TextFooler(WordSwapAttack):
    """Nearest words of the same part of speech for the most important words.

    Jin, Jin, Zhou, Szolovits: "Is BERT Really Robust? A Strong Baseline for Natural Language Attack
    on Text Classification and Entailment", AAAI 2020, arXiv 1907.11932, like TextAttack's recipe:
    words are ranked by deleting each, and replaced by nearest words that have the same part of
    speech and keep the text similar in meaning; of several replacements that change the victim's
    prediction, the most similar in meaning is taken. The word cosine is 0.7 in the paper and 0.5 in
    its code. Similarity is measured around each change against the text before it, so small
    drifts add up.

    Args:
        neighbours: Number of nearest words.
        min_word_cosine: Minimum cosine of the vectors of a word and its replacement.
        min_similarity: Minimum angular similarity of the two texts. The value was tuned for the
            Universal Sentence Encoder.
        window: Number of words around the change that are compared.
        skip_short: Whether to allow any change of a text of fewer words than ``window``, as
            TextAttack does.
        stop_words: Words that are not replaced, case-sensitive. Default: the list of the paper's
            code.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        tagger: Part-of-speech tagger; see
            :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`. ``False`` disables the
            constraint.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.

    Raises:
        MissingResourceError: Vectors, tagger or encoder are not available.
        ArgumentError: A number is out of range.
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
        windows = {"window": window, "skip_short": skip_short, "against": "previous"}
        settings = {"metric": "angular", **windows}
        super().__init__(
            NearestNeighbours(neighbours, vectors=table),
            [
                NoRepeat(),
                NoStopWords(TEXTFOOLER_STOP_WORDS if stop_words is None else stop_words),
                WordCosine(min_word_cosine, vectors=table),
                *unless_disabled(PartOfSpeech, tagger),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity, **settings),
            ],
            GreedyWordSwap("deletion"),
        )


@attacks.register("textfooler-adjusted")
class TextFoolerAdjusted(WordSwapAttack):
    """TextFooler with thresholds at which human raters find the meaning preserved.

    Morris, Lifland, Lanchantin, Ji, Qi: "Reevaluating Adversarial Examples in Natural Language",
    Findings of EMNLP 2020, arXiv 2004.14174, like the recipe in the authors' repository (TextAttack
    0.3.11 has none): words are ranked by replacing each with ``[UNK]``, and both the words and the
    texts must be much more similar. The authors' check for new grammatical errors runs
    LanguageTool, which needs Java and a download; it is left out unless ``grammar`` is given.

    Args:
        neighbours: Number of nearest words.
        min_word_cosine: Minimum cosine of the vectors of a word and its replacement.
        min_similarity: Minimum cosine of the embeddings of the two texts. The value was tuned for a
            BERT fine-tuned on natural language inference.
        window: Number of words around the change that are compared.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        tagger: Part-of-speech tagger; see
            :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`. Default: ``False``, no
            constraint, as in the authors' recipe; ``None`` takes the first available tagger.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.
        grammar: A constraint that refuses new grammatical errors.

    Raises:
        MissingResourceError: Vectors, tagger or encoder are not available.
        ArgumentError: A number is out of range.
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
        settings = {"window": window, "against": "previous"}
        super().__init__(
            NearestNeighbours(neighbours, vectors=table),
            [
                NoRepeat(),
                NoStopWords(stop_words),
                WordCosine(min_word_cosine, vectors=table),
                *unless_disabled(PartOfSpeech, tagger),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity, **settings),
                *([] if grammar is None else [grammar]),
            ],
            GreedyWordSwap("unknown"),
        )


@attacks.register("genetic")
class Genetic(WordSwapAttack):
    """A genetic search over nearest words.

    Alzantot, Sharma, Elgohary, Ho, Srivastava, Chang: "Generating Natural Language Adversarial
    Examples", EMNLP 2018, in the faster form of Jia, Raghunathan, Göksel, Liang: "Certified
    Robustness to Adversarial Word Substitutions", EMNLP 2019, arXiv 1909.00986, like TextAttack's
    recipe. Any causal language model takes the place of the one that TextAttack downloads; without
    one its check is left out, so that more replacements are allowed.

    Args:
        neighbours: Number of nearest words.
        max_word_distance: Maximum squared Euclidean distance of the vectors of a word and its
            replacement, for vectors of unit length.
        max_changed: Maximum number of perturbed words as a share of all, rounded up.
        population: Number of texts in a generation.
        generations: Maximum number of generations.
        max_likelihood_drop: Smallest refused drop of the log-likelihood of the words around a
            change, in nats.
        window: Number of words around the change that the language model reads.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        language_model: See :class:`~rosearch.attack.resources.language_models.LanguageModel`.
            Default: no constraint.

    Raises:
        MissingResourceError: Vectors or the language model are not available.
        ArgumentError: A number is out of range.
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
        model = False if language_model is None else language_model
        limits = {"limit": max_likelihood_drop, "window": window}
        super().__init__(
            NearestNeighbours(neighbours, vectors=table),
            [
                NoRepeat(),
                NoStopWords(stop_words),
                MaxWordsChanged(share=max_changed),
                WordCosine(max_distance=max_word_distance, vectors=table),
                *unless_disabled(MaxLikelihoodDrop, model, **limits),
            ],
            GeneticSearch(population=population, generations=generations),
            # Crossover needs words that keep their index.
            resegment=False,
        )


@attacks.register("a2t")
class A2T(WordSwapAttack):
    """Nearest words where the loss is steepest: a fast attack for adversarial training.

    Yoo, Qi: "Towards Improving Adversarial Training of NLP Models", Findings of EMNLP 2021, arXiv
    2109.00544, like TextAttack's recipe: words are ranked by the gradient of the loss at their
    embeddings, and replaced by nearest words that have the same part of speech and keep the text
    similar in meaning; few words are replaced. It needs the victim's gradients. TextAttack computes
    them with dropout, so that its order of words is random; here dropout is off.

    Args:
        candidates: Maximum number of replacements of a word.
        min_word_cosine: Minimum cosine of the vectors of a word and its replacement.
        max_changed: Maximum number of perturbed words as a share of all.
        changed_at_least: Number of words that may be perturbed however small that share is.
        min_similarity: Minimum cosine of the embeddings of the whole texts. The value was tuned for
            the encoder ``stsb-distilbert-base``.
        mlm: Whether to take replacements from a masked language model (A2T-MLM) instead of word
            vectors.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        tagger: Part-of-speech tagger; see
            :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`. ``False`` disables the
            constraint.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.

    Raises:
        MissingResourceError: Vectors, a model or the tagger are not available.
        ArgumentError: A number is out of range.
    """

    def __init__(
        self,
        *,
        candidates: int = 20,
        min_word_cosine: float = 0.8,
        max_changed: float = 0.1,
        changed_at_least: int = 4,
        min_similarity: float = 0.9,
        mlm: bool = False,
        stop_words: Iterable[str] | None = None,
        vectors: Any = None,
        masked_lm: Any = None,
        tagger: Any = None,
        encoder: Any = None,
    ) -> None:
        substitution: Substitution
        near: list[Constraint] = []
        if mlm:
            substitution = MaskedWords(masked_lm, count=candidates, min_confidence=0.0)
        else:
            table = find_vectors(vectors)
            substitution = NearestNeighbours(candidates, vectors=table)
            near = [WordCosine(min_word_cosine, vectors=table)]
        super().__init__(
            substitution,
            # The cheapest first; their order does not change what passes all of them.
            [
                NoRepeat(),
                NoStopWords(stop_words),
                MaxChangedShare(max_changed, at_least=changed_at_least),
                *near,
                *unless_disabled(PartOfSpeech, tagger, allow_verb_noun_swap=False),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity),
            ],
            GreedyWordSwap("gradient"),
        )
