"""The report of a study: one HTML file that needs no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rosearch.attack import RobustnessReport
from rosearch.attack.report.results import AttackResult
from rosearch.errors import DataError, MissingResourceError
from rosearch.evolve import SearchResult, TrialRecord
from rosearch.report.html import compare as html_compare
from rosearch.report.html.compare import BEST, Compared
from rosearch.report.html.metrics import duration, metric
from rosearch.report.html.statistics import section
from rosearch.report.html.view import View, figures, flattened, operators
from rosearch.report.stats.records import Statistics
from rosearch.version import __version__

_LONGEST = 2000
"""Characters of an attacked text that is shown."""


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
    title: str | None = None,
) -> Path:
    """Write all that a study found into one HTML file, readable on a phone and without a network.

    It shows the front, the history, the best student beside what it is compared with, the
    statistics, attacked sentences, costs, all candidates, settings, versions, and how to load the
    best student.

    Args:
        search: The study.
        path: Where to write; replaced if it is there, once the whole report is made.
        compared: Teacher and hand-designed students by name, each as a trial of a search, as
            metrics by the names that :class:`rosearch.Pipeline` gives, or as a robustness report.
        reports: Robustness reports by name: ``"best"`` is the best student's, other names are
            those of ``compared`` or stand for themselves. Their rates and intervals take the place
            of those of the search, and their sentences are shown. One report alone is the best's.
        statistics: What :func:`rosearch.statistics` gave. Default: computed here.
        majority: Share of the most frequent class, for statistics that are computed here: students
            near chance are left out. ``None`` keeps all.
        accuracy_examples: Examples that accuracy is measured on, for the same; ``examples`` of
            :func:`rosearch.statistics`.
        student: Folder or Hub name of the saved best student, for the code that loads it.
        examples: Most attacked sentences to show of each report and attack.
        title: Heading of the report. Default: the study's name.

    Returns:
        The path of the file.

    Raises:
        DataError: ``search`` is no search's result, or ``reports`` no robustness reports.
        OSError: The file cannot be written.
    """
    if not isinstance(search, SearchResult):
        raise DataError(
            f"Expected a SearchResult, as evolver.run() or rosearch.load_search() give it, got "
            f"{type(search).__name__}."
        )
    named = {BEST: reports} if isinstance(reports, RobustnessReport) else dict(reports or {})
    for name, report in named.items():
        if not isinstance(report, RobustnessReport):
            raise DataError(
                f"Expected a RobustnessReport for {name!r}, got {type(report).__name__}."
            )
    view = View(search, compared or {})
    rows = html_compare.rows(search, view.best, view.compared, named)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            **_files(),
            title=title or search.study,
            view=view,
            search=search,
            made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
            rows=rows,
            columns=html_compare.columns(rows),
            row_charts=html_compare.charts(rows),
            picture=_picture(view.best),
            statistics=section(search, statistics, majority=majority, examples=accuracy_examples),
            attacked=[(name, *part) for name, r in named.items() for part in _parts(r, examples)],
            settings=flattened(search.settings),
            seconds=[t.seconds for t in search.trials if t.seconds is not None],
            code=_code(view.best, student),
        )
    )
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.write_text(page, encoding="utf-8")
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rosearch.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "metric": metric}
    environment.globals |= {"figures": figures, "operators": operators}
    return environment


def _files() -> dict[str, Any]:
    """Style and script, and their digests: the page allows these two and no others."""
    found: dict[str, Any] = {}
    for name in ("css", "js"):
        text = (
            resources.files("rosearch.report.html")
            .joinpath(f"templates/report.{name}")
            .read_text("utf-8")
        )
        digest = hashlib.sha256(text.encode()).digest()
        found[name] = Markup(text)  # noqa: S704 - a file of this package
        found[f"{name}_digest"] = f"sha256-{base64.b64encode(digest).decode()}"
    return found


def _picture(best: TrialRecord | None) -> str | None:
    """The best student's graph as the address of an image; ``None`` without matplotlib."""
    if best is None:
        return None
    buffer = io.BytesIO()
    try:
        best.genome.draw().savefig(buffer, format="svg")
    except MissingResourceError:
        return None
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _parts(
    report: RobustnessReport, most: int
) -> list[tuple[str, RobustnessReport, list[tuple[AttackResult, Markup]]]]:
    """Each attack of a report: its name, its rates, and examples, two thirds of them broken."""
    attacks = dict(report.attacks)
    if not attacks:
        attacks = {report.examples[0].attack if report.examples else "attack": report}
    parts = []
    for name, one in attacks.items():
        shown = [r for r in one.examples if r.perturbed is not None and _length(r) <= _LONGEST]
        broken = [r for r in shown if r.broken]
        stood = [r for r in shown if not r.broken]
        few = min(len(stood), most // 3)
        chosen = broken[: most - few]
        chosen += stood[: most - len(chosen)]
        # The record escapes the texts itself.
        parts.append((name, one, [(r, Markup(r.diff_html())) for r in chosen]))  # noqa: S704
    return parts


def _length(result: AttackResult) -> int:
    return sum(map(len, (result.text,) if isinstance(result.text, str) else result.text))


def _code(best: TrialRecord | None, student: str | os.PathLike[str] | None) -> str:
    if best is None:
        return ""
    if student is not None:
        place = repr(os.fspath(student))
        return (
            "import rosearch  # transformers then knows its students\n"
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
            f"student = AutoModelForSequenceClassification.from_pretrained({place})\n"
            f"tokenizer = AutoTokenizer.from_pretrained({place})\n"
        )
    return (
        "import rosearch as rs\n\n"
        f"genome = rs.Genome.from_json({best.genome.to_json()!r})\n"
        "# distiller: rs.Distiller(teacher, train, dev, ...) with the settings of the study\n"
        f"student = distiller.distill(genome, seed={best.seed}).student\n"
        'student.save_pretrained("best")\n'
    )
