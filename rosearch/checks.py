"""Checks of arguments. Each returns the value in a plain type, or says what was expected."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable
from operator import index
from typing import Any, SupportsFloat, SupportsIndex, TypeVar

from rosearch.errors import ArgumentError

T = TypeVar("T")


def refused(name: str, expected: str, value: object) -> ArgumentError:
    """The error for an argument, to be raised: "epochs must be ..., got ...".

    Args:
        name: The argument's name as the caller wrote it.
        expected: What it must be, after "must be".
        value: What it was; shown by its ``repr``, at most 80 characters of it.
    """
    return ArgumentError(f"{name} must be {expected}, got {value!r:.80}.")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: " Did you mean 'merge'?".

    Args:
        name: The unknown name.
        known: The names that there are.

    Returns:
        The text with a space before it; empty if no known name is like it.
    """
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def whole_number(name: str, value: Any, minimum: int | None = 1, maximum: int | None = None) -> int:
    """``value`` as an ``int``; NumPy's integers are accepted, booleans are not.

    Args:
        name: The argument's name, for the message.
        value: The argument.
        minimum: Smallest value allowed; ``None`` allows any.
        maximum: Largest value allowed; ``None`` allows any.

    Raises:
        ArgumentError: The value is not an integer, or outside the range.
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        number = index(value)
        if (minimum is None or number >= minimum) and (maximum is None or number <= maximum):
            return number
    raise refused(name, f"a whole number{_range(minimum, maximum)}", value)


def number(
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> float:
    """``value`` as a finite ``float``.

    Args:
        name: The argument's name, for the message.
        value: The argument.
        minimum: Lower end of the range.
        maximum: Upper end of the range.
        open_minimum: Whether ``minimum`` itself is refused.
        open_maximum: Whether ``maximum`` itself is refused.

    Raises:
        ArgumentError: The value is not a finite number, or outside the range.
    """
    if isinstance(value, SupportsFloat) and not isinstance(value, bool):
        found = float(value)
        low = found > minimum if open_minimum else found >= minimum
        high = found < maximum if open_maximum else found <= maximum
        if math.isfinite(found) and low and high:
            return found
    low_end = None if minimum == -math.inf else minimum
    high_end = None if maximum == math.inf else maximum
    bounds = _range(low_end, high_end, open_minimum=open_minimum, open_maximum=open_maximum)
    raise refused(name, f"a finite number{bounds}", value)


def share(name: str, value: Any) -> float:
    """``value`` as a ``float`` from 0 to 1.

    Raises:
        ArgumentError: The value is not a number from 0 to 1.
    """
    return number(name, value, 0.0, 1.0)


def positive(name: str, value: Any) -> float:
    """``value`` as a finite ``float`` above 0.

    Raises:
        ArgumentError: The value is not a finite number above 0.
    """
    return number(name, value, 0.0, open_minimum=True)


def choice(name: str, value: T, choices: Collection[T]) -> T:
    """``value``, which must be one of ``choices``.

    Raises:
        ArgumentError: The value is none of them.
    """
    if not any(value is known or value == known for known in choices):
        raise refused(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def instance(name: str, value: Any, kind: type[T], expected: str) -> T:
    """``value``, which must be an instance of ``kind``.

    Args:
        name: The argument's name, for the message.
        value: The argument.
        kind: Its class.
        expected: What it must be, in words, after "must be".

    Raises:
        ArgumentError: The value is an instance of another class.
    """
    if not isinstance(value, kind):
        raise refused(name, expected, value)
    return value


def seed_list(name: str, value: Any, derive: Callable[[int], int]) -> list[int]:
    """Distinct seeds, from a list of them or from their number.

    Args:
        name: The argument's name, for the message.
        value: Whole numbers from 0, or how many seeds to derive.
        derive: Maps 0, 1, ... to a seed, where ``value`` is a number.

    Raises:
        ArgumentError: The value is neither, there is no seed, or one occurs twice.
    """
    seeds: list[int] = []
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        value = list(value)
        seeds = [whole_number(f"each of {name}", seed, 0) for seed in value]
    elif isinstance(value, SupportsIndex) and not isinstance(value, bool):
        seeds = [derive(i) for i in range(index(value))]
    if not seeds or len(set(seeds)) < len(seeds):
        raise refused(name, "a number of seeds from 1, or a list of distinct seeds from 0", value)
    return seeds


def _range(
    minimum: float | None,
    maximum: float | None,
    *,
    open_minimum: bool = False,
    open_maximum: bool = False,
) -> str:
    low = "" if minimum is None else f"{'above' if open_minimum else 'from'} {minimum:g}"
    if maximum is None:
        return f" {low}" if low else ""
    if minimum is None:
        return f" {'below' if open_maximum else 'at most'} {maximum:g}"
    if open_maximum:
        return f" {low}, below {maximum:g}"
    return f" {low} to {maximum:g}"
