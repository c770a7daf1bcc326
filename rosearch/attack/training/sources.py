"""Word substitutions of attacks, applied outside of an attack to make training texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from rosearch.attack.base import SearchContext, attacks
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import TextSwaps, WordSwaps
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.checks import refused

T = TypeVar("T")

Source: TypeAlias = "str | Substitution | WordSwapAttack"
"""An attack or its name, whose constraints then apply, or a substitution without constraints."""

_TEXTS_AT_ONCE = 512
"""Texts whose questions to oracles are answered together."""


class WordSources:
    """The substitutions and constraints of one source or several.

    Args:
        sources: The sources.

    Raises:
        ArgumentError: There is no source, or one is not a source.
        MissingResourceError: A source needs a resource that is not available.
        RegistryError: An attack is not registered.
    """

    def __init__(self, sources: Source | Sequence[Source]) -> None:
        several = isinstance(sources, Sequence) and not isinstance(sources, str)
        given: Any = sources if several else [sources]
        self.swaps = tuple(_swaps(source) for source in given)
        if not self.swaps:
            raise refused("sources", "at least one attack or substitution", sources)

    @property
    def settings(self) -> list[dict[str, Any]]:
        """Substitutions and constraints with all their settings, as JSON values."""
        return [
            {
                "substitution": dict(swaps.substitution.settings),
                "constraints": [dict(constraint.settings) for constraint in swaps.constraints],
                "resegment": swaps.resegment,
            }
            for swaps in self.swaps
        ]

    @property
    def are_own(self) -> bool:
        """Whether the code of all parts is that of rosearch, so that their settings tell all."""
        modules = {
            type(part).__module__
            for swaps in self.swaps
            for whole in (swaps.substitution, *swaps.constraints)
            for part in _parts(whole)
        }
        return all(module.partition(".")[0] == "rosearch" for module in modules)

    def prepare(self, inputs: Sequence[AttackedInput]) -> None:
        """Load what the substitutions need for the words of these texts."""
        words = sorted({word for one in inputs for word in one.words.words})
        for swaps in self.swaps:
            swaps.substitution.prepare(words)

    def start(self, one: AttackedInput, *, seed: int, purpose: str) -> list[TextSwaps]:
        """Return the replacements in one text, for each source.

        Args:
            one: The text.
            seed: Seed of random substitutions.
            purpose: Takes the place of the attack's name in random draws.
        """
        words = one.words
        context = SearchContext.of(one, seed=seed, attack=purpose)
        return [swaps.start(words, context) for swaps in self.swaps]

    def __repr__(self) -> str:
        return f"[{', '.join(swaps.substitution.name for swaps in self.swaps)}]"


def answered(steps: Iterable[Asking[T]]) -> Iterator[T]:
    """Run generators that ask oracles, and yield their results in order.

    Many generators advance together, so that each oracle answers many questions at once.
    """
    remaining = iter(steps)
    while part := list(islice(remaining, _TEXTS_AT_ONCE)):
        yield from _answered_together(part)


def _answered_together(steps: Sequence[Asking[T]]) -> list[T]:
    results: dict[int, T] = {}
    waiting: dict[int, Ask] = {}

    def advance(place: int, answer: list[Any] | None) -> None:
        waiting.pop(place, None)
        try:
            waiting[place] = steps[place].send(answer)
        except StopIteration as stop:
            results[place] = stop.value

    for place in range(len(steps)):
        advance(place, None)
    while waiting:
        oracle = next(iter(waiting.values())).oracle
        asking = [(place, ask) for place, ask in waiting.items() if ask.oracle is oracle]
        answers = iter(oracle.answer([question for _, ask in asking for question in ask.questions]))
        for place, ask in asking:
            advance(place, [next(answers) for _ in ask.questions])
    return [results[place] for place in range(len(steps))]


def _parts(part: Part) -> Iterator[Part]:
    """A part and all parts of it."""
    yield part
    for value in vars(part).values():
        for inner in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(inner, Part):
                yield from _parts(inner)


def _swaps(source: Source) -> WordSwaps:
    made: Any = attacks.get(source)() if isinstance(source, str) else source
    if isinstance(made, WordSwapAttack):
        return made.swaps
    if isinstance(made, Substitution):
        return WordSwaps(made)
    expected = "the name of an attack, or an instance of WordSwapAttack or Substitution"
    raise refused("each of sources", expected, made)
