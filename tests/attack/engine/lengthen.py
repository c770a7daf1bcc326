"""An attack with predictable queries, and a victim for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rosearch.attack import Attack, FunctionVictim, run_attack
from rosearch.attack.engine.attack_run import Example

EXAMPLES = [Example(7 * k, text, 0) for k, text in enumerate(["one two", "three four five", "six"])]


def by_length(texts: list[str]) -> np.ndarray:
    """Predict class 0 with a probability that falls by 0.01 per character."""
    share = np.array([max(0.0, 1 - len(text) / 100) for text in texts])
    return np.stack([share, 1 - share], axis=1)


def run(attack: Attack, examples: Any = EXAMPLES, victim: Any = by_length, **kw: Any) -> Any:
    if not isinstance(victim, FunctionVictim):
        victim = FunctionVictim(victim, outputs="probabilities")
    return run_attack(attack, examples, victim, **kw)


class Lengthen(Attack):
    """Replaces the first word by longer and longer ones."""

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
