"""Genetic search with a query budget; the recipe's tests cover the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.attack import FunctionVictim, GeneticSearch, NoRepeat, WordSwapAttack, run_attack
from rosearch.attack.engine.engine import Example
from tests.attack.word_swaps.searches.victims import CharacterEnds


def genetic_outcome(budget: int) -> tuple[bool, str]:
    """Whether the victim was queried about a text that it gets wrong, and the verdict."""
    hits: list[str] = []

    def victim(texts: Sequence[str]) -> np.ndarray:
        hits.extend(text for text in texts if "goodx" in text)
        return np.array([[0.1, 0.9] if "goodx" in text else [0.9, 0.1] for text in texts])

    attack = WordSwapAttack(
        CharacterEnds(), [NoRepeat()], GeneticSearch(population=20, generations=3), resegment=False
    )
    function = FunctionVictim(victim, outputs="probabilities")
    example = Example(0, "good film nice plot dull story", 0)
    (result,) = run_attack(attack, [example], function, query_budget=budget)
    return bool(hits), result.status


def test_success_before_the_end_of_the_budget_counts() -> None:
    outcomes = [genetic_outcome(budget) for budget in range(2, 140)]
    assert {(True, "succeeded"), (False, "failed")} == set(outcomes)
    found = [status == "succeeded" for _, status in outcomes]
    assert found == sorted(found)
