"""A robustness report as HTML, for notebooks and inside pages."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from rosearch.pages import environment


def render(report: Any, examples: int | None) -> str:
    """The rates of a report and a table of its attacked examples.

    Args:
        report: A :class:`~rosearch.attack.RobustnessReport`, which imports this module.
        examples: Maximum number of examples to show; ``None`` shows all.

    Returns:
        ASCII, so that it reads the same in a page of any encoding; texts are escaped.
    """
    by_attack = dict(report.attacks)
    if not by_attack:
        by_attack = {report.examples[0].attack if report.examples else "attack": report}
    shown = {"all attacks": report, **by_attack} if len(by_attack) > 1 else by_attack
    results = [result for one in by_attack.values() for result in one.examples]
    attacked = [result for result in results if result.perturbed is not None]
    count = len(attacked) if examples is None else min(max(examples, 0), len(attacked))
    settings = {key: value for key, value in report.settings.items() if key != "examples"}
    template = environment("rosearch.attack.report").get_template("robustness.html")
    text = template.render(
        rates=[_rates(name, one) for name, one in shown.items()],
        classes=[line for name, one in shown.items() for line in _classes(name, one)],
        attacked=[_example(result, report) for result in attacked[:count]],
        note=f", the first {count} of {len(attacked)}" if count < len(attacked) else "",
        errors=[(r.index, r.attack, r.error, str(r.text)) for r in results if r.error],
        settings=json.dumps(settings, indent=1, default=str),
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _rates(name: str, report: Any) -> tuple[object, ...]:
    under = _rate(report.accuracy_under_attack, report.accuracy_under_attack_interval)
    if report.errors:
        low, high = report.accuracy_under_attack_bounds
        under += f"; between {low:.1%} and {high:.1%}, whatever the outcome of the errors"
    if report.certified is not None:
        under += f"; certified {report.certified:.1%}, undecided {report.undecided:.1%}"
    return (
        name,
        _rate(report.accuracy, report.accuracy_interval),
        under,
        _rate(report.attack_success_rate, report.attack_success_rate_interval),
        f"{report.mean_queries:.1f}",
        report.queries,
        report.forward_rows,
        report.n,
        report.errors,
    )


def _classes(name: str, report: Any) -> list[tuple[object, ...]]:
    """A line for each class; none where there is only one, of which the rates tell already."""
    rates = report.by_class
    return [
        (
            name,
            report.class_name(label),
            f"{one.accuracy:.1%}",
            f"{one.accuracy_under_attack:.1%}",
            one.n,
        )
        for label, one in rates.items()
        if len(rates) > 1
    ]


def _rate(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def _example(result: Any, report: Any) -> tuple[object, ...]:
    before, after = map(report.class_name, (result.predicted, result.perturbed_predicted))
    classes = f"{before} to {after}"
    # diff_html escapes the text itself.
    text = Markup(f'<span class="text">{result.diff_html()}</span>')  # noqa: S704
    return (result.index, result.attack, result.status, classes, result.queries, text)
