"""Recipes with replacements from a masked language model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    PartOfSpeech,
    SentenceSimilarity,
)
from rosearch.attack.word_swaps.recipes.shared import unless_disabled
from rosearch.attack.word_swaps.searches import GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import MaskedWords


@attacks.register("bae")
class BAE(WordSwapAttack):
    """The words that a masked language model predicts for a masked word.

    Garg, Ramakrishnan: "BAE: BERT-based Adversarial Examples for Text Classification", EMNLP 2020,
    arXiv 2004.01970, replacement only (BAE-R), like TextAttack's recipe: words are ranked by
    deleting each, and replaced by the most likely words that have the same part of speech and keep
    the surrounding words similar in meaning. The threshold is the paper's 0.8 converted for an
    angle, but is used with a cosine, as in TextAttack.

    Args:
        candidates: Maximum number of replacements of a word.
        min_confidence: Minimum probability of a replacement.
        min_similarity: Minimum cosine of the embeddings of the words around the change. The value
            was tuned for the Universal Sentence Encoder.
        window: Number of words around the change that are compared.
        skip_short: Whether to allow any change of a text of fewer words than ``window``, as
            TextAttack does.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        tagger: Part-of-speech tagger; see
            :class:`~rosearch.attack.word_swaps.constraints.PartOfSpeech`. ``False`` disables the
            constraint.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.

    Raises:
        MissingResourceError: A model or the tagger is not available.
        ArgumentError: A number is out of range.
    """

    def __init__(
        self,
        *,
        candidates: int = 50,
        min_confidence: float = 0.0,
        min_similarity: float = 0.936338023,
        window: int = 15,
        skip_short: bool = True,
        stop_words: Iterable[str] | None = None,
        masked_lm: Any = None,
        tagger: Any = None,
        encoder: Any = None,
    ) -> None:
        windows = {"window": window, "skip_short": skip_short}
        super().__init__(
            MaskedWords(masked_lm, count=candidates, min_confidence=min_confidence),
            [
                NoRepeat(),
                NoStopWords(stop_words),
                *unless_disabled(PartOfSpeech, tagger),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity, **windows),
            ],
            GreedyWordSwap("deletion"),
        )


@attacks.register("bert-attack")
class BertAttack(WordSwapAttack):
    """The words that a masked language model predicts for a word that is not masked.

    Li, Ma, Guo, Xue, Qiu: "BERT-ATTACK: Adversarial Attack Against BERT Using BERT", EMNLP 2020,
    arXiv 2004.09984, like TextAttack's recipe: words are ranked by replacing each with ``[UNK]``,
    and replaced by the most likely tokens in their place, or by combinations of them for words of
    several pieces. The paper uses 48 candidates; TextAttack uses 8, as the number of combinations
    grows exponentially.

    Args:
        candidates: Maximum number of replacements of a word, and of tokens at each of its pieces.
        max_changed: Maximum number of perturbed words as a share of all.
        min_similarity: Minimum cosine of the embeddings of the whole texts. The value was tuned for
            the Universal Sentence Encoder.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.

    Raises:
        MissingResourceError: A model is not available.
        ArgumentError: A number is out of range.
    """

    def __init__(
        self,
        *,
        candidates: int = 8,
        max_changed: float = 0.4,
        min_similarity: float = 0.2,
        stop_words: Iterable[str] | None = None,
        masked_lm: Any = None,
        encoder: Any = None,
    ) -> None:
        super().__init__(
            MaskedWords(masked_lm, method="bert-attack", count=candidates),
            [
                NoRepeat(),
                NoStopWords(stop_words),
                MaxWordsChanged(share=max_changed),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity),
            ],
            GreedyWordSwap("unknown"),
        )
