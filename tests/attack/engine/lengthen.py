"""An attack whose every query is known beforehand, and a victim for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rosearch.attack import Attack, Example, FunctionVictim, run_attack

EXAMPLES = [Example(7 * k, text, 0) for k, text in enumerate(["one two", "three four five", "six"])]


def by_length(texts: list[str]) -> np.ndarray:
    """Class 0 with a probability that falls by a hundredth with each character."""
    share = np.array([max(0.0, 1 - len(text) / 100) for text in texts])
    return np.stack([share, 1 - share], axis=1)


def run(attack: Attack, examples: Any = EXAMPLES, victim: Any = by_length, **kw: Any) -> Any:
    if not isinstance(victim, FunctionVictim):
        victim = FunctionVictim(victim, outputs="probabilities")
    return run_attack(attack, examples, victim, **kw)


class Lengthen(Attack):
    """Makes the first word longer and longer."""

    def __init__(self, steps: tuple[int, ...] = (10, 40, 70)) -> None:
        self.steps = steps

    def search(self, text, context):
        best = text
        for length in self.steps:
            best = text.replace(0, "x" * length)
            answer = yield [best, text.replace(0, "y" * length)]
            if answer.succeeded[0]:
                break
        return best
