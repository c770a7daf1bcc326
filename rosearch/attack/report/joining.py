"""One report from several: on more examples, or on more attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rosearch.attack.report.results import RobustnessReport, combine, summarise


def joined(parts: Sequence[RobustnessReport], settings: Mapping[str, Any]) -> RobustnessReport:
    """One report on the examples of several, in their order.

    Args:
        parts: Reports on the same attacks.
        settings: Of the whole, as :attr:`RobustnessEvaluator.settings` has them.
    """

    def join(reports: Sequence[RobustnessReport], given: Mapping[str, Any]) -> RobustnessReport:
        return summarise(
            [result for report in reports for result in report.examples],
            forward_rows=sum(report.forward_rows for report in reports),
            seconds=sum(report.seconds for report in reports),
            settings=given,
        )

    attacks = {
        name: join(
            [part.attacks[name] for part in parts],
            {**settings, "attacks": parts[0].attacks[name].settings["attacks"]},
        )
        for name in parts[0].attacks
    }
    return replace(join(parts, settings), attacks=attacks)


def together(
    reports: Mapping[str, RobustnessReport], settings: Mapping[str, Any]
) -> RobustnessReport:
    """One report on several attacks on the same examples.

    Args:
        reports: The report on each attack, by its name.
        settings: Of the whole, as :attr:`RobustnessEvaluator.settings` has them.
    """
    examples = zip(*(report.examples for report in reports.values()), strict=True)
    return summarise(
        [combine(records) for records in examples],
        forward_rows=sum(report.forward_rows for report in reports.values()),
        seconds=sum(report.seconds for report in reports.values()),
        settings=settings,
        attacks=reports,
    )
