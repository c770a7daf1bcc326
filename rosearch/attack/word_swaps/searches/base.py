"""The interface of search methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from rosearch.attack.base import Search, SearchContext
from rosearch.attack.settings import Part
from rosearch.attack.word_swaps.candidates import TextSwaps


class SearchMethod(Part, ABC):
    """Selects which words to replace, and by what. Public attributes are settings."""

    name: ClassVar[str]

    only_swaps: ClassVar[bool] = False
    """Whether every text it returns is the original with some words replaced, each by something
    that the swaps allow. Certificates need that."""

    keeps_limits: ClassVar[bool] = False
    """Whether such a text also keeps the constraints on how many words are replaced."""

    @abstractmethod
    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        """Search the replacements of one text; see :meth:`rosearch.Attack.search`."""
