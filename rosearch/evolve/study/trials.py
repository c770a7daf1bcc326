"""One candidate of a search, before and after its evaluation."""

from __future__ import annotations

import functools
import traceback as tracebacks
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rosearch.errors import EvaluationError
from rosearch.evolve.study.presentation import report
from rosearch.fitness import Score, rank_order
from rosearch.space import Genome

_MAX_TRACEBACK = 20_000
"""Characters of a traceback that are kept; MySQL's text columns hold 65,535 bytes."""


@dataclass(frozen=True)
class _Training:
    """What determines a trained student."""

    number: int
    genome: Genome
    seed: int
    rung: int | None = None
    parent: Parent | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the evaluation; ``rung`` and ``parent`` only if not ``None``."""
        optional = {"rung": self.rung, "parent": self.parent}
        return {"seed": self.seed} | {k: v for k, v in optional.items() if v is not None}


@dataclass(frozen=True)
class Parent(_Training):
    """The trial whose weights a candidate inherits.

    Attributes:
        number: The trial's number in the study.
        genome: Its architecture.
        seed: Seed of its evaluation.
        rung: The highest rung that it finished; ``None`` without fidelity.
        parent: The trial whose weights it inherited itself.
    """


@dataclass(frozen=True)
class Candidate(_Training):
    """A candidate to evaluate.

    Attributes:
        number: The trial's number in the study, from 0.
        genome: The architecture.
        seed: Seed of its evaluation.
        rung: The rung to evaluate, from 0; ``None`` without fidelity.
        parent: The trial whose weights it inherits.
    """

    def is_of(self, trial: TrialRecord) -> bool:
        """Whether this is a candidate of ``trial``."""
        return (trial.number, trial.key, trial.seed) == (self.number, self.genome.key, self.seed)

    def is_settled(self, trial: TrialRecord) -> bool:
        """Whether its outcome is known: its trial has ended or finished this rung."""
        return trial.state != "running" or (self.rung is not None and len(trial.scores) > self.rung)


@dataclass(frozen=True)
class Failure:
    """Why an evaluation failed.

    Attributes:
        kind: Class of the exception, such as ``"OutOfMemoryError"``.
        message: Its text.
        traceback: Its traceback; of a very long one, the end.
    """

    kind: str
    message: str
    traceback: str = field(repr=False)

    @classmethod
    def from_exception(cls, error: BaseException) -> Failure:
        """The failure with an exception's class, text and traceback."""
        lines = tracebacks.format_exception(type(error), error, error.__traceback__)
        return cls(type(error).__name__, str(error), "".join(lines)[-_MAX_TRACEBACK:])

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True)
class TrialRecord:
    """One candidate of a study, as it is stored.

    Attributes:
        number: The trial's number, from 0, in the order in which candidates were proposed.
        genome: The architecture.
        key: The genome's key, equal for isomorphic graphs.
        seed: Seed of its evaluation.
        state: ``"complete"``, ``"stopped"`` (ended by the fidelity rule below the last rung),
            ``"failed"`` or ``"running"``.
        metrics: Metrics by name, of a stopped trial at its last rung; otherwise empty.
        score: Its fitness; ``None`` unless complete or stopped. Scores of different rungs cannot
            be compared: see :func:`comparable`.
        seconds: Duration of the evaluation, all rungs together; ``None`` if it was not measured,
            and before the first rung is finished.
        failure: Why it failed; ``None`` unless failed.
        rung: The highest rung finished, from 0; ``None`` without fidelity and before the first.
        rungs: The metrics of each finished rung, in order; empty without fidelity.
        scores: The fitness at each finished rung, in order; empty without fidelity.
        parent: Number of the trial whose weights it inherits.
        weights: Folder of its student, which is kept only if it is on the front or the best.
        line: The parent with its own parents.
        planned_for: Number that the genome was proposed for; ``None`` if it is the trial's.
    """

    number: int
    genome: Genome = field(repr=False)  # in full it would fill a screen; its key is shown
    key: str
    seed: int
    state: Literal["complete", "stopped", "failed", "running"]
    metrics: Mapping[str, float]
    score: Score | None = field(repr=False)
    seconds: float | None
    failure: Failure | None
    rung: int | None = None
    rungs: tuple[Mapping[str, float], ...] = field(default=(), repr=False)
    scores: tuple[Score, ...] = field(default=(), repr=False)
    parent: int | None = None
    weights: str | None = field(default=None, compare=False)
    line: Parent | None = field(default=None, repr=False, compare=False)
    loader: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    planned_for: int | None = field(default=None, repr=False, compare=False)

    @property
    def is_planned(self) -> bool:
        """Whether the genome was proposed for this number; if not, it must be replaced."""
        return self.planned_for is None or self.planned_for == self.number

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments with which the evaluation trained the student."""
        return self.as_parent().arguments

    def as_parent(self) -> Parent:
        """What a candidate needs to inherit the weights."""
        return Parent(self.number, self.genome, self.seed, self.rung, self.line)

    @functools.cached_property
    def student(self) -> Any:
        """The trained student, loaded on first use.

        It is loaded by the evaluation, or in a study of :func:`~rosearch.load_search` from the
        folder where it was stored. Only the students of the best candidates and of the front are
        kept while a search runs.

        Raises:
            EvaluationError: The evaluation keeps no students, or the folder is gone.
        """
        if self.loader is not None:
            return self.loader(self.genome, **self.arguments)
        if self.weights is not None:
            if not Path(self.weights).is_dir():
                raise EvaluationError(
                    f"The student of candidate {self.number} was stored in {self.weights}, and "
                    f"there is no such folder: was it moved, or is it on another machine? "
                    f"AutoModelForSequenceClassification.from_pretrained loads it from any place."
                )
            # Importing transformers' models takes half of a worker's start.
            from rosearch.quiet import quiet_transformers
            from rosearch.student import StudentForSequenceClassification

            with quiet_transformers():
                return StudentForSequenceClassification.from_pretrained(self.weights).eval()
        raise EvaluationError(
            f"The students of this search were not kept, so candidate {self.number} cannot be "
            f"loaded. Give the evaluation a method load(genome, *, seed), as Pipeline has it, or "
            f"train the genome again with the seed {self.seed}."
        )

    def _repr_html_(self) -> str:
        return str(report("notebook").trial_page(self))


def comparable(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that have a score, the best first: by rung, the highest first, then by score.

    Of equally good trials the one with the smaller number comes first. Without fidelity this is the
    order of the scores.
    """
    levels: dict[int, list[TrialRecord]] = {}
    for trial in sorted(trials, key=lambda t: t.number):
        if trial.score is not None:
            levels.setdefault(-1 if trial.rung is None else trial.rung, []).append(trial)
    ordered = []
    for _, level in sorted(levels.items(), reverse=True):
        ordered += [level[i] for i in rank_order([t.score for t in level if t.score is not None])]
    return ordered
