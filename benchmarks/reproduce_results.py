"""The tables and pictures of docs/results.md, from the committed ledgers.

    python benchmarks/reproduce_results.py            # prints them
    python benchmarks/reproduce_results.py --write    # puts them into the page
    python benchmarks/reproduce_results.py --check    # fails if the page has others

Nothing is trained here: ``make_tabular.py``, ``first_search.py``, ``encoding_matrix.py``,
``lead_search.py`` and ``more_sentences.py`` made the ledgers.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import bounded_genomes
import certificates
import encoding_fronts
import exact_models
import lead_confirmed
import lead_statistics
import lead_tables
import more_sentences
import numpy as np
from encoding_tables import bounds, encodings, fitted_to_all, percent, typos
from first_search import SUMMARY
from journals import DATA, packed
from make_tabular import AGAIN, AGAIN_JOURNAL, JOURNAL, SEARCH, SEARCH_JOURNAL, STUDY, is_random
from movie_search import FITNESS
from scipy.stats import spearmanr
from tabular import Table, load

import rosearch as rs
from rosearch.evolve import TrialRecord
from rosearch.report import plots
from rosearch.report.stats.table import Chance, tabulate

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
PICTURES = PAGE.parent / "_static"
COLUMNS = {
    "compression": "compression",
    "accuracy": "accuracy",
    "under_searched": "under both",
    "worst_class_under_searched": "worse class",
    "under_pwws": "PWWS",
    "under_deepwordbug": "DeepWordBug",
    "under_unseen": "under both unseen",
    "under_textfooler": "TextFooler",
    "under_textbugger": "TextBugger",
}
EXAMPLES = 500
"""Sentences that accuracy is measured on, for the table of genomes."""
FEW = 20
"""Pairs below which a correlation says nothing."""
CANDIDATES = ("feasible", "best fitness", "third best", "accuracy of the best", "under attack")


@cache
def table() -> Table:
    """The table of benchmarks/tabular."""
    return load()


@cache
def search() -> rs.SearchResult:
    """The first search."""
    with packed(SEARCH_JOURNAL) as storage:
        return rs.load_search(storage, SEARCH)


@cache
def own() -> rs.SearchResult:
    """The random samples and mutants of the table, each trained once."""
    with packed(JOURNAL) as storage:
        return rs.load_search(storage, STUDY)


@cache
def again() -> rs.SearchResult:
    """The second trainings of the table's fittest."""
    with packed(AGAIN_JOURNAL) as storage:
        return rs.load_search(storage, AGAIN)


def genomes() -> str:
    """What there is in the table."""
    sources = {"random": "random samples", "mutants": "mutants of the best so far"}
    sources["searched"] = "proposed by the search below"
    rows = [["genomes", "number", *CANDIDATES]]
    for source, name in sources.items():
        trials = of_table(source)
        rows.append([name, str(len(trials)), *figures(trials)])
    return markdown(rows)


def searches() -> str:
    """The search beside as many random samples, and beside as many hours of them."""
    found = search().trials
    random = [t for t in own().trials if is_random(t.number)][: len(found)]
    limit = sum(seconds(trial) for trial in random)
    spent = np.cumsum([seconds(trial) for trial in found])
    rows = [["candidates", "number", "nodes", "hours", *CANDIDATES]]
    for name, trials in {
        "chosen by a model": found,
        "the first of them, in random's hours": [
            t for t, total in zip(found, spent, strict=True) if total <= limit
        ],
        "random": random,
    }.items():
        hours = sum(seconds(trial) for trial in trials) / 3600
        nodes = statistics.fmean(len(trial.genome.nodes) for trial in trials)
        rows.append([name, str(len(trials)), f"{nodes:.1f}", f"{hours:.2f}", *figures(trials)])
    return markdown(rows)


def twice() -> str:
    """How far two trainings of one genome agree, of those that were trained twice."""
    samples = {trial.key for trial in own().trials if is_random(trial.number)}
    first = {t.key: t for t in (*own().trials, *search().trials) if t.state == "complete"}
    pairs = [(first[t.key], t) for t in again().trials if t.state == "complete"]
    pairs.sort(key=lambda pair: fitness(pair[0]), reverse=True)
    columns = {"fitness": fitness, "accuracy": accuracy, "under attack": under_attack}
    heads = [f"{name}, {time}" for name in columns for time in ("first", "second")]
    rows = [["genomes", "number", *heads, "correlation of fitness", "under attack"]]
    for name, some in {
        "trained twice": pairs,
        "of them random samples": [pair for pair in pairs if pair[0].key in samples],
        "of them the ten fittest the first time": pairs[:10],
    }.items():
        cells = [str(len(some))]
        for column, get in columns.items():
            show = (lambda v: f"{v:.3f}") if column == "fitness" else (lambda v: percent([v]))
            cells += [show(statistics.fmean(get(pair[time]) for pair in some)) for time in (0, 1)]
        cells += [agreement(some, get) for get in (fitness, under_attack)]
        rows.append([name, *cells])
    return markdown(rows)


def agreement(
    pairs: Sequence[tuple[TrialRecord, TrialRecord]], get: Callable[[TrialRecord], float]
) -> str:
    """Rank correlation of two trainings; of a few genomes none is given."""
    if len(pairs) < FEW:
        return "-"
    found = spearmanr([get(one) for one, _ in pairs], [get(other) for _, other in pairs])
    return f"{found.statistic:.2f}"


def fitness(trial: TrialRecord) -> float:
    """Value of the fitness, whether it is feasible or not."""
    return FITNESS.score(trial.metrics).values[0]


def accuracy(trial: TrialRecord) -> float:
    """Share of the sentences that it is right about."""
    return float(trial.metrics["accuracy"])


def under_attack(trial: TrialRecord) -> float:
    """Share that it is right about still under both attacks."""
    return float(trial.metrics["accuracy_under_attack"])


def seconds(trial: TrialRecord) -> float:
    """What its training and attack took of the processor."""
    return float(trial.metrics.get("seconds", 0.0))


def of_table(source: str) -> list[TrialRecord]:
    """The genomes of the table that come from there."""
    trials = table().as_search(FITNESS).trials
    return [t for t, of in zip(trials, table().made["sources"], strict=True) if of == source]


def figures(trials: Sequence[TrialRecord]) -> list[str]:
    """How many are feasible, and the best of them: the columns of ``CANDIDATES``."""
    feasible = [(t.score.values[0], t) for t in trials if t.score and t.score.feasible]
    feasible.sort(key=lambda pair: pair[0], reverse=True)
    value, best = feasible[0]
    third = feasible[min(2, len(feasible) - 1)][0]
    shares = (best.metrics["accuracy"], best.metrics["accuracy_under_attack"])
    numbers = [str(len(feasible)), f"{value:.3f}", f"{third:.3f}"]
    return [*numbers, *(percent([share]) for share in shares)]


def inputs() -> str:
    """The inputs of the genomes that the findings are about."""
    chance = Chance(majority=0.5, examples=EXAMPLES, confidence=0.95)
    searched, measures = table().as_search(FITNESS), ("accuracy", "accuracy_under_attack")
    of = tabulate(searched, measures, chance, rung=None, describe=None, teacher=None)
    rows = [["input", "genomes", "accuracy", "under attack", "rank correlation with under attack"]]
    for name in sorted(name for name in of.descriptors if name.startswith("input_")):
        has = of.descriptors[name] == 1
        shares = [percent(of.metrics[measure][has].tolist()) for measure in measures]
        found = spearmanr(of.descriptors[name], of.metrics["accuracy_under_attack"]).statistic
        rows.append([name.removeprefix("input_"), str(has.sum()), *shares, f"{found:.2f}"])
    return markdown(rows)


def findings() -> str:
    """What the statistics say of the table's genomes, with the input held fixed."""
    found = rs.statistics(table().as_search(FITNESS), examples=EXAMPLES, given=["input"])
    left_out = sum(found.left_out.values())
    head = f"{found.n} architectures; {left_out} that are no better than chance are left out."
    return "\n".join([head, "", *(f"- {sentence}" for sentence in found.findings)])


def bounded_findings() -> str:
    """What the statistics say of genomes with bounds, the bound held fixed."""
    study, describe = bounded_genomes.committed(), bounded_genomes.described
    found = rs.statistics(study, examples=1585, describe=describe, given=["bound"])
    left_out = sum(found.left_out.values())
    head = f"{found.n} architectures; {left_out} that are no better than chance are left out."
    return "\n".join([head, "", *(f"- {sentence}" for sentence in found.findings)])


def confirmed(training: str) -> str:
    """The confirmed students, the teacher and the constant classifier.

    Trainings that ended as constant classifiers are counted and left out of the means: no attack
    changes their predictions.
    """
    data = summary()
    rows = [["student", "trainings", *COLUMNS.values()]]
    teacher = {"compression": 1.0, **data["teacher"]}
    for name, trained in {
        "teacher": [teacher],
        **{name: one["runs"] for name, one in data[training].items()},
    }.items():
        runs = [run for run in trained if not is_constant(run)]
        cells = ["-" if name == "teacher" else f"{len(runs)} of {len(trained)}"]
        for metric in COLUMNS:
            values = [run[metric] for run in runs if metric in run]
            share = percent if metric != "compression" else lambda v: f"{statistics.fmean(v):.2f}"
            cells.append(share(values) if values else "-")
        rows.append([name, *cells])
    rows.insert(2, constant_classifier())
    return markdown(rows)


def constant_classifier() -> list[str]:
    """The row of a classifier that always predicts the more frequent class.

    A training that collapsed is right for one class only, so it tells the share of that class.
    """
    runs = [run for one in summary()["robust"].values() for run in one["runs"]]
    share = next(run["accuracy"] for run in runs if is_constant(run))
    cells = {"compression": "-", "worst_class_under_searched": percent([0.0])}
    rate = percent([max(share, 1 - share)])
    return ["constant classifier", "-", *(cells.get(metric, rate) for metric in COLUMNS)]


def is_constant(run: Mapping[str, float]) -> bool:
    """Whether a student is a constant classifier: no attack succeeds, one class is all wrong."""
    worst = run.get("worst_class_under_searched", 1.0)
    return worst == 0 and run["under_searched"] == run["accuracy"]


def textattack() -> str:
    """One student under TextAttack's recipes and under ours."""
    data = summary()
    theirs = data["textattack"]
    ours = next(
        run for run in data["robust"][theirs["student"]]["runs"] if run["seed"] == theirs["seed"]
    )
    metrics = [name for name in COLUMNS if name in theirs]
    rows = [["attacked by", *(COLUMNS[name] for name in metrics)]]
    for name, one in {f"TextAttack {theirs['version']}": theirs, "rosearch": ours}.items():
        rows.append([name, *(percent([one[metric]]) for metric in metrics)])
    return markdown(rows)


@cache
def summary() -> dict[str, Any]:
    """What first_search.py confirmed."""
    found: dict[str, Any] = json.loads((DATA / SUMMARY).read_text(encoding="utf-8"))
    return found


def draw() -> None:
    """The front of the first search, and students by encodings and bounds."""
    PICTURES.mkdir(exist_ok=True)
    lead_statistics.draw("movies", PICTURES / "lead_movies.svg")
    encoding_fronts.draw(PICTURES / "fronts.svg")
    plots.save(plots.front(search()), PICTURES / "first_search.svg")


PARTS: Mapping[str, Callable[[], str]] = {
    "genomes": genomes,
    "twice": twice,
    "searches": searches,
    "inputs": inputs,
    "findings": findings,
    "confirmed-robust": lambda: confirmed("robust"),
    "confirmed-plain": lambda: confirmed("plain"),
    "textattack": textattack,
    "encodings-movies": lambda: markdown(encodings("movies")),
    "encodings-typos": lambda: markdown(typos()),
    "encodings-news": lambda: markdown(encodings("news")),
    "bounded-genomes": lambda: markdown(bounded_genomes.by_bound(bounded_genomes.committed())),
    "bounded-findings": bounded_findings,
    "bounds-movies": lambda: markdown(bounds("movies")),
    "fitted-to-all": lambda: markdown(fitted_to_all("movies")),
    "exact-models": lambda: markdown(exact_models.table()),
    "certificates": lambda: markdown(certificates.table()),
    "bounds-news": lambda: markdown(bounds("news")),
    "sentences": lambda: markdown(more_sentences.table()),
    "lead-movies": lambda: markdown(lead_tables.searches("movies")),
    "lead-news": lambda: markdown(lead_tables.searches("news")),
    "lead-news-students": lambda: markdown(lead_confirmed.students("news")),
    "lead-news-differences": lambda: markdown(lead_confirmed.differences("news")),
    "lead-news-explained": lambda: markdown(lead_statistics.explained("news")),
    "lead-news-groups": lambda: markdown(lead_statistics.groups("news")),
    "lead-news-findings": lambda: lead_statistics.findings("news"),
    "lead-rungs": lambda: markdown(
        lead_statistics.rungs({"movies": "movie reviews", "news": "BBC News"})
    ),
    "lead-movies-fittest": lambda: markdown(
        lead_tables.fittest("movies", {"search": 6, "random": 3, "hand": 3})
    ),
    "lead-movies-students": lambda: markdown(lead_confirmed.students("movies")),
    "lead-movies-differences": lambda: markdown(lead_confirmed.differences("movies")),
    "lead-movies-textattack": lambda: markdown(lead_confirmed.by_textattack("movies")),
    "lead-news-textattack": lambda: markdown(lead_confirmed.by_textattack("news")),
    "lead-movies-explained": lambda: markdown(lead_statistics.explained("movies")),
    "lead-movies-groups": lambda: markdown(lead_statistics.groups("movies")),
    "lead-movies-findings": lambda: lead_statistics.findings("movies"),
}


def markdown(rows: list[list[str]]) -> str:
    """A table with its heads in the first row, numbers to the right."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def filled(page: str, make: Callable[[str], str]) -> str:
    """The page with each marked part replaced."""
    return re.sub(
        r"(<!-- made: ([\w-]+) -->).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n\n{make(found[2])}\n\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def main(line: Sequence[str] | None = None) -> None:
    """Print, write or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    parser.add_argument("--check", action="store_true", help="fail if the page has others")
    options = parser.parse_args(line)
    page = PAGE.read_text(encoding="utf-8")
    new = filled(page, lambda name: PARTS[name]())
    if options.write:
        PAGE.write_text(new, encoding="utf-8")
        draw()
    elif options.check:
        if new != page:
            sys.exit("docs/results.md is not what the ledgers give; run this with --write.")
    else:
        for name in re.findall(r"<!-- made: ([\w-]+) -->", page):
            print(f"{name}\n\n{PARTS[name]()}\n")


if __name__ == "__main__":
    main()
