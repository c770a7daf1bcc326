"""Attack a victim on more and more examples, and stop once it cannot win any more."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from rosearch.attack.engine import check_some_ran
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.joining import joined
from rosearch.attack.results import RobustnessReport
from rosearch.attack.settings import check_number, check_whole
from rosearch.attack.victim import OutputsError, Victim
from rosearch.data import Text
from rosearch.errors import DataError, EvaluationError


@dataclass(frozen=True)
class RaceResult:
    """What came of :func:`race`."""

    report: RobustnessReport
    """About the first :attr:`attacked` examples, and about these only; its settings say so."""
    stopped: bool
    """Whether examples were left out, because the victim could not reach :attr:`beat`."""
    attacked: int
    """Examples that the attacks were run on."""
    planned: int
    """Examples of the evaluator."""
    accuracy: float
    """Share of all :attr:`planned` examples that the victim gets right before any attack; one that
    it fails on counts as not right, as in a report."""
    highest: float
    """Upper end of what accuracy under attack on all :attr:`planned` examples may be, at the
    confidence of one look; where all were attacked, the number itself. An example in error counts
    as a survivor, as in the upper end of a report's bounds."""
    beat: float
    """Accuracy under attack that the victim had to reach."""

    def __str__(self) -> str:
        if not self.stopped:
            return f"{self.report} (full: all {self.planned} examples)"
        return (
            f"stopped after {self.attacked} of {self.planned} examples: accuracy under attack on "
            f"all of them is at most {self.highest:.1%}, and {self.beat:.1%} was to be reached"
        )


def race(
    evaluator: RobustnessEvaluator,
    model: Any,
    tokenizer: Any = None,
    *,
    beat: float,
    first: int = 25,
    growth: float = 2.0,
    confidence: float = 0.95,
) -> RaceResult:
    """Evaluate a victim for as long as it may still reach a given accuracy under attack.

    The unchanged examples are all classified at once, which costs one row each and tells how many
    could be broken at all. Then they are attacked in the evaluator's order, in growing portions.
    After each portion the exact hypergeometric test asks how likely so few survivors would be, if
    enough of all examples survived; ``1 - confidence`` is shared out among the looks
    (Bonferroni), so a victim that would reach ``beat`` is stopped with at most that probability.
    This holds where the evaluator drew its examples itself, which puts them in random order.

    Args:
        evaluator: Attacks, examples and settings.
        model: As for :meth:`RobustnessEvaluator.evaluate`.
        tokenizer: As there.
        beat: Accuracy under attack to be reached, 0 to 1; the best candidate's so far, say.
        first: Examples of the first portion.
        growth: How many times as many examples are attacked at the next look, more than 1. The
            last portion is no smaller than the first.
        confidence: Least probability that a victim which would reach ``beat`` is not stopped.

    Raises:
        DataError: A number is out of range, or as for :meth:`RobustnessEvaluator.evaluate`.
        EvaluationError: As for :meth:`RobustnessEvaluator.evaluate`.
    """
    begun = time.perf_counter()
    beat = check_number("beat", beat, least=0, most=1)
    confidence = check_number("confidence", confidence, least=0.5, most=1)
    ends = _looks(len(evaluator.indices), check_whole("first", first), growth)
    victim = evaluator.victim(model, tokenizer)
    rows = victim.forward_rows
    right = _right(victim.exact, [(e.text, e.label) for e in evaluator.examples])
    planned = len(right)
    needed = math.ceil(round(beat * planned, 9))
    alpha = (1 - confidence) / max(1, len(ends) - 1)
    parts: list[RobustnessReport] = []
    done = 0
    stopped = False
    for end in ends:
        parts.append(evaluator.part(done, end).evaluate(victim, all_may_fail=True))
        done = end
        results = [result for part in parts for result in part.examples]
        tried = sum(r.predicted in (r.label, None) for r in results)
        correct = tried + sum(known is not False for known in right[done:])
        # An example in error may have survived, so it never speaks against the victim.
        survivors = tried - sum(r.broken for r in results)
        if done < planned and _chance(survivors, tried, needed, correct) < max(alpha, 1e-12):
            stopped = True
            break
    if not stopped:
        for name in parts[0].attacks:
            check_some_ran(name, [r for part in parts for r in part.attacks[name].examples])
    highest = _highest(survivors, tried, correct, max(alpha, 1e-12)) / planned
    told = {"beat": beat, "confidence": confidence, "stopped": stopped}
    report = joined(
        parts,
        {
            **evaluator.part(0, done).settings,
            "victim": parts[0].settings["victim"],
            "race": {**told, "attacked": done, "planned": planned},
        },
    )
    report = replace(
        report, forward_rows=victim.forward_rows - rows, seconds=time.perf_counter() - begun
    )
    return RaceResult(
        report=report,
        stopped=stopped,
        attacked=done,
        planned=planned,
        accuracy=sum(known is True for known in right) / planned,
        highest=highest,
        beat=beat,
    )


def _looks(planned: int, first: int, growth: float) -> list[int]:
    """How many examples are attacked by the end of each portion."""
    growth = check_number("growth", growth, least=1)
    if growth <= 1:
        raise DataError(f"growth is more than 1, so that a race comes to its end; got {growth}.")
    ends = [first]
    while ends[-1] < planned:
        ends.append(max(ends[-1] + 1, math.ceil(ends[-1] * growth)))
    return [*(end for end in ends[:-1] if planned - end >= first), planned]


def _right(victim: Victim, examples: Sequence[tuple[Text, int]]) -> list[bool | None]:
    """Whether the victim gets each unchanged example right; ``None`` where it gives no answer.

    Raises:
        EvaluationError: It gives none at all.
    """
    found = _judged(victim, examples)
    failures = [known for known in found if isinstance(known, Exception)]
    if len(failures) == len(found):
        raise EvaluationError(
            f"The victim fails on every one of {len(found)} unchanged texts: {failures[0]}"
        ) from failures[0]
    return [None if isinstance(known, Exception) else known for known in found]


def _judged(victim: Victim, examples: Sequence[tuple[Text, int]]) -> list[bool | Exception]:
    try:
        answers = victim.probabilities([text for text, _ in examples])
    except (MemoryError, torch.OutOfMemoryError, OutputsError):
        raise
    except Exception as error:  # noqa: BLE001 - one bad text must not end the race
        if len(examples) == 1:
            return [error]
        return [_judged(victim, [example])[0] for example in examples]
    return [
        EvaluationError(f"The victim gives NaN for {text!r:.200}.")
        if np.isnan(row).any()
        else int(row.argmax()) == label
        for row, (text, label) in zip(answers, examples, strict=True)
    ]


def _chance(survivors: int, tried: int, total: int, correct: int) -> float:
    """How likely at most so many survivors are among those tried.

    Hypergeometric: ``tried`` of ``correct`` examples were drawn, of which ``total`` survive.
    """
    if total > correct:
        return 0.0
    fewest, most = max(0, tried - (correct - total)), min(survivors, total)
    if fewest > most:
        return 0.0
    counts = torch.arange(fewest, most + 1, dtype=torch.float64)
    logs = (
        _log_choose(total, counts)
        + _log_choose(correct - total, tried - counts)
        - _log_choose(correct, torch.tensor(float(tried), dtype=torch.float64))
    )
    return min(1.0, float(torch.logsumexp(logs, dim=0).exp()))


def _log_choose(n: int, k: torch.Tensor) -> torch.Tensor:
    return math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)


def _highest(survivors: int, tried: int, correct: int, alpha: float) -> int:
    """The largest number of survivors in all that the test does not rule out."""
    low, high = survivors, survivors + correct - tried
    while low < high:
        middle = (low + high + 1) // 2
        if _chance(survivors, tried, middle, correct) < alpha:
            high = middle - 1
        else:
            low = middle
    return low
