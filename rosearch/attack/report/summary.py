"""Compute reports from the records of single examples, and combine reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rosearch.attack.report.results import AttackResult, Interval, RobustnessReport


def wilson(successes: int, trials: int) -> Interval:
    """Return the 95 % score interval of a rate (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return Interval(0.0, 1.0)
    z2 = 1.959963984540054**2
    rate = successes / trials
    center = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = (z2 * (rate * (1 - rate) / trials + z2 / (4 * trials**2))) ** 0.5 / (1 + z2 / trials)
    # At 0 and 1 the formula is off by rounding errors.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == trials else min(1.0, center + half)
    return Interval(low, high)


def summarise(
    results: Sequence[AttackResult],
    *,
    forward_rows: int,
    seconds: float,
    settings: Mapping[str, Any],
) -> RobustnessReport:
    """Compute the rates over one record per example; see :class:`RobustnessReport`."""
    n = len(results)
    correct = sum(r.predicted == r.label for r in results)
    broken = [r for r in results if r.broken]
    attacked = [r for r in results if r.status in ("succeeded", "failed")]
    robust, tried, succeeded = correct - len(broken), len(attacked), len(broken)
    # An error before a prediction could have been right, one after it could have been a success.
    unknown = sum(r.predicted is None for r in results)
    interrupted = sum(r.status == "error" and r.predicted == r.label for r in results)
    errors = unknown + interrupted
    return RobustnessReport(
        n=n,
        correct=correct,
        attacked=tried,
        succeeded=succeeded,
        errors=sum(r.status == "error" for r in results),
        accuracy=_rate(correct, n),
        accuracy_under_attack=_rate(robust, n),
        attack_success_rate=_rate(succeeded, tried),
        accuracy_interval=wilson(correct, n),
        accuracy_under_attack_interval=wilson(robust, n),
        attack_success_rate_interval=wilson(succeeded, tried),
        accuracy_bounds=_bounds(correct, correct + unknown, n),
        accuracy_under_attack_bounds=_bounds(robust - interrupted, robust + unknown, n),
        attack_success_rate_bounds=_bounds(succeeded, succeeded + errors, tried + errors),
        mean_queries=_rate(sum(r.queries for r in attacked), tried),
        mean_changed=_rate(sum(r.changed_share for r in broken), succeeded),
        queries=sum(r.queries for r in results),
        forward_rows=forward_rows,
        seconds=seconds,
        settings=settings,
        examples=tuple(results),
    )


def merge_results(results: Sequence[AttackResult]) -> AttackResult:
    """Return one record for one example under several attacks.

    It is that of the first attack that broke the example, preferably one that also met its goal;
    else the first error; else the first attack that met its goal; else the first attack. Its
    queries are the sum over all attacks, with the unchanged input counted once per attack. It is
    certified if it is under each attack by itself.
    """
    rank = {"error": 2, "succeeded": 3, "failed": 4, "skipped": 5}

    def preference(result: AttackResult) -> int:
        return int(result.status != "succeeded") if result.broken else rank[result.status]

    first = min(results, key=preference)
    queries = sum(r.queries for r in results)
    return replace(first, queries=queries, certified=_all([r.certified for r in results]))


def _all(certified: Collection[bool | None]) -> bool | None:
    """Whether all hold; ``None`` if that is unknown."""
    if False in certified:
        return False
    return None if None in certified else True


def join_examples(
    parts: Sequence[RobustnessReport], settings: Mapping[str, Any]
) -> RobustnessReport:
    """Return one report from reports on different examples under one attack, in their order.

    Args:
        parts: Reports without :attr:`RobustnessReport.attacks`.
        settings: Settings of the joint report.
    """
    return _joined([result for part in parts for result in part.examples], parts, settings)


def join_attacks(
    reports: Mapping[str, RobustnessReport], settings: Mapping[str, Any]
) -> RobustnessReport:
    """Return one report from the reports on several attacks on the same examples.

    Args:
        reports: Report on each attack, by name.
        settings: Settings of the joint report.
    """
    parts = reports.values()
    examples = zip(*(report.examples for report in parts), strict=True)
    return replace(_joined(map(merge_results, examples), parts, settings), attacks=reports)


def _joined(
    results: Iterable[AttackResult],
    parts: Collection[RobustnessReport],
    settings: Mapping[str, Any],
) -> RobustnessReport:
    return summarise(
        list(results),
        forward_rows=sum(part.forward_rows for part in parts),
        seconds=sum(part.seconds for part in parts),
        settings=settings,
    )


def _rate(count: float, total: int) -> float:
    return count / total if total else 0.0


def _bounds(low: int, high: int, n: int) -> Interval:
    return Interval(_rate(low, n), _rate(high, n))
