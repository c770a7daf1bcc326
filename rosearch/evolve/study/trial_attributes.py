"""Write a candidate to the attributes of an Optuna trial, and read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from optuna.trial import FrozenTrial, TrialState

from rosearch.evolve.study.trials import Candidate, Failure, Parent, TrialRecord
from rosearch.fitness import Score
from rosearch.space import Genome

_State: TypeAlias = 'Literal["complete", "stopped", "failed", "running"]'
_STATES: dict[TrialState, _State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}


def identity(candidate: Candidate) -> dict[str, Any]:
    """The attributes that are known before the evaluation."""
    return {
        "genome": candidate.genome.to_json(),
        "key": candidate.genome.key,
        "seed": candidate.seed,
        "parent": None if candidate.parent is None else candidate.parent.number,
        # The last one: a process that was killed has written all of them, or is seen not to have.
        "planned_for": candidate.number,
    }


def finished_rungs(trial: FrozenTrial) -> list[dict[str, Any]]:
    """The outcomes of the trial's finished rungs, in order."""
    rungs: list[dict[str, Any]] = []
    while (name := f"rung_{len(rungs)}") in trial.user_attrs:
        rungs.append(trial.user_attrs[name])
    return rungs


def ending(rungs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The attributes of a trial that ends with the last of its finished rungs."""
    last = rungs[-1]
    weights = {} if last["weights"] is None else {"weights": last["weights"]}
    # The score is written last: a trial that has a score has everything.
    return {
        **weights,
        "seconds": total(rung["seconds"] for rung in rungs),
        "metrics": last["metrics"],
        "score": last["score"],
    }


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """The finite metrics as attributes of their own, which Optuna's dashboard can plot."""
    return {f"metric_{name}": v for name, v in metrics.items() if math.isfinite(v)}


def total(seconds: Iterable[float | None]) -> float | None:
    """The sum of the values that are known; ``None`` if none is."""
    known = [value for value in seconds if value is not None]
    return sum(known) if known else None


def record(
    trial: FrozenTrial, parent: Parent | None, loader: Callable[..., Any] | None
) -> TrialRecord:
    """Read a trial.

    Args:
        trial: A trial that a ledger has written.
        parent: The trial whose weights it inherits.
        loader: Loads a kept student.

    Raises:
        KeyError: An attribute is missing.
        TypeError: An attribute has another type than a ledger writes.
        GenomeError: The genome cannot be read.
    """
    attributes = trial.user_attrs
    state: _State = _STATES.get(trial.state, "running")
    has_score = state in ("complete", "stopped")
    rungs = finished_rungs(trial)
    seconds = attributes.get("seconds")
    return TrialRecord(
        number=trial.number,
        genome=Genome.from_json(attributes["genome"]),
        key=attributes["key"],
        seed=int(attributes["seed"]),
        state=state,
        metrics=attributes["metrics"] if has_score else {},
        score=Score.from_dict(attributes["score"]) if has_score else None,
        seconds=total(rung["seconds"] for rung in rungs) if seconds is None else seconds,
        failure=Failure(**attributes["failure"]) if state == "failed" else None,
        rung=len(rungs) - 1 if rungs else None,
        rungs=tuple(rung["metrics"] for rung in rungs),
        scores=tuple(Score.from_dict(rung["score"]) for rung in rungs),
        parent=None if parent is None else parent.number,
        weights=attributes.get("weights"),
        line=parent,
        loader=loader,
        planned_for=attributes.get("planned_for"),
    )
