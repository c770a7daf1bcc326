"""Attacks by what a masked language model puts in, with TextAttack's thresholds as defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    Constraint,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.word_swaps.constraints.sentence import SentenceSimilarity
from rosearch.attack.word_swaps.constraints.tagging import PartOfSpeech
from rosearch.attack.word_swaps.searches import GreedyWordSwap
from rosearch.attack.word_swaps.substitutions.masked import MaskedWords


@attacks.register("bae")
class BAE(WordSwapAttack):
    """Words that fit into the masked place.

    Garg, Ramakrishnan: "BAE: BERT-based Adversarial Examples for Text Classification", EMNLP 2020,
    arXiv 2004.01970, replacement of words only (BAE-R), as TextAttack's recipe builds it: words
    ranked by deleting each, replaced by the likeliest words of a masked language model that are of
    the same part of speech and keep the words around alike in meaning. The threshold is the paper's
    0.8 converted for an angle, and used with a cosine, as in TextAttack.

    Args:
        candidates: Most replacements of a word.
        min_confidence: Least probability of a replacement.
        min_similarity: Smallest cosine of the embeddings of the words around. The value was chosen
            for the Universal Sentence Encoder.
        window: Words around the change that are compared.
        skip_short: Let texts of fewer words than ``window`` pass uncompared, as TextAttack does.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        tagger: Tagger; see :class:`~rosearch.attack.word_swaps.constraints.tagging.PartOfSpeech`.
            ``False`` leaves parts of speech out.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.sentence.SentenceSimilarity`. ``False``
            leaves the similarity out.

    Raises:
        MissingResourceError: A model or the tagger is not on this machine.
        DataError: A number is out of range.
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
        constraints: list[Constraint] = [NoRepeat(), NoStopWords(stop_words)]
        if tagger is not False:
            constraints.append(PartOfSpeech(tagger, allow_verb_noun_swap=True))
        if encoder is not False:
            constraints.append(
                SentenceSimilarity(encoder, min_similarity, window=window, skip_short=skip_short)
            )
        super().__init__(
            MaskedWords(masked_lm, count=candidates, min_confidence=min_confidence),
            constraints,
            GreedyWordSwap("deletion"),
        )


@attacks.register("bert-attack")
class BertAttack(WordSwapAttack):
    """Words that a masked language model would rather read, nothing masked.

    Li, Ma, Guo, Xue, Qiu: "BERT-ATTACK: Adversarial Attack Against BERT Using BERT", EMNLP 2020,
    arXiv 2004.09984, as TextAttack's recipe builds it: words ranked by blotting each out, replaced
    by the likeliest tokens at their place, or combinations of them for words of several pieces.
    The paper takes 48 candidates; TextAttack takes 8, because combinations grow as their power.

    Args:
        candidates: Most replacements of a word, and most tokens at each of its pieces.
        max_changed: Most words changed, as a share of all.
        min_similarity: Smallest cosine of the embeddings of the whole texts. The value was chosen
            for the Universal Sentence Encoder.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        masked_lm: Masked language model; see
            :class:`~rosearch.attack.resources.masked_lm.MaskedLM`.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.sentence.SentenceSimilarity`. ``False``
            leaves the similarity out.

    Raises:
        MissingResourceError: A model is not on this machine.
        DataError: A number is out of range.
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
        constraints: list[Constraint] = [
            NoRepeat(),
            NoStopWords(stop_words),
            MaxWordsChanged(share=max_changed),
        ]
        if encoder is not False:
            constraints.append(SentenceSimilarity(encoder, min_similarity))
        super().__init__(
            MaskedWords(masked_lm, method="bert-attack", count=candidates),
            constraints,
            GreedyWordSwap("unknown"),
        )
