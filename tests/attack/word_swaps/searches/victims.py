"""A substitution and a victim whose scores are known by hand, for tests of searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosearch.attack import (
    Constraint,
    FunctionVictim,
    NoRepeat,
    SearchMethod,
    Substitution,
    Words,
    WordSwapAttack,
    run_attack,
)
from rosearch.attack.engine.engine import Example

# Evidence of each word against class 0; other words have none.
WEIGHTS = {"one": 0.1, "two": 0.15, "ONE": 0.12, "TWO": 0.2, "2": 0.2, "THREE": 0.05}
SWAPS = {"one": ["ONE", "1"], "two": ["TWO", "2"], "three": ["THREE"], "TWO": ["2"]}


class Table(Substitution):
    """The replacements in ``SWAPS``."""

    name = "table"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return SWAPS.get(word, ())


class Recorder:
    """The probability of class 1 is the sum of the weights of the words; records the queries."""

    def __init__(self, **weights: float) -> None:
        self.weights = {**WEIGHTS, **weights}
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        share = np.array([sum(self.weights.get(w, 0.0) for w in Words.of(t).words) for t in texts])
        return np.stack([1 - share, share], axis=1)


def run(
    search: SearchMethod,
    text: str = "one two three",
    constraints: Sequence[Constraint] = (NoRepeat(),),
    victim: Any = None,
    **settings: Any,
) -> tuple[Any, list[str]]:
    """The result of an attack on one text, and all texts that the victim was queried about."""
    victim = victim or Recorder()
    attack = WordSwapAttack(Table(), constraints, search)
    function = FunctionVictim(victim, outputs="probabilities")
    (result,) = run_attack(attack, [Example(0, text, 0)], function, **settings)
    return result, victim.asked


class CharacterEnds(Substitution):
    """A word with one of two letters appended."""

    name = "ends"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [word + "x", word + "y"]
