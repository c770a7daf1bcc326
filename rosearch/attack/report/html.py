"""A robustness report as HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rosearch.attack.report.diff import escape

# Struck through and underlined, besides the colours; both are dark enough on a light ground and
# the grounds light enough under dark text. The names are our own, so other pages are not touched.
_STYLE = """\
.rosearch-report table{border-collapse:collapse;margin:0 0 1em}
.rosearch-report caption{text-align:left;font-weight:bold;padding:.3em 0}
.rosearch-report th,.rosearch-report td{border:1px solid #999;padding:.2em .6em;text-align:left;
vertical-align:top}
.rosearch-report del{background:#ffe0e0;color:#8b0000;text-decoration:line-through}
.rosearch-report ins{background:#dff5e1;color:#00501a;text-decoration:underline;font-weight:bold}
.rosearch-report .text{white-space:pre-wrap}"""


def page(report: Any, examples: int | None) -> str:
    """See :meth:`rosearch.attack.report.results.RobustnessReport.to_html`."""
    reports = dict(report.attacks)
    shown = {"all attacks": report, **reports} if len(reports) != 1 else reports
    if not reports:
        shown = {report.examples[0].attack if report.examples else "attack": report}
    rows = [
        row for r in (reports or shown).values() for row in r.examples if row.perturbed is not None
    ]
    failed = [row for r in (reports or shown).values() for row in r.examples if row.error]
    most = len(rows) if examples is None else min(max(examples, 0), len(rows))
    note = f", the first {most} of {len(rows)}" if most < len(rows) else ""
    return "".join(
        [
            f'<div class="rosearch-report"><style>{_STYLE}</style>',
            _table(
                "Robustness (rates with 95 % intervals)",
                ("attack", "accuracy", "under attack", "attack success", "queries an example",
                 "queries", "forward rows", "examples", "errors"),
                [_rates(name, r) for name, r in shown.items()],
            ),
            _table(
                f"Attacked examples{note}",
                ("example", "attack", "outcome", "class", "queries", "text"),
                [_example(row) for row in rows[:most]],
            )
            if most
            else "",
            _table(
                "Examples in error, not broken in the rates and either way in their bounds",
                ("example", "attack", "error", "text"),
                [_escaped((row.index, row.attack, row.error, row.text)) for row in failed],
            )
            if failed
            else "",
            "<details><summary>Settings: attacks, versions, thresholds, seed</summary>",
            f"<pre>{escape(json.dumps(_shown(report.settings), indent=1, default=str))}</pre>",
            "</details></div>",
        ]
    )  # fmt: skip


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the long list of indices, which the table shows."""
    return {key: value for key, value in settings.items() if key != "examples"}


def _rates(name: str, report: Any) -> list[str]:
    def rate(value: float, low: float, high: float) -> str:
        return f"{value:.1%} ({low:.1%} to {high:.1%})"

    under = rate(report.accuracy_under_attack, *report.accuracy_under_attack_interval)
    if report.errors:
        low, high = report.accuracy_under_attack_bounds
        under += f"; between {low:.1%} and {high:.1%}, whatever the errors would have been"
    cells = (
        name,
        rate(report.accuracy, *report.accuracy_interval),
        under,
        rate(report.attack_success_rate, *report.attack_success_rate_interval),
        f"{report.mean_queries:.1f}",
        report.queries,
        report.forward_rows,
        report.n,
        report.errors,
    )
    return _escaped(cells)


def _example(row: Any) -> list[str]:
    cells = (
        row.index,
        row.attack,
        row.status,
        f"{row.predicted} to {row.perturbed_predicted}",
        row.queries,
    )
    return [*_escaped(cells), f'<span class="text">{row.diff_html()}</span>']


def _escaped(cells: Iterable[object]) -> list[str]:
    return [escape(str(cell)) for cell in cells]


def _table(caption: str, head: tuple[str, ...], rows: list[list[str]]) -> str:
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<table><caption>{caption}</caption><thead><tr>{titles}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
