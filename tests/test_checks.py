from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rosearch import checks
from rosearch.errors import ArgumentError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_number_returns_an_int(value: Any) -> None:
    found = checks.whole_number("epochs", value)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize("value", [0, 7, True, 3.0, "3", None, np.bool_(True), [3]])
def test_whole_number_refuses(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^epochs must be a whole number from 1 to 6, got "):
        checks.whole_number("epochs", value, 1, 6)


def test_whole_number_without_bounds() -> None:
    assert checks.whole_number("seed", -5, None) == -5
    with pytest.raises(ArgumentError, match=r"^seed must be a whole number, got 'x'\.$"):
        checks.whole_number("seed", "x", None)
    with pytest.raises(ArgumentError, match="must be a whole number at most 4"):
        checks.whole_number("n", 5, None, 4)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), 1, 0])
def test_share_returns_a_float(value: Any) -> None:
    found = checks.share("dropout", value)
    assert found == value
    assert type(found) is float


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.5", True, None])
def test_share_refuses(value: Any) -> None:
    with pytest.raises(ArgumentError, match="dropout must be a finite number from 0 to 1, got"):
        checks.share("dropout", value)


def test_open_ends() -> None:
    assert checks.number("x", 0, 0) == 0
    with pytest.raises(ArgumentError, match="x must be a finite number above 0, got 0"):
        checks.positive("x", 0)
    with pytest.raises(ArgumentError, match="x must be a finite number from 0, below 1, got 1"):
        checks.number("x", 1, 0, 1, open_maximum=True)
    with pytest.raises(ArgumentError, match=r"x must be a finite number below 1, got 1"):
        checks.number("x", 1, maximum=1, open_maximum=True)
    with pytest.raises(ArgumentError, match=r"^x must be a finite number, got inf\.$"):
        checks.number("x", math.inf)


def test_choice() -> None:
    assert checks.choice("schedule", "linear", ("linear", "cosine")) == "linear"
    with pytest.raises(ArgumentError, match="schedule must be one of 'linear', 'cosine', got 'x'"):
        checks.choice("schedule", "x", ("linear", "cosine"))
    with pytest.raises(ArgumentError, match="got array"):
        checks.choice("schedule", np.array("x"), ("linear", "cosine"))


def test_instance() -> None:
    assert checks.instance("n", 3, int, "an int") == 3
    with pytest.raises(ArgumentError, match=r"^n must be an int, got 'x'\.$"):
        checks.instance("n", "x", int, "an int")


def test_long_values_are_cut() -> None:
    with pytest.raises(ArgumentError) as caught:
        checks.instance("n", "x" * 500, int, "an int")
    assert len(str(caught.value)) < 120


def test_seed_list() -> None:
    assert checks.seed_list("seeds", 3, lambda i: 10 + i) == [10, 11, 12]
    assert checks.seed_list("seeds", np.array([4, 2]), lambda i: i) == [4, 2]
    assert checks.seed_list("seeds", (s for s in (1, 0)), lambda i: i) == [1, 0]


@pytest.mark.parametrize("value", [0, [], [1, 1], True, "12", None])
def test_seed_list_refuses(value: Any) -> None:
    with pytest.raises(ArgumentError, match="seeds must be a number of seeds from 1"):
        checks.seed_list("seeds", value, lambda i: i)


@pytest.mark.parametrize("value", [[-1], [0.5], ["a"]])
def test_seed_list_refuses_a_seed(value: Any) -> None:
    with pytest.raises(ArgumentError, match="each of seeds must be a whole number from 0"):
        checks.seed_list("seeds", value, lambda i: i)
