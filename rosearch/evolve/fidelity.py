"""How far a candidate is evaluated: rung by rung, for as long as it is among the best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from rosearch.fitness import Score, rank_order


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

    Args:
        reduction: One in so many goes on; 1 lets all go on.
    """

    def __init__(self, reduction: int = 3) -> None:
        given: Any = reduction
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ValueError(f"reduction is a whole number of at least 1, got {reduction!r}.")
        self.reduction = reduction

    def goes_on(self, score: Score, others: Sequence[Score], *, rung: int) -> bool:
        """Whether ``score`` is among the best of ``others`` and itself."""
        finished = len(others) + 1
        if finished < self.reduction:
            return True
        # Ties keep their order, so its own comes first: whoever is before it is better.
        return rank_order([score, *others]).index(0) < finished // self.reduction


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
