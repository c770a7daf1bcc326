"""What notebooks show of a search and of a candidate, as HTML."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from rosearch.errors import RosearchError
from rosearch.evolve import SearchResult, TrialRecord
from rosearch.evolve.study.trials import comparable
from rosearch.pages import table
from rosearch.report import plots
from rosearch.report.html.view import operators
from rosearch.report.metrics import duration, in_order
from rosearch.report.quantities import Quantities

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS = 10
"""Candidates in a leaderboard."""
_COMPARED = ("accuracy", "accuracy_under_attack", "worst_class_under_attack", "compression")
"""Metrics of a leaderboard beside what the fitness asks for."""


def search_page(search: SearchResult) -> str:
    """The best candidates as a table, and the front as a picture if matplotlib is installed."""
    quantities = Quantities(search)
    names = {m.name for m in quantities.asked}.union(_COMPARED, ("fitness",))
    shown = [m for m in quantities.all if m.name in names]
    ranked = comparable(search.trials)
    rows = []
    for rank, trial in enumerate(ranked[:_ROWS], 1):
        values = quantities.of(trial)
        cells = [m.text(values.get(m.name)) for m in shown]
        rows.append([rank, trial.number, *cells, operators(trial)])
    head = ["Rank", "Candidate", *(m.axis for m in shown), "Architecture"]
    more = len(ranked) - len(rows)
    caption = f"{repr(search).splitlines()[0]}{f', {more} more below' if more > 0 else ''}"
    return _joined([table(caption, head, rows), _picture(lambda: plots.front(search), "The front")])


def trial_page(trial: TrialRecord) -> str:
    """What is known of a candidate, and its architecture as a picture or as text."""
    facts: list[tuple[str, object]] = [("Architecture", operators(trial))]
    if trial.score is not None:
        facts += [(f"Objective {i}", f"{v:.4g}") for i, v in enumerate(trial.score.values, 1)]
        facts += [] if trial.score.feasible else [("Violation", f"{trial.score.violation:.3g}")]
    known = in_order(set(trial.metrics))
    facts += [(m.title, m.text(trial.metrics[m.name])) for m in known]
    facts += [("Rung", trial.rung)] if trial.rung is not None else []
    facts += [("Inherits from candidate", trial.parent)] if trial.parent is not None else []
    facts += [("Seed", trial.seed)]
    if trial.seconds is not None and "seconds" not in trial.metrics:
        facts += [("Took", duration(trial.seconds))]
    facts += [("Student", trial.weights)] if trial.weights is not None else []
    facts += [("Failure", trial.failure)] if trial.failure is not None else []
    picture = _picture(trial.genome.draw, f"Genome {trial.key}")
    text = picture or Markup("<pre>{}</pre>").format(str(trial.genome))
    return _joined([table(f"Candidate {trial.number}, {trial.state}", ["", ""], facts), text])


def _joined(parts: Iterable[Markup]) -> str:
    return str(Markup("\n").join(parts))


def _picture(draw: Callable[[], Any], text: str) -> Markup:
    """A figure as an image; empty if it cannot be drawn, or matplotlib is missing."""
    with contextlib.suppress(RosearchError):
        buffer = io.BytesIO()
        draw().savefig(buffer, format="png", dpi=100)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(text, data)
    return Markup("")
