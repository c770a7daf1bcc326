"""How far a candidate is evaluated: one rung after the other, as long as it is among the best."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rosearch.checks import refused, share, whole_number
from rosearch.evolve.study.settings import PublicSettings
from rosearch.fitness import Score, rank_order
from rosearch.space import Genome


class Fidelity(PublicSettings, ABC):
    """A rule that decides after each rung whether a candidate goes on.

    It has no state. Settings are public attributes set in ``__init__``, plain values that JSON can
    hold.
    """

    @abstractmethod
    def goes_on(self, score: Score, others: Sequence[Score], *, rung: int) -> bool:
        """Whether a candidate goes on to the next rung.

        Args:
            score: Its fitness at this rung.
            others: The fitness of the other candidates that have finished this rung, including
                those that failed later; with ``overlap`` only of those that the candidate may
                depend on.
            rung: From 0; never the last.
        """


class SuccessiveHalving(Fidelity):
    """Asynchronous successive halving that stops candidates and never resumes them.

    After Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning", with the
    decision made once, when the candidate has finished the rung, as in Optuna and Syne Tune: it
    goes on if it is among the best ``1 / reduction`` of all candidates that have finished the
    rung, including itself. As long as these are fewer than ``reduction``, it goes on. The order is
    by fitness, feasible candidates first, or by Pareto rank and then crowding distance; of equal
    candidates all go on. So with several objectives, where the best third may all lie on one
    front, those at its ends and those far from others go on.

    A student after little training may break a constraint that it meets in the end. So if more
    than ``1 - lenience`` of the candidates break one at a rung, every second place is for the best
    of the rest, with the limits relaxed until a share of ``lenience`` meets them. This suits limits
    on what training changes, such as the accuracy; limits on what is known before training are
    better checked before, as :class:`~rosearch.Pipeline` does.

    Args:
        reduction: One in ``reduction`` candidates goes on; with 1 all go on.
        lenience: From 0 (constraints count at each rung as they do in the end) to 1 (they do not
            count for every second place).

    Raises:
        ArgumentError: ``reduction`` is below 1, or ``lenience`` not from 0 to 1.
    """

    def __init__(self, reduction: int = 3, *, lenience: float = 0.5) -> None:
        self.reduction = whole_number("reduction", reduction)
        self.lenience = share("lenience", lenience)

    def goes_on(self, score: Score, others: Sequence[Score], *, rung: int) -> bool:
        """Whether ``score`` is among the best of ``others`` and itself."""
        known = [score, *others]
        if len(known) < self.reduction:
            return True
        places = len(known) // self.reduction
        # Ties keep their order, so its own score comes first among equals.
        order = rank_order(known)
        allowed = _violation_quantile(known, self.lenience)
        if not allowed:
            return order.index(0) < places
        best = set(order[: places - places // 2])
        if 0 in best:
            return True
        rest = [_relaxed(score, allowed) for place, score in enumerate(known) if place not in best]
        return rank_order(rest).index(0) < places // 2


def _violation_quantile(scores: Sequence[Score], share: float) -> float:
    """The violation that a share of the scores, rounded up, does not exceed."""
    count = math.ceil(share * len(scores) - 1e-9)  # 0.07 of 100 are 7
    return sorted(score.violation for score in scores)[count - 1] if count else 0.0


def _relaxed(score: Score, allowed: float) -> Score:
    """The score if a violation of ``allowed`` were none."""
    violation = max(0.0, score.violation - allowed)
    return replace(score, feasible=violation == 0, violation=violation)


def rungs_of(evaluate: Callable[..., Any]) -> int:
    """Number of rungs of an evaluation; 1 if it has none.

    Raises:
        ArgumentError: Its attribute ``rungs`` is not a whole number from 1.
    """
    return whole_number("evaluate.rungs", getattr(evaluate, "rungs", 1))


def fidelity_for(evaluate: Callable[..., Any], fidelity: Fidelity | None) -> Fidelity | None:
    """The rule for an evaluation: the one given, or the default if there are rungs.

    Raises:
        ArgumentError: ``fidelity`` is not a rule, or the evaluation has no rungs.
    """
    rungs = rungs_of(evaluate)
    if fidelity is None:
        return SuccessiveHalving() if rungs > 1 else None
    if not isinstance(fidelity, Fidelity):
        raise refused("fidelity", "a Fidelity, such as SuccessiveHalving()", fidelity)
    if rungs == 1:
        expected = "None for an evaluation without rungs (Pipeline has an argument rungs)"
        raise refused("fidelity", expected, fidelity)
    return fidelity


class InFull:
    """Evaluates all rungs at once and returns the metrics of the last.

    Args:
        evaluate: An evaluation with rungs.
    """

    def __init__(self, evaluate: Callable[..., Mapping[str, float]]) -> None:
        self.evaluate = evaluate
        if hasattr(evaluate, "cost"):
            self.cost = evaluate.cost
        rung = inspect.signature(evaluate).parameters.get("rung")
        self._needs_rung = rung is not None and rung.default is inspect.Parameter.empty

    def __call__(self, genome: Genome, *, seed: int) -> Mapping[str, float]:
        """The metrics of the last rung."""
        if not self._needs_rung:
            return self.evaluate(genome, seed=seed)
        *below, last = range(rungs_of(self.evaluate))
        for rung in below:  # it may continue from the one before
            self.evaluate(genome, seed=seed, rung=rung)
        return self.evaluate(genome, seed=seed, rung=last)


def in_full(evaluate: Callable[..., Mapping[str, float]]) -> Callable[..., Mapping[str, float]]:
    """An evaluation without rungs: itself, or one that evaluates all rungs at once."""
    return evaluate if rungs_of(evaluate) == 1 else InFull(evaluate)
