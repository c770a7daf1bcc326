"""The interface of substitutions, and their union."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import Words


class Substitution(Part, ABC):
    """Proposes replacements for single words.

    Define :meth:`propose`, or :meth:`propose_in` where the context matters or an oracle is asked.
    Random numbers are arguments, drawn by the caller for each (run, attack, text, word), so that
    proposals never depend on the victim's answers. Public attributes are settings.
    """

    name: ClassVar[str]

    @property
    def draws(self) -> int:
        """Number of random numbers that one proposal uses."""
        return 0

    @property
    def reads_word_alone(self) -> bool:
        """Whether proposals depend on nothing but the word and the random numbers.

        Certificates need that. By default, whether :meth:`propose_in` is not overridden.
        """
        return type(self).propose_in is Substitution.propose_in

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        """Replacements for ``word``, without duplicates and without ``word`` itself.

        Args:
            word: The word as written in the text.
            numbers: :attr:`draws` random numbers, uniform in [0, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} needs the context; call propose_in.")

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        """Replacements for the word at ``index`` of ``text``; a generator that may ask oracles.

        By default those of :meth:`propose`.
        """
        yield from ()
        return self.propose(text.pieces[2 * index + 1], numbers)

    def prepare(self, words: Iterable[str]) -> None:
        """Look up in advance what proposals for ``words`` need."""


class Union(Substitution):
    """The replacements of several substitutions, without duplicates.

    Args:
        parts: The substitutions.
    """

    name = "union"

    def __init__(self, parts: Sequence[Substitution]) -> None:
        self.parts = tuple(parts)

    @property
    def draws(self) -> int:
        """The sum over all parts."""
        return sum(part.draws for part in self.parts)

    @property
    def reads_word_alone(self) -> bool:
        """Whether all parts do."""
        return type(self).propose_in is Union.propose_in and all(
            part.reads_word_alone for part in self.parts
        )

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        found: dict[str, None] = {}
        start = 0
        for part in self.parts:
            end = start + part.draws
            proposed = yield from part.propose_in(text, index, numbers[start:end])
            found.update(dict.fromkeys(proposed))
            start = end
        return list(found)

    def prepare(self, words: Iterable[str]) -> None:
        words = list(words)
        for part in self.parts:
            part.prepare(words)
