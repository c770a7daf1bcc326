"""What recipes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rosearch.attack.word_swaps.constraints import Constraint


def unless_disabled(
    make: Callable[..., Constraint], model: Any, *args: Any, **settings: Any
) -> list[Constraint]:
    """The constraint ``make(model, ...)`` in a list, which is empty if ``model`` is ``False``."""
    return [] if model is False else [make(model, *args, **settings)]
