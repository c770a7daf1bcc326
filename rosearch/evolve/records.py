"""What the search knows of one candidate, before and after its evaluation."""

from __future__ import annotations

import functools
import traceback as tracebacks
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rosearch.errors import EvaluationError
from rosearch.fitness import Score
from rosearch.space import Genome

_TRACEBACK_LIMIT = 20_000
"""Characters of a traceback that are kept; MySQL's text columns hold 65,535 bytes."""


@dataclass(frozen=True)
class Candidate:
    """What is to be evaluated next.

    Attributes:
        number: The trial's number in the study, from 0.
        genome: The architecture.
        seed: Seed of its evaluation.
    """

    number: int
    genome: Genome
    seed: int


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no metrics.

    Attributes:
        kind: Class of the exception, such as ``"OutOfMemoryError"``.
        message: Its text.
        traceback: The whole traceback, from its end where it is very long.
    """

    kind: str
    message: str
    traceback: str

    @classmethod
    def from_exception(cls, error: BaseException) -> Failure:
        """The failure that ``error`` stands for."""
        lines = tracebacks.format_exception(type(error), error, error.__traceback__)
        return cls(type(error).__name__, str(error), "".join(lines)[-_TRACEBACK_LIMIT:])

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True)
class TrialRecord:
    """One candidate of a study, as the ledger has it.

    Attributes:
        number: The trial's number, from 0, in the order in which candidates were proposed.
        genome: The architecture.
        key: The genome's key, equal for isomorphic graphs.
        seed: Seed of its evaluation.
        state: ``"complete"``, ``"failed"`` or ``"running"``.
        metrics: What the evaluation gave; empty unless complete.
        score: Its fitness; ``None`` unless complete.
        seconds: Time the evaluation took; ``None`` while it runs or where nobody measured it.
        failure: Why it failed; ``None`` unless failed.
    """

    number: int
    genome: Genome
    key: str
    seed: int
    state: Literal["complete", "failed", "running"]
    metrics: Mapping[str, float]
    score: Score | None
    seconds: float | None
    failure: Failure | None
    loader: Callable[..., Any] | None = field(default=None, repr=False, compare=False)

    @functools.cached_property
    def student(self) -> Any:
        """The trained student, loaded by the evaluation on first use.

        Only the students on the front and the best one are kept while a search runs.

        Raises:
            EvaluationError: The evaluation keeps no students.
        """
        if self.loader is None:
            raise EvaluationError(
                f"The students of this search were not kept, so candidate {self.number} cannot be "
                f"loaded. Give the evaluation a method load(genome, *, seed), as Pipeline has it, "
                f"or train the genome again with the seed {self.seed}."
            )
        return self.loader(self.genome, seed=self.seed)
