"""Constraints asked after the victim: the same verdicts and texts, far fewer looks at the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    BeamSearch,
    Constraint,
    Examined,
    FunctionVictim,
    GreedyWordSwap,
    LazyGreedyWordSwap,
    NoRepeat,
    Screened,
    Substitution,
    TextBugger,
    WordSwapAttack,
    WordVectors,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.attack.resources.oracles import Ask, Oracle
from rosearch.errors import DataError
from rosearch.seeding import generator

WORDS = "alpha beta gamma delta epsilon zeta".split()


class Numbered(Substitution):
    """Seven variants of a word."""

    name = "numbered"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [] if word[-1].isdigit() else [f"{word}{i}" for i in range(7)]


class Meaning(Oracle):
    """A number from 0 to 1 for a text, and which texts it was asked about."""

    def __init__(self) -> None:
        super().__init__(cache=False)
        self.asked: list[str] = []

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        self.asked += questions
        return [float(generator(0, "meaning", text).random()) for text in questions]


class MeansTheSame(Constraint):
    name = "means-the-same"
    dear = True

    def __init__(self, meaning: Meaning, least: float, *, measured: bool = True) -> None:
        self.meaning, self.least, self.measured = meaning, least, measured

    def examine(self, change: Any) -> Any:
        values = yield Ask(self.meaning, [text.text for text in change.candidates])
        return Examined([v >= self.least for v in values], values if self.measured else None)


class Even(Constraint):
    """A cheap constraint, which measures something else."""

    name = "even"

    def examine(self, change: Any) -> Any:
        yield from ()
        digits = [
            int(text.text[-1]) if text.text[-1].isdigit() else 0 for text in change.candidates
        ]
        return Examined([d != 3 for d in digits], [float(-d) for d in digits])


def three_classes(texts: Sequence[str]) -> np.ndarray:
    """A victim that most changes hurt a little; what comes second changes, so that a lower score
    of the true class need not go with a wrong answer."""
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
@pytest.mark.parametrize("least", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("extra", [(), (Even(),)])
def test_verdicts_and_texts_are_the_same(
    least: float, measured: bool, extra: tuple[Constraint, ...]
) -> None:
    strict, lazy = Meaning(), Meaning()

    def attack(meaning: Meaning) -> WordSwapAttack:
        constraints = [NoRepeat(), *extra, MeansTheSame(meaning, least, measured=measured)]
        return WordSwapAttack(Numbered(), constraints, GreedyWordSwap("deletion"))

    plain = attacked(attack(strict))
    found = attacked(attack(lazy).lazily())
    assert verdicts(found) == verdicts(plain)
    if least < 0.9:
        assert {r.status for r in plain} == {"succeeded", "failed"}
        assert len(lazy.asked) < 0.6 * len(strict.asked)
        assert set(lazy.asked) <= set(strict.asked)
    assert sum(r.queries for r in found) > sum(r.queries for r in plain)


def test_with_a_budget_constraints_come_first() -> None:
    attack = WordSwapAttack(
        Numbered(), [NoRepeat(), MeansTheSame(Meaning(), 0.5)], GreedyWordSwap("deletion")
    )
    for budget in (3, 9, 20):
        plain = attacked(attack, query_budget=budget)
        found = attacked(attack.lazily(), query_budget=budget)
        assert found == plain


def test_a_recipe_and_its_settings() -> None:
    vectors = WordVectors(WORDS, np.eye(6, dtype=np.float32))
    recipe = TextBugger(vectors=vectors, encoder=lambda texts: np.ones((len(texts), 2)))
    lazy = recipe.lazily()
    assert isinstance(lazy.search_method, LazyGreedyWordSwap)
    assert lazy.search_method.ranking == recipe.search_method.ranking
    assert type(recipe.search_method) is GreedyWordSwap
    assert lazy.settings["search_method"]["name"] == "lazy-greedy-word-swap"
    assert lazy.lazily().settings == lazy.settings


def test_other_searches_cannot_wait() -> None:
    with pytest.raises(DataError, match="'word-swap' searches by BeamSearch"):
        WordSwapAttack(Numbered(), (), BeamSearch(2)).lazily()


def test_a_screened_attack_chooses_among_the_allowed(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    from rosearch.attack import RobustnessEvaluator

    def found(attack: WordSwapAttack) -> list[Any]:
        screened = Screened(attack, keep=2)
        evaluator = RobustnessEvaluator(screened, dataset, examples=20, progress=False)
        return verdicts(evaluator.evaluate(trained_bert, tokenizer).examples)

    constraints = [NoRepeat(), MeansTheSame(Meaning(), 0.5)]
    attack = WordSwapAttack(Numbered(), constraints, GreedyWordSwap("deletion"))
    assert found(attack.lazily()) == found(attack)
