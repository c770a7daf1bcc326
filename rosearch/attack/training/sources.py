"""Where replacements of words come from, for those who train on them instead of attacking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from rosearch.attack.base import attacks as registry
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import WordSwaps
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.errors import DataError

T = TypeVar("T")

Source: TypeAlias = "str | Substitution | WordSwapAttack | WordSwaps"
"""Where replacements come from: an attack or its name, whose constraints then hold, or a bare
substitution."""


def swaps_of(sources: Source | Sequence[Source]) -> tuple[WordSwaps, ...]:
    """The replacements that one source or several stand for.

    Raises:
        RegistryError: There is no attack of a name.
        MissingResourceError: A source needs a resource that is not on this machine.
        DataError: There is none, or one is no source.
    """
    several = isinstance(sources, Sequence) and not isinstance(sources, str)
    given: Any = sources if several else [sources]
    found = tuple(_swaps(source) for source in given)
    if not found:
        raise DataError("Expected at least one source of replacements, got none.")
    return found


def settings_of(swaps: Sequence[WordSwaps]) -> list[dict[str, Any]]:
    """Substitutions and constraints in full, as JSON has them."""
    return [
        {
            "substitution": dict(one.substitution.settings),
            "constraints": [dict(constraint.settings) for constraint in one.constraints],
            "resegment": one.resegment,
        }
        for one in swaps
    ]


def answered(steps: Sequence[Asking[T]]) -> Iterator[T]:
    """What generators that ask oracles return, with the questions of all answered together."""
    results: dict[int, T] = {}
    waiting: dict[int, Ask] = {}

    def go_on(place: int, answer: list[Any] | None) -> None:
        waiting.pop(place, None)
        try:
            waiting[place] = next(steps[place]) if answer is None else steps[place].send(answer)
        except StopIteration as stop:
            results[place] = stop.value

    for place in range(len(steps)):
        go_on(place, None)
    while waiting:
        oracle = next(iter(waiting.values())).oracle
        asking = [(place, ask) for place, ask in waiting.items() if ask.oracle is oracle]
        flat = oracle.answer([question for _, ask in asking for question in ask.questions])
        start = 0
        for place, ask in asking:
            end = start + len(ask.questions)
            go_on(place, flat[start:end])
            start = end
    for place in range(len(steps)):
        yield results[place]


def _swaps(source: Source) -> WordSwaps:
    made: Any = registry.get(source)() if isinstance(source, str) else source
    if isinstance(made, WordSwapAttack):
        return made.swaps
    if isinstance(made, Substitution):
        return WordSwaps(made)
    if isinstance(made, WordSwaps):
        return made
    raise DataError(
        f"Expected the name of an attack, a WordSwapAttack or a Substitution, got {made!r:.80}. "
        f"Make an instance of a class first."
    )
