"""The tables of encodings in docs/results.md, from the results of encoding_matrix.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from journals import DATA

FILE = DATA / "encodings.json"
ATTACKS = {
    "pwws": "PWWS",
    "deepwordbug": "DeepWordBug",
    "textfooler": "TextFooler",
    "textbugger": "TextBugger",
    "edits": "its character edits",
    "pruthi": "Pruthi",
    "genetic": "genetic",
}
HEAD = ["read by", "trainings", "accuracy", "under both", "worst class", *ATTACKS.values()]


@cache
def results() -> list[dict[str, Any]]:
    """All results: one a data set, encoding and seed, and two a teacher."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def encodings(data: str) -> list[list[str]]:
    """The rows of one data set, per cent: students by their encodings, then the teacher."""
    own = [one for one in results() if one["data"] == data]
    students = {row: runs for row, runs in _students(own).items() if "bound" not in row}
    order = sorted(students, key=lambda row: (len(students[row]) < 2, len(row), row))
    rows = [HEAD]
    rows += [_row(name, students[name]) for name in order]
    rows += [_row(f"teacher, {one['row']}", [one]) for one in own if "seed" not in one]
    rows.append(_constant(data, 3 + len(ATTACKS), size=False))
    return [[cell for k, cell in enumerate(row) if _is_used(rows, k)] for row in rows]


def bounds(data: str) -> list[list[str]]:
    """Students of one data set by the bound of their graph beside token scores, per cent."""
    own = [one for one in results() if one["data"] == data]
    students = _students([one for one in own if "fitted to all" not in one["row"]])
    head = ["classes", "bound", "trainings", "compression", "accuracy", "under both"]
    head += ["worst class", "PWWS", "certified", "DeepWordBug", "certified"]
    rows = [[*head, "TextFooler", "TextBugger"]]
    for name, runs in sorted(students.items(), key=lambda item: "classes" in item[0]):
        bound = "none" if name == "spelling" else name.partition("bound ")[2]
        merged = name.partition("classes ")[2].partition(",")[0] or "-"
        if bound:
            both = [one["both"] for one in runs]
            main = ["under", "worst_class", "pwws", "pwws certified", "deepwordbug"]
            main.append("deepwordbug certified")
            cells = [[one["accuracy"] for one in runs]]
            cells += [[one[key] for one in both if key in one] for key in main]
            cells += [
                [one[key]["under"] for one in runs if key in one]
                for key in ("textfooler", "textbugger")
            ]
            size = f"{runs[0]['compression']:.1f}"
            rows.append([merged, bound, str(len(runs)), size, *map(percent, cells)])
    constant, *figures = _constant(data, 9)
    return [*rows, [constant, "-", *figures]]


def fitted_to_all(data: str) -> list[list[str]]:
    """Students whose token scores are fitted against nearest words too, per cent."""
    head = ["classes", "bound", "weight", "trainings", "compression", "accuracy", "under both"]
    head += ["worst class", "TextFooler", "TextBugger", "these two together", "worst class"]
    rows = [[*head, "Pruthi", "genetic"]]
    found = _students([one for one in results() if one["data"] == data])
    for name in sorted(name for name in found if "fitted to all sources" in name):
        runs = found[name]
        settings = dict(part.rsplit(" ", 1) for part in name.split(", ") if " " in part)
        under = ["both", "textfooler", "textbugger", "nearest", "pruthi", "genetic"]
        cells = [[run["accuracy"] for run in runs]]
        cells += [[run[attack]["under"] for run in runs] for attack in under]
        cells.insert(2, [run["both"]["worst_class"] for run in runs])
        cells.insert(6, [run["nearest"]["worst_class"] for run in runs])
        compression = f"{statistics.fmean(run['compression'] for run in runs):.1f}"
        own = [settings[key] for key in ("classes", "bound", "weight")]
        rows.append([*own, str(len(runs)), compression, *map(percent, cells)])
    return rows


def _constant(data: str, figures: int, *, size: bool = True) -> list[str]:
    """The row of a classifier that always answers the most frequent class."""
    shares = (one["constant"] for one in results() if one["data"] == data and "constant" in one)
    share = f"{next(shares):.1%}".rstrip("%")
    row = ["constant classifier", "-", *["-"] * size, *[share] * figures]
    row[4 + size] = "0.0"
    return row


def _students(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    students: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        if "seed" in one:
            students.setdefault(one["row"], []).append(one)
    return students


def typos() -> list[list[str]]:
    """Robust accuracy under all single typos in any number of words, per cent."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in results():
        if one["data"] == "typos":
            found.setdefault(one["row"], []).append(one)
    head = ["read by", "trainings", "accuracy", "right for all typos", "at most", "decided"]
    rows = [[*head, "canonical texts (median)"]]
    for name, runs in sorted(found.items()):
        columns = [[one[key] for one in runs] for key in ("accuracy", "low", "high", "decided")]
        median = statistics.fmean(one["median_combinations"] for one in runs)
        rows.append([name, str(len(runs)), *map(percent, columns), f"{median:,.0f}"])
    return rows


def _is_used(rows: Sequence[Sequence[str]], column: int) -> bool:
    return column < 3 or any(row[column] not in ("-", rows[-1][column]) for row in rows[1:])


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    both = [one["both"] for one in runs]
    cells = [
        [one["accuracy"] for one in runs],
        [one["under"] for one in both],
        [one["worst_class"] for one in both],
    ]
    for attack in ATTACKS:
        main = [one[attack] for one in both if attack in one]
        cells.append(main or [one[attack]["under"] for one in runs if attack in one])
    return [name, str(len(runs)), *map(percent, cells)]


def percent(values: Sequence[float]) -> str:
    """Mean and standard deviation of shares, in per cent."""
    if not values:
        return "-"
    mean = f"{100 * statistics.fmean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.1f}"
