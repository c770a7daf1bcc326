"""What proposes replacements for words, and how proposals combine."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import Words


class Substitution(Part, ABC):
    """Proposes replacements for single words.

    Authors give :meth:`propose`, or :meth:`propose_in` where the words around matter or an oracle
    is asked. Chance comes in as numbers that the caller drew for (run, attack, text, word), so
    that proposals never depend on the victim's answers. Public attributes are settings.
    """

    name: ClassVar[str]

    @property
    def draws(self) -> int:
        """How many random numbers one proposal uses."""
        return 0

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        """Replacements for ``word``, without repetitions and without ``word`` itself.

        Args:
            word: The word as it stands in the text.
            numbers: :attr:`draws` numbers drawn evenly from [0, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} needs the words around; use propose_in.")

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        """Replacements for the word at ``index`` of ``text``; a generator that may ask oracles.

        By default those of :meth:`propose`.
        """
        yield from ()  # nothing to ask
        return self.propose(text.pieces[2 * index + 1], numbers)

    def prepare(self, words: Iterable[str]) -> None:
        """Look up beforehand what will be asked for ``words``."""


class Union(Substitution):
    """All replacements that several substitutions propose.

    Args:
        parts: The substitutions; a replacement that several propose is proposed once.
    """

    name = "union"

    def __init__(self, parts: Sequence[Substitution]) -> None:
        self.parts = tuple(parts)
        self._draws = sum(part.draws for part in self.parts)

    @property
    def draws(self) -> int:
        """Those of all parts."""
        return self._draws

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        found: dict[str, None] = {}
        start = 0
        for part in self.parts:
            end = start + part.draws
            found.update(dict.fromkeys(part.propose(word, numbers[start:end])))
            start = end
        return list(found)

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

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the parts."""
        return {"name": self.name, "parts": [dict(part.settings) for part in self.parts]}
