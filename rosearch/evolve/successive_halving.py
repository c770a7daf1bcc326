"""How far a candidate is evaluated: rung by rung, for as long as it is among the best."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rosearch.evolve.strategies.offspring import check_share, check_size
from rosearch.fitness import Score, rank_order
from rosearch.space import Genome


class Fidelity(ABC):
    """A rule for who goes on after a rung, without memory of its own.

    Settings are public attributes set in ``__init__``, plain values that JSON can hold.
    """

    @abstractmethod
    def goes_on(self, score: Score, others: Sequence[Score], *, rung: int) -> bool:
        """Whether a candidate goes on to the next rung.

        Args:
            score: Its fitness at this rung.
            others: That of the other candidates that have finished this rung, whatever became of
                them; with ``overlap`` only of those that the candidate may know.
            rung: From 0; never the last.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """Name and public attributes; a study is made for one set of them."""
        public = {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}
        return {"name": type(self).__qualname__, **public}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.settings.items() if k != "name")
        return f"{type(self).__name__}({shown})"


class SuccessiveHalving(Fidelity):
    """Asynchronous successive halving, in the variant that stops and never resumes.

    After Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning", with the
    decision made once, when the candidate has finished the rung, as Optuna and Syne Tune do: it
    goes on if it is among the best ``1 / reduction`` of all that have finished the rung, itself
    counted. While these are fewer than ``reduction`` it goes on. Best means best by fitness, with
    constraints first, or by Pareto rank and then crowding distance; of equals all go on. So with
    several objectives, where the best third all lie on one front, those at its ends and those far
    from others go on.

    A student that was hardly trained may break a constraint that it keeps in the end. So where more
    than ``1 - lenience`` of the candidates break one at a rung, every second place is for the best
    of the rest with the limits moved until a share of ``lenience`` keeps them. That suits limits
    on what training changes, such as the accuracy; what is known before is best refused before,
    as :class:`~rosearch.Pipeline` does.

    Args:
        reduction: One in so many goes on; 1 lets all go on.
        lenience: From 0, where constraints count at each rung as they do in the end, to 1, where
            they do not count for every second place.

    Raises:
        ValueError: ``reduction`` is below 1, or ``lenience`` outside its range.
    """

    def __init__(self, reduction: int = 3, *, lenience: float = 0.5) -> None:
        self.reduction = check_size("reduction", reduction, 1)
        self.lenience = check_share("lenience", lenience)

    def goes_on(self, score: Score, others: Sequence[Score], *, rung: int) -> bool:
        """Whether ``score`` is among the best of ``others`` and itself."""
        known = [score, *others]
        if len(known) < self.reduction:
            return True
        places = len(known) // self.reduction
        # Ties keep their order, so its own comes first: whoever is before it is better.
        order = rank_order(known)
        allowed = _violation_of(known, self.lenience)
        if not allowed:
            return order.index(0) < places
        best = set(order[: places - places // 2])
        if 0 in best:
            return True
        rest = [_moved(score, allowed) for place, score in enumerate(known) if place not in best]
        return rank_order(rest).index(0) < places // 2


def _violation_of(scores: Sequence[Score], share: float) -> float:
    """The violation that a share of the scores, rounded up, does not exceed."""
    count = math.ceil(share * len(scores) - 1e-9)  # 0.07 of 100 are 7
    return sorted(score.violation for score in scores)[count - 1] if count else 0.0


def _moved(score: Score, allowed: float) -> Score:
    """The score if violations up to ``allowed`` were none."""
    violation = max(0.0, score.violation - allowed)
    return replace(score, feasible=violation == 0, violation=violation)


def rungs_of(evaluate: Callable[..., Any]) -> int:
    """Rungs of an evaluation; 1 where it has none.

    Raises:
        ValueError: Its ``rungs`` is no number of at least 1.
    """
    rungs = getattr(evaluate, "rungs", 1)
    if isinstance(rungs, bool) or not isinstance(rungs, int) or rungs < 1:
        raise ValueError(f"evaluate.rungs is a whole number of at least 1, got {rungs!r}.")
    return rungs


def chosen(fidelity: Fidelity | None, evaluate: Callable[..., Any]) -> Fidelity | None:
    """The rule for an evaluation: the one given, or the default where there are rungs.

    Raises:
        TypeError: ``fidelity`` is no rule.
        ValueError: There is a rule but no rungs.
    """
    if fidelity is not None and not isinstance(fidelity, Fidelity):
        raise TypeError(f"Expected a Fidelity, such as SuccessiveHalving(), got {fidelity!r}.")
    rungs = rungs_of(evaluate)
    if fidelity is not None and rungs == 1:
        raise ValueError(
            f"{fidelity!r} needs an evaluation with several rungs, and evaluate.rungs is not above "
            f"1. Give Pipeline its rungs=, or leave fidelity= out."
        )
    return fidelity or (SuccessiveHalving() if rungs > 1 else None)


class InFull:
    """An evaluation with rungs, of which nothing is seen but the last.

    Args:
        evaluate: The evaluation.
    """

    def __init__(self, evaluate: Callable[..., Mapping[str, float]]) -> None:
        self.evaluate = evaluate
        if hasattr(evaluate, "cost"):
            self.cost = evaluate.cost
        rung = inspect.signature(evaluate).parameters.get("rung")
        self._needs_rung = rung is not None and rung.default is inspect.Parameter.empty

    def __call__(self, genome: Genome, *, seed: int) -> Mapping[str, float]:
        """All metrics of the last rung."""
        if not self._needs_rung:
            return self.evaluate(genome, seed=seed)
        *below, last = range(rungs_of(self.evaluate))
        for rung in below:  # it may go on from what it did at the one before
            self.evaluate(genome, seed=seed, rung=rung)
        return self.evaluate(genome, seed=seed, rung=last)


def in_full(evaluate: Callable[..., Mapping[str, float]]) -> Callable[..., Mapping[str, float]]:
    """An evaluation without rungs: itself, or what takes all of them at once."""
    return evaluate if rungs_of(evaluate) == 1 else InFull(evaluate)
