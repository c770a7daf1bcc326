"""The scripts of the table, the first search and its results, in order, on something tiny."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tabular import Table

import rosearch as rs

FITNESS = rs.Fitness({"robustness": 1.0, "accuracy": 1.0})
PAGE = """# Results

<!-- made: genomes --><!-- end -->
<!-- made: searches --><!-- end -->
<!-- made: twice --><!-- end -->
Words between.
<!-- made: confirmed-robust -->
old
<!-- end -->
<!-- made: confirmed-plain --><!-- end -->
"""


@pytest.fixture
def scripts(
    large_teacher: Path,
    dataset: rs.TextDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The modules of benchmarks/, with a small space, little text and one quick attack."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # they add a folder
    import first_search
    import make_tabular
    import movie_search
    import reproduce_results

    splits = dataset.split(80, 40, 40, seed=0)
    attack = ("deepwordbug",)

    def space(teacher: rs.Teacher) -> rs.SearchSpace:
        return rs.SearchSpace(
            nodes=(0, 2), widths=(64, 128), embedding_widths=(32, 64, 128), teacher=teacher
        )

    def distiller(teacher: Any, train: Any, dev: Any, *, robust: bool = True) -> rs.Distiller:
        words = rs.distill.WordPerturbation(
            rs.attack.WordReplacements(attack), ramp=0.5, learnt=0.0
        )
        return rs.Distiller(
            teacher, train, dev, epochs=2, perturbation=words if robust else None, progress=False
        )

    whole = [rs.Rung(epochs=2, examples=3), rs.Rung()]

    def pipeline(teacher: Any, train: Any, dev: Any, *, rungs: Any = whole) -> rs.Pipeline:
        attacker = rs.RobustnessEvaluator(attack, dev, examples=6, progress=False)
        return rs.Pipeline(distiller(teacher, train, dev), attacker, rungs=rungs)

    for name, made in {"space": space, "distiller": distiller, "pipeline": pipeline}.items():
        monkeypatch.setattr(movie_search, name, made)
    monkeypatch.setattr(movie_search, "splits", lambda: splits)
    monkeypatch.setattr(make_tabular, "space", space)
    monkeypatch.setattr(make_tabular, "pipeline", pipeline)
    monkeypatch.setattr(make_tabular, "splits", lambda: splits)
    monkeypatch.setattr(first_search, "ATTACKS", attack)
    monkeypatch.setattr(first_search, "UNSEEN", ("deepwordbug",))
    for module in (make_tabular, first_search, reproduce_results):
        monkeypatch.setattr(module, "FITNESS", FITNESS)
    data = tmp_path / "data"
    monkeypatch.setattr(make_tabular, "FILE", tmp_path / "table.json.gz")
    for module in (make_tabular, first_search, reproduce_results):
        monkeypatch.setattr(module, "JOURNAL", data / "tabular.journal.gz")
    for module in (make_tabular, reproduce_results):
        monkeypatch.setattr(module, "AGAIN_JOURNAL", data / "tabular_again.journal.gz")
    for module in (make_tabular, first_search, reproduce_results):
        monkeypatch.setattr(module, "SEARCH_JOURNAL", data / "first_search.journal.gz")
    monkeypatch.setattr(first_search, "DATA", data)
    monkeypatch.setattr(reproduce_results, "DATA", data)
    columns = {"compression": "compression", "accuracy": "accuracy", "under_searched": "under"}
    monkeypatch.setattr(reproduce_results, "COLUMNS", columns | {"under_unseen": "unseen"})
    monkeypatch.setattr(reproduce_results, "load", lambda: Table.read(tmp_path / "table.json.gz"))
    monkeypatch.setattr(reproduce_results, "PAGE", tmp_path / "docs" / "results.md")
    monkeypatch.setattr(reproduce_results, "PICTURES", tmp_path / "docs" / "_static")
    # What they remember is of the committed ledgers before, and of these small ones after.
    remembered = [m for m in vars(reproduce_results).values() if hasattr(m, "cache_clear")]
    for function in remembered:
        function.cache_clear()
    yield make_tabular, first_search, reproduce_results
    for function in remembered:
        function.cache_clear()


@pytest.mark.slow
def test_from_the_table_to_the_page(scripts: Any, large_teacher: Path, tmp_path: Path) -> None:
    make_tabular, first_search, reproduce_results = scripts
    pytest.importorskip("matplotlib")
    options = argparse.Namespace(
        candidates=6, workers=1, teacher=str(large_teacher), out=tmp_path / "table",
        export=tmp_path / "table.json.gz", table=tmp_path / "table",
        search=tmp_path / "search",
    )  # fmt: skip
    make_tabular.make(options)
    make_tabular.export(options)
    table = Table.read(options.export)
    assert len(table) == 6
    assert table.made["sources"] == ["random", "random", "mutants"] * 2
    assert all(low["seconds"] < high["seconds"] for low, high in zip(*table.rungs, strict=True))

    # A machine without the study goes on from the committed one.
    options.out = tmp_path / "elsewhere"
    make_tabular.make(options)
    first, again = (rs.load_search(tmp_path / name / "study.db") for name in ("table", "elsewhere"))
    assert [t.metrics for t in again.trials] == [t.metrics for t in first.trials]

    options.out, options.candidates = tmp_path / "search", 4
    teacher = rs.Teacher.from_pretrained(large_teacher)
    first_search.search(options, teacher)
    first_search.confirm(options, teacher)
    first_search.export(options, teacher)
    options.out = tmp_path / "table"
    make_tabular.again(options)
    make_tabular.export(options)
    joined = Table.read(options.export)
    assert len(joined) == 10
    assert joined.made["sources"][6:] == ["searched"] * 4
    assert table.made["trainings"] == [1] * 6
    assert joined.made["trainings"] == [2] * 10
    second = {t.key: t.metrics for t in rs.load_search(tmp_path / "table/again/study.db").trials}
    for genome, row in zip(table.genomes, table.rungs[-1], strict=True):
        both = (row["accuracy"], second[genome.key]["accuracy"])
        assert joined.metrics(genome)["accuracy"] == pytest.approx(sum(both) / 2)
        assert joined.metrics(genome, rung=0) == table.metrics(genome, rung=0)
        assert joined.metrics(genome)["seconds"] == row["seconds"]
    confirmed = json.loads((tmp_path / "data" / "first_search.json").read_text())
    names = ["search 1", "random 1", "random 2", "random 3", "bag of words"]
    assert set(names) <= set(confirmed["robust"])
    assert set(confirmed["plain"]) == {"search 1", "random 1", *list(confirmed["robust"])[6:]}
    trained = [one for part in ("robust", "plain") for one in confirmed[part].values()]
    assert all(len(one["runs"]) == 3 for one in trained)
    assert confirmed["teacher"].keys() >= {"accuracy", "under_searched", "under_unseen"}
    plain = [run["dev_accuracy"] for run in confirmed["plain"]["bag of words"]["runs"]]
    robust = [run["dev_accuracy"] for run in confirmed["robust"]["bag of words"]["runs"]]
    assert plain != robust

    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    with pytest.raises(SystemExit, match="is not what the ledgers give"):
        reproduce_results.main(["--check"])
    reproduce_results.main(["--write"])
    reproduce_results.main(["--check"])
    text = page.read_text()
    assert "\nWords between.\n" in text
    assert "\nold\n" not in text
    assert "| random samples | 4 |" in text
    assert "| proposed by the search below | 4 |" in text
    assert "| chosen by a model | 4 |" in text
    assert "| trained twice | 10 |" in text
    assert "| of them random samples | 4 |" in text
    assert text.count("| bag of words |") == text.count("| teacher | - | 1.00 |") == 2
    assert (page.parent / "_static" / "first_search.svg").stat().st_size > 1000
