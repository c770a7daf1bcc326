"""The drop of the log-likelihood as a constraint."""

from __future__ import annotations

import pytest

from rosearch.attack.word_swaps.constraints import MaxLikelihoodDrop
from rosearch.errors import ArgumentError
from tests.attack.word_swaps.helpers import allowed


class ByLength:
    """A language model that prefers short texts; records its questions."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> list[float]:
        self.seen += texts
        return [-float(len(text)) for text in texts]


def test_drop_of_the_limit_is_refused() -> None:
    model = ByLength()
    constraint = MaxLikelihoodDrop(model, limit=5, window=3)
    new = ["x" * length for length in (1, 4, 8, 9, 20)]
    found = allowed(constraint, "one two three four five six seven eight", 3, *new)
    assert found == [True, True, True, False, False]
    assert model.seen[:2] == ["three four five", "three x five"]


def test_settings_out_of_range() -> None:
    for wrong in ({"limit": -1}, {"window": 0}):
        with pytest.raises(ArgumentError):
            MaxLikelihoodDrop(ByLength(), **wrong)
