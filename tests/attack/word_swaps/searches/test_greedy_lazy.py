"""Lazy greedy search: same verdicts and texts, far fewer checks of expensive constraints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    Constraint,
    Examined,
    FunctionVictim,
    GreedyWordSwap,
    NoRepeat,
    RobustnessEvaluator,
    Screened,
    Substitution,
    WordSwapAttack,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.attack.resources.oracles import Ask, Oracle
from rosearch.seeding import generator

WORDS = "alpha beta gamma delta epsilon zeta".split()


class Numbered(Substitution):
    """Seven variants of a word."""

    name = "numbered"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [] if word[-1].isdigit() else [f"{word}{i}" for i in range(7)]


class Meaning(Oracle):
    """A random number from 0 to 1 for each text; records the questions."""

    def __init__(self) -> None:
        super().__init__(cache=False)
        self.asked: list[str] = []

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        self.asked += questions
        return [float(generator(0, "meaning", text).random()) for text in questions]


class MeansTheSame(Constraint):
    name = "means-the-same"
    expensive = True

    def __init__(self, meaning: Meaning, minimum: float, *, measured: bool = True) -> None:
        self.meaning, self.minimum, self.measured = meaning, minimum, measured

    def examine(self, change: Any) -> Any:
        values = yield Ask(self.meaning, [text.text for text in change.candidates])
        return Examined([v >= self.minimum for v in values], values if self.measured else None)


class Even(Constraint):
    """A cheap constraint that measures another similarity."""

    name = "even"

    def examine(self, change: Any) -> Any:
        yield from ()
        digits = [
            int(text.text[-1]) if text.text[-1].isdigit() else 0 for text in change.candidates
        ]
        return Examined([d != 3 for d in digits], [float(-d) for d in digits])


def three_classes(texts: Sequence[str]) -> np.ndarray:
    """A victim with three classes whose runner-up changes with the text, so that a lower
    probability of the true class does not always mean a wrong prediction."""
    rows = []
    for text in texts:
        rng = generator(0, "victim", text)
        changed = sum(word[-1].isdigit() for word in text.split())
        logits = rng.normal(0, 0.6, 3)
        logits[0] += 2.3 - 0.2 * changed
        rows.append(np.exp(logits) / np.exp(logits).sum())
    return np.array(rows, np.float32)


EXAMPLES = [
    Example(i, " ".join(generator(1, "text", i).choice(WORDS, 6, replace=False)), 0)
    for i in range(30)
]


def attacked(attack: Any, **settings: Any) -> list[Any]:
    return run_attack(
        attack, EXAMPLES, FunctionVictim(three_classes, outputs="probabilities"), **settings
    )


def verdicts(results: Sequence[Any]) -> list[Any]:
    return [(r.status, r.perturbed, r.perturbed_predicted) for r in results]


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("minimum", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("extra", [(), (Even(),)])
def test_verdicts_and_texts_are_the_same(
    minimum: float, measured: bool, extra: tuple[Constraint, ...]
) -> None:
    strict, lazy = Meaning(), Meaning()

    def attack(meaning: Meaning) -> WordSwapAttack:
        constraints = [NoRepeat(), *extra, MeansTheSame(meaning, minimum, measured=measured)]
        return WordSwapAttack(Numbered(), constraints, GreedyWordSwap("deletion"))

    plain = attacked(attack(strict))
    found = attacked(attack(lazy).lazily())
    assert verdicts(found) == verdicts(plain)
    if minimum < 0.9:
        assert {r.status for r in plain} == {"succeeded", "failed"}
        assert len(lazy.asked) < 0.6 * len(strict.asked)
        assert set(lazy.asked) <= set(strict.asked)
    assert sum(r.queries for r in found) > sum(r.queries for r in plain)


def test_with_a_budget_constraints_are_checked_before_queries() -> None:
    attack = WordSwapAttack(
        Numbered(), [NoRepeat(), MeansTheSame(Meaning(), 0.5)], GreedyWordSwap("deletion")
    )
    for budget in (3, 9, 20):
        plain = attacked(attack, query_budget=budget)
        found = attacked(attack.lazily(), query_budget=budget)
        assert found == plain


def test_screening_selects_among_allowed_candidates(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    def found(attack: WordSwapAttack) -> list[Any]:
        screened = Screened(attack, keep=2)
        evaluator = RobustnessEvaluator(screened, dataset, examples=20, progress=False)
        return verdicts(evaluator.evaluate(trained_bert, tokenizer).examples)

    constraints = [NoRepeat(), MeansTheSame(Meaning(), 0.5)]
    attack = WordSwapAttack(Numbered(), constraints, GreedyWordSwap("deletion"))
    assert found(attack.lazily()) == found(attack)
