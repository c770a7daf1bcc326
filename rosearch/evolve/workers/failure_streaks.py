"""Stop a run in which every evaluation fails with the same error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rosearch.errors import EvaluationError
from rosearch.evolve.study.trials import Failure

_MAX_BEFORE_SUCCESS = 3
"""Equal failures in a row that end a run in which nothing has succeeded yet."""
_MAX_AFTER_SUCCESS = 10
"""The same later: some genomes may well need too much memory, one after the other."""


class FailureStreaks:
    """Count failures with the same cause in a row, separately for each rung.

    Args:
        succeeded: Rungs at which an evaluation has succeeded before; ``None`` stands for an
            evaluation without rungs.
        advice: What to do about it, for the error message.
    """

    def __init__(self, succeeded: Iterable[int | None] = (), *, advice: str = "") -> None:
        self._succeeded = set(succeeded)
        self._advice = advice
        self._streaks: dict[int | None, list[Failure]] = {}

    def record(self, failure: Failure | None, rung: int | None = None) -> None:
        """Count the outcome of one evaluation; ``None`` is a success.

        Raises:
            EvaluationError: Three evaluations in a row failed with the same error before any
                succeeded at this rung, or ten did later.
        """
        if failure is None:
            self._succeeded.add(rung)
            self._streaks.pop(rung, None)
            return
        streak = self._streaks.get(rung, [])
        streak = [*streak, failure] if alike([*streak[-1:], failure]) else [failure]
        self._streaks[rung] = streak
        maximum = _MAX_AFTER_SUCCESS if rung in self._succeeded else _MAX_BEFORE_SUCCESS
        if len(streak) >= maximum:
            raise EvaluationError(
                f"{len(streak)} evaluations in a row failed with the same error, so the rest would "
                f"too: {failure}\n{self._advice} The last traceback:\n{failure.traceback}"
            )


def alike(failures: Sequence[Failure]) -> bool:
    """Whether all failures have the same class and were raised by the same line.

    Their messages may differ: they name genomes, numbers and addresses.
    """
    return len({_cause(failure) for failure in failures}) == 1


def _cause(failure: Failure) -> tuple[str, str]:
    lines = re.findall(r'^  File ".*", line \d+', failure.traceback, flags=re.MULTILINE)
    return failure.kind, lines[-1] if lines else failure.message
