"""Word substitutions of attacks, applied outside of an attack to make training texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from rosearch.attack.base import SearchContext, attacks
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.text import AttackedInput
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import TextSwaps, WordSwaps
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.checks import refused
from rosearch.data import Text

T = TypeVar("T")

Source: TypeAlias = "str | Substitution | WordSwapAttack | WordSwaps"
"""An attack or its name, whose constraints then apply, or a substitution without constraints."""

TEXTS_AT_ONCE = 512
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
        context = SearchContext(
            score=0.0,
            indices=tuple(range(len(words))),
            text_key=text_key(one.text),
            seed=seed,
            attack=purpose,
            whole=one.text,
            side=one.side,
        )
        return [swaps.start(words, context) for swaps in self.swaps]

    def __repr__(self) -> str:
        return f"[{', '.join(swaps.substitution.name for swaps in self.swaps)}]"


def text_key(text: Text) -> str:
    """Return one string for a text or a pair, for random draws that depend on the text."""
    return text if isinstance(text, str) else "\0".join(text)


def answered(steps: Sequence[Asking[T]]) -> Iterator[T]:
    """Run generators that ask oracles, and yield their results in order.

    All generators advance together, so that each oracle answers many questions at once.
    """
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
    for place in range(len(steps)):
        yield results[place]


def _swaps(source: Source) -> WordSwaps:
    made: Any = attacks.get(source)() if isinstance(source, str) else source
    if isinstance(made, WordSwapAttack):
        return made.swaps
    if isinstance(made, Substitution):
        return WordSwaps(made)
    if isinstance(made, WordSwaps):
        return made
    expected = "the name of an attack, or an instance of WordSwapAttack or Substitution"
    raise refused("each of sources", expected, made)
