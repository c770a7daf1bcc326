"""Attacks that look into the victim, with TextAttack's thresholds as defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    Constraint,
    MaxChangedShare,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.word_swaps.constraints.sentence import SentenceSimilarity
from rosearch.attack.word_swaps.constraints.tagging import PartOfSpeech
from rosearch.attack.word_swaps.constraints.vectors import WordCosine
from rosearch.attack.word_swaps.searches import GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.attack.word_swaps.substitutions.masked import MaskedWords
from rosearch.attack.word_swaps.substitutions.vectors import NearestNeighbours


@attacks.register("a2t")
class A2T(WordSwapAttack):
    """Near words where the loss is steepest: a fast attack, made for adversarial training.

    Yoo, Qi: "Towards Improving Adversarial Training of NLP Models", Findings of EMNLP 2021, arXiv
    2109.00544, as TextAttack's recipe builds it: words ranked by the gradient of the loss at
    their embeddings, replaced by near words of the same part of speech, few of them, in texts that
    stay alike in meaning. It needs the victim's gradients. TextAttack computes them with dropout
    switched on, so that its order of words changes from call to call; here dropout is off.

    Args:
        candidates: Most replacements of a word.
        min_word_cosine: Smallest cosine between the vectors of a word and its replacement.
        max_changed: Most words changed, as a share of all.
        changed_at_least: Words that may be changed however small that share is.
        min_similarity: Smallest cosine of the embeddings of the whole texts. The value was chosen
            for the encoder ``stsb-distilbert-base``.
        mlm: Take replacements from a masked language model (A2T-MLM) instead of word vectors.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        tagger: Tagger; see :class:`~rosearch.attack.word_swaps.constraints.tagging.PartOfSpeech`.
            ``False`` leaves parts of speech out.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.sentence.SentenceSimilarity`. ``False``
            leaves the similarity out.

    Raises:
        MissingResourceError: Vectors, a model or the tagger are not on this machine.
        DataError: A number is out of range.
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
        constraints: list[Constraint] = [
            NoRepeat(),
            NoStopWords(stop_words),
            MaxChangedShare(max_changed, at_least=changed_at_least),
        ]
        # The cheapest first; their order does not change what passes all of them.
        if mlm:
            substitution = MaskedWords(masked_lm, count=candidates, min_confidence=0.0)
        else:
            table = find_vectors(vectors)
            substitution = NearestNeighbours(candidates, vectors=table)
            constraints.append(WordCosine(min_word_cosine, vectors=table))
        if tagger is not False:
            constraints.append(PartOfSpeech(tagger, allow_verb_noun_swap=False))
        if encoder is not False:
            constraints.append(SentenceSimilarity(encoder, min_similarity))
        super().__init__(substitution, constraints, GreedyWordSwap("gradient"))
