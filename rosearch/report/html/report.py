"""The report of a study as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from markupsafe import Markup

from rosearch import checks
from rosearch.attack import Explanation, RobustnessReport
from rosearch.attack.certificates.explanation import EXPLANATION_STYLE
from rosearch.attack.report.results import AttackResult
from rosearch.caching import replace_text
from rosearch.errors import MissingResourceError, StatisticsError
from rosearch.evolve import SearchResult, TrialRecord
from rosearch.pages import environment, template_file
from rosearch.report.html.compare import BEST, Compared, charts, rows, tiles
from rosearch.report.html.statistics import tables
from rosearch.report.html.view import View, flattened, operators
from rosearch.report.metrics import duration, in_order
from rosearch.report.stats.analysis import statistics as compute
from rosearch.report.stats.records import Statistics
from rosearch.version import __version__

_MAX_LENGTH = 2000
"""Maximum characters of an attacked text that is shown."""


def write_report(
    search: SearchResult,
    path: str | os.PathLike[str],
    *,
    compared: Mapping[str, Compared] | None = None,
    reports: RobustnessReport | Mapping[str, RobustnessReport] | None = None,
    statistics: Statistics | None = None,
    majority: float | None = 0.5,
    accuracy_examples: int = 200,
    student: str | os.PathLike[str] | None = None,
    examples: int = 12,
    explanations: Sequence[Explanation] = (),
    title: str | None = None,
) -> Path:
    """Write the results of a study into one HTML file, readable on a phone and offline.

    It shows the front, the history, the best student compared with others, the statistics, attacked
    sentences, costs, all candidates, settings, versions, and code that loads the best student.

    Args:
        search: The study.
        path: The file; an existing one is replaced once the report is complete.
        compared: Teacher and hand-designed students by name, each as a trial of a search, as
            metrics named like those of :class:`rosearch.Pipeline`, or as a robustness report.
        reports: Robustness reports by name: ``"best"`` for the best student, names of ``compared``,
            or new names. Their rates and intervals replace those of the search, and their sentences
            are shown. A single report is that of the best student.
        statistics: Result of :func:`rosearch.statistics`. Default: computed here.
        majority: Share of the most frequent class, for statistics that are computed here: students
            near chance are left out. ``None`` keeps all.
        accuracy_examples: Number of examples that accuracy was measured on, for the same.
        student: Folder or Hub name of the saved best student, for the code that loads it.
        examples: Maximum number of attacked sentences to show for each report and attack.
        explanations: Texts with each word coloured by what it adds to the answer, as of
            :func:`rosearch.attack.explain`.
        title: Heading of the report. Default: the study's name.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: ``search`` is not a SearchResult, or ``reports`` are not RobustnessReports.
        OSError: The file cannot be written.
    """
    wanted = "a SearchResult, from evolver.run() or rosearch.load_search()"
    checks.instance("search", search, SearchResult, wanted)
    named = {BEST: reports} if isinstance(reports, RobustnessReport) else dict(reports or {})
    for name, report in named.items():
        checks.instance(f"reports[{name!r}]", report, RobustnessReport, "a RobustnessReport")
    for explanation in explanations:
        checks.instance("each of explanations", explanation, Explanation, "an Explanation")
    reason = ""
    if statistics is None:
        try:
            statistics = compute(search, majority=majority, examples=accuracy_examples)
        except (MissingResourceError, StatisticsError) as error:
            reason = str(error)
    view = View(search, compared or {})
    compared_rows = rows(view.best, view.compared, named, view.n)
    templates = environment("rosearch.report.html")
    templates.filters |= {"digest": _digest, "duration": duration, "repr": repr}
    templates.globals |= {"figures": view.quantities.of, "operators": operators}
    page = templates.get_template("report.html").render(
        css=template_file("style.css") + (EXPLANATION_STYLE if explanations else ""),
        explained=[Markup(e.fragment()) for e in explanations],  # noqa: S704 - it is escaped
        js=template_file("report.js", "rosearch.report.html"),
        title=title or search.study,
        view=view,
        search=search,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        rows=compared_rows,
        tiles=tiles(view.best, compared_rows[0], view.quantities) if view.best else [],
        columns=in_order({name for row in compared_rows for name in row.figures}),
        row_charts=charts(compared_rows),
        picture=_picture(view.best) if view.best else None,
        statistics=statistics,
        reason=reason,
        tables=tables(statistics) if statistics else [],
        attacked=[(name, *part) for name, r in named.items() for part in _parts(r, examples)],
        settings=flattened(search.settings),
        student=None if student is None else os.fspath(student),
    )
    replace_text(Path(path), page)
    return Path(path)


def _digest(text: str) -> str:
    """The digest by which the page's security policy allows a style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _picture(best: TrialRecord) -> str | None:
    """The best student's graph as a data URL; ``None`` without matplotlib."""
    buffer = io.BytesIO()
    try:
        best.genome.draw().savefig(buffer, format="svg")
    except MissingResourceError:
        return None
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _parts(
    report: RobustnessReport, maximum: int
) -> list[tuple[str, RobustnessReport, list[tuple[AttackResult, Markup]]]]:
    """Each attack of a report: its name, its report, and examples, two thirds of them broken."""
    attacks = report.attacks
    if not attacks:
        attacks = {report.examples[0].attack if report.examples else "attack": report}
    parts = []
    for name, one in attacks.items():
        shown = [r for r in one.examples if r.perturbed is not None and _length(r) <= _MAX_LENGTH]
        survived = [r for r in shown if not r.broken]
        chosen = [r for r in shown if r.broken][: maximum - min(len(survived), maximum // 3)]
        chosen += survived[: maximum - len(chosen)]
        # The record escapes the texts itself.
        parts.append((name, one, [(r, Markup(r.diff_html())) for r in chosen]))  # noqa: S704
    return parts


def _length(result: AttackResult) -> int:
    return sum(map(len, (result.text,) if isinstance(result.text, str) else result.text))
