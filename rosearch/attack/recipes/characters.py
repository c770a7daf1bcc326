"""Attacks by misspellings, with TextAttack's thresholds as defaults."""

from __future__ import annotations

from collections.abc import Iterable

from rosearch.attack.base import attacks
from rosearch.attack.composed import WordSwapAttack
from rosearch.attack.constraints import MaxEditDistance, NoRepeat, NoStopWords
from rosearch.attack.searches import GreedyWordSwap
from rosearch.attack.substitutions import CharacterEdits


@attacks.register("deepwordbug")
class DeepWordBug(WordSwapAttack):
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
        super().__init__(
            CharacterEdits(),
            [NoRepeat(), NoStopWords(stop_words), MaxEditDistance(max_edit_distance)],
            GreedyWordSwap("unknown"),
        )
