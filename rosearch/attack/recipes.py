"""Published attacks, with TextAttack's thresholds as defaults."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rosearch.attack.base import Attack, Search, SearchContext, attacks
from rosearch.attack.constraints import Constraint, MaxEditDistance, NoRepeat, NoStopWords
from rosearch.attack.greedy import (
    WordSwaps,
    greedy_word_swap,
    rank_by_unknown,
    rank_by_weighted_saliency,
)
from rosearch.attack.substitutions import CharacterEdits, WordNetSynonyms
from rosearch.attack.text import Words


@attacks.register("deepwordbug")
class DeepWordBug(Attack):
    """Typing errors in the words that matter most.

    Gao, Lanchantin, Soffa, Qi: "Black-box Generation of Adversarial Text Sequences to Evade Deep
    Learning Classifiers", arXiv 1801.04354, as TextAttack's recipe of that name builds it: words
    ranked by blotting each out, then the best of four random character edits for each.

    Args:
        max_edit_distance: Largest edit distance from the original, in characters.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
    """

    def __init__(
        self, *, max_edit_distance: int = 30, stop_words: Iterable[str] | None = None
    ) -> None:
        self.substitution = CharacterEdits()
        self.constraints: tuple[Constraint, ...] = (
            NoRepeat(),
            NoStopWords(stop_words),
            MaxEditDistance(max_edit_distance),
        )

    def search(self, text: Words, context: SearchContext) -> Search:
        swaps = WordSwaps(self.substitution, self.constraints).start(text, context)
        return (yield from greedy_word_swap(swaps, rank_by_unknown(swaps), context.score))


@attacks.register("pwws")
class PWWS(Attack):
    """Synonyms for the words that matter most.

    Ren, Deng, He, Che: "Generating Natural Language Adversarial Examples through Probability
    Weighted Word Saliency", ACL 2019, as TextAttack's recipe builds it: WordNet synonyms, without
    the paper's exchange of named entities, which needs the labels of the whole data set.

    Args:
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        wordnet: Folder of WordNet's database. Default: where it is usually found.

    Raises:
        MissingResourceError: WordNet is not on this machine.
    """

    def __init__(
        self,
        *,
        stop_words: Iterable[str] | None = None,
        wordnet: str | os.PathLike[str] | None = None,
    ) -> None:
        self.substitution = WordNetSynonyms(wordnet=wordnet)
        self.constraints: tuple[Constraint, ...] = (NoRepeat(), NoStopWords(stop_words))

    def prepare(self, texts: Sequence[Words]) -> None:
        """Look up the synonyms of every word of ``texts``."""
        self.substitution.prepare({word for text in texts for word in text.words})

    def search(self, text: Words, context: SearchContext) -> Search:
        swaps = WordSwaps(self.substitution, self.constraints).start(text, context)
        ranking = rank_by_weighted_saliency(swaps)
        return (yield from greedy_word_swap(swaps, ranking, context.score))
