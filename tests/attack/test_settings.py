"""Settings as JSON, equal in every process."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from rosearch.attack import Constraint, Words, WordSwapAttack
from rosearch.attack.settings import name_of
from rosearch.attack.word_swaps.searches import GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import CharacterEdits


def short(text: str, limit: int = 80) -> bool:
    return len(text) <= limit


class Plain:
    pass


class Holding(Constraint):
    name = "holding"

    def __init__(self, held: Any) -> None:
        self.held = held

    def allows_text(self, original: Words, candidate: Words) -> bool:
        return True


def settings(make: Callable[[], Any]) -> Any:
    """Of an attack with what ``make`` gives; equal for two makes."""
    one, other = (
        WordSwapAttack(CharacterEdits(), [Holding(made)], GreedyWordSwap()).settings
        for made in (make(), make())
    )
    assert json.dumps(one) == json.dumps(other)
    return one["constraints"][0]["held"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: short, f"{__name__}.short"),
        (lambda: lambda text: True, f"{__name__}.<lambda>.<locals>.<lambda>"),
        (lambda: Plain, f"{__name__}.Plain"),
        (lambda: Holding, f"{__name__}.Holding"),
        (Plain, f"<{__name__}.Plain object>"),
        (lambda: [len, str.lower], ["builtins.len", "str.lower"]),
        (lambda: functools.partial(short, limit=3), "functools.partial(<function short>, limit=3)"),
    ],
)
def test_settings_contain_no_memory_addresses(make: Callable[[], Any], expected: Any) -> None:
    kept: list[Any] = []  # keeps the first object's memory address in use

    def made() -> Any:
        kept.append(make())
        return kept[-1]

    assert settings(made) == expected


def test_qualified_names() -> None:
    assert name_of(short) == f"{__name__}.short"
    assert name_of(Plain()) == f"{__name__}.Plain"
    assert name_of(str.lower) == "str.lower"
