"""Rankings of words."""

from __future__ import annotations

import pytest

from rosearch.attack import GreedyWordSwap
from rosearch.attack.word_swaps.searches.rankings import RANKINGS
from rosearch.errors import ArgumentError
from tests.attack.word_swaps.searches.victims import run


@pytest.mark.parametrize(
    ("ranking", "first_asked"),
    [
        ("unknown", ["[UNK] two three", "one [UNK] three", "one two [UNK]"]),
        ("deletion", ["two three", "one three", "one two "]),
    ],
)
def test_unknown_and_deletion(ranking: str, first_asked: list[str]) -> None:
    result, asked = run(GreedyWordSwap(ranking))
    assert asked[1:4] == first_asked
    # Without "three" the score stays highest, then "one", then "two".
    assert next(text for text in asked[4:] if "THREE" in text) == "one two THREE"
    assert result.perturbed == "ONE 2 THREE"
    assert result.queries == 1 + 3 + 1 + 2 + 2


def test_weighted_saliency_queries_all_replacements_first() -> None:
    result, asked = run(GreedyWordSwap("weighted-saliency"))
    assert asked[4:9] == [
        "1 two three",
        "ONE two three",
        "one 2 three",
        "one TWO three",
        "one two THREE",
    ]
    assert result.perturbed == "ONE 2 THREE"
    assert result.queries == 1 + 3 + 5 + 5


def test_many_replacements_are_queried_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(GreedyWordSwap("weighted-saliency"))
    for size in (1, 4, 5, 6):
        monkeypatch.setattr("rosearch.attack.word_swaps.searches.rankings._AT_ONCE", size)
        assert run(GreedyWordSwap("weighted-saliency")) == whole


@pytest.mark.parametrize("budget", range(1, 15))
def test_several_batches_with_a_budget(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    search = GreedyWordSwap("weighted-saliency")
    whole = run(search, query_budget=budget)[0]
    monkeypatch.setattr("rosearch.attack.word_swaps.searches.rankings._AT_ONCE", 4)
    assert run(search, query_budget=budget)[0] == whole
    assert whole.queries <= budget


def test_random_order_depends_on_the_seed() -> None:
    orders = [run(GreedyWordSwap("random"), seed=seed)[1] for seed in range(8)]
    assert run(GreedyWordSwap("random"), seed=3)[1] == orders[3]
    assert len({tuple(order) for order in orders}) > 2


def test_text_without_replacements() -> None:
    for ranking in set(RANKINGS) - {"gradient"}:
        result, _ = run(GreedyWordSwap(ranking), "none of these")
        assert (result.status, result.perturbed) == ("failed", "none of these")


def test_unknown_ranking_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"ranking must be one of .*'deletion'.*, got 'best'"):
        GreedyWordSwap("best")
