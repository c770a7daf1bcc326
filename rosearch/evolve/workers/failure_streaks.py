"""When to stop because everything fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rosearch.evolve.study.trials import Failure

_FIRST = 3
"""Failures of one cause that end a run in which nothing has worked yet."""
_LATER = 10
"""The same once something has: some genomes may well need too much memory, one after the other."""


class Streaks:
    """Failures of one cause in a row, rung by rung.

    Args:
        succeeded: Rungs that some candidate has finished; ``None`` for an evaluation without.
    """

    def __init__(self, succeeded: Iterable[int | None] = ()) -> None:
        self._succeeded = set(succeeded)
        self._rows: dict[int | None, list[Failure]] = {}

    def success(self, rung: int | None = None) -> None:
        """Note that an evaluation worked."""
        self._succeeded.add(rung)
        self._rows.pop(rung, None)

    def failure(self, failure: Failure, rung: int | None = None) -> int:
        """Note that one failed; how many in a row have, where it is time to stop, else 0."""
        row = self._rows.get(rung, [])
        self._rows[rung] = [*row, failure] if alike([*row[-1:], failure]) else [failure]
        count = len(self._rows[rung])
        return count if count >= (_LATER if rung in self._succeeded else _FIRST) else 0


def alike(failures: Sequence[Failure]) -> bool:
    """Whether all have one cause: the same class, and the same line that raised them.

    Not the same text, which names genomes, numbers and addresses.
    """
    return len({_shape(failure) for failure in failures}) == 1


def _shape(failure: Failure) -> tuple[str, str]:
    lines = re.findall(r'^  File ".*", line \d+', failure.traceback, flags=re.MULTILINE)
    return failure.kind, lines[-1] if lines else failure.message
