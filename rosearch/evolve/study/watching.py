"""What a run tells while it works: log lines, the best so far, and Optuna's callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

import optuna
from optuna.trial import FrozenTrial

from rosearch.evolve.study.result import best_of
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Fitness
from rosearch.progress import above_bars

Callback: TypeAlias = "Callable[[optuna.Study, FrozenTrial], object]"
"""Called with the study and the trial that has ended, as those of ``optuna.Study.optimize``."""

_MEASURED = ("accuracy", "accuracy_under_attack")
"""Metrics in a log line beside the fitness."""

_logger = logging.getLogger("rosearch")


class WatchedStudy(optuna.Study):
    """The Optuna study that callbacks get; its method ``stop`` ends the run that calls them.

    Attributes:
        is_stopped: Whether a callback has called ``stop``.
    """

    is_stopped = False

    def stop(self) -> None:
        """Start no more candidates; those that are running are finished.

        Optuna's own method refuses to work outside of ``optimize``.
        """
        self.is_stopped = True


def best_so_far(trials: Sequence[TrialRecord], fitness: Fitness) -> str:
    """The first objective of the best trial, for a progress bar; empty if there is no trial."""
    best = best_of(trials)
    if best is None or best.score is None:
        return ""
    if not best.score.feasible:
        return "none feasible"
    return f"best {fitness.names[0]} {best.score.values[0]:.4g}"


def log_trial(trial: TrialRecord, fitness: Fitness) -> None:
    """Log how a trial has ended, in one line."""
    took = "" if trial.seconds is None else f", {trial.seconds:.1f} s"
    if trial.score is None:
        with above_bars():
            _logger.warning("candidate %d failed: %s%s", trial.number, trial.failure, took)
        return
    values = dict(zip(fitness.names, trial.score.values, strict=True))
    values |= {name: trial.metrics[name] for name in _MEASURED if name in trial.metrics}
    told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
    stopped = f" stopped at rung {trial.rung}" if trial.state == "stopped" else ""
    breaks = "" if trial.score.feasible else ", breaks a constraint"
    with above_bars():
        _logger.info("candidate %d%s: %s%s%s", trial.number, stopped, told, breaks, took)
