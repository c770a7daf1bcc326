"""Reading a study without its evaluation."""

from __future__ import annotations

import sqlite3

import optuna
import pytest

import rosearch as rs
from rosearch.errors import EvaluationError, RegistryError, StorageError
from rosearch.fitness import Fitness, fitness_terms
from tests.evolve.evaluations import FITNESS, SPACE, synthetic


def made(url, fitness=FITNESS, study="films"):
    evolver = rs.Evolver(SPACE, synthetic, fitness, storage=url, study=study, population=4)
    return evolver.run(candidates=8, progress=False)


@pytest.mark.parametrize(
    "fitness",
    [
        FITNESS,
        Fitness({"accuracy": 1.0, "compression": -0.1}, constraints={"compression": (None, 9.0)}),
        Fitness.pareto(["robustness", "compression"], constraints={"accuracy": (0.6, None)}),
    ],
)
def test_a_study_reads_as_its_evolver_had_it(url, fitness):
    search = made(url, fitness)
    loaded = rs.load_search(url)
    assert loaded == search
    assert loaded.best == search.best
    assert loaded.settings["fitness"] == search.settings["fitness"]
    assert loaded.versions["rosearch"] == rs.__version__
    with pytest.raises(EvaluationError, match="were not kept"):
        _ = loaded.best.student


def test_reading_writes_nothing(url, tmp_path):
    made(url)
    path = tmp_path / "search.db"
    with sqlite3.connect(path) as database:
        before = list(database.iterdump())
    rs.load_search(path, "films")  # a path will do
    with sqlite3.connect(path) as database:
        assert list(database.iterdump()) == before


def test_a_journal_file(tmp_path):
    url = f"journal:///{tmp_path}/search.log"
    assert rs.load_search(made(url) and url).study == "films"


def test_what_is_not_there_is_named(url, tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        rs.load_search(url)
    assert not list(tmp_path.iterdir())
    made(url)
    made(url, study="plays")
    with pytest.raises(StorageError, match=r"no name was given. Studies: 'films', 'plays'"):
        rs.load_search(url)
    with pytest.raises(StorageError, match="no study 'books' is there"):
        rs.load_search(url, "books")
    optuna.create_study(storage=url, study_name="other")
    with pytest.raises(StorageError, match="rosearch did not make the study 'other'"):
        rs.load_search(url, "other")


def test_a_term_that_is_not_registered_is_named(url):
    class Odd(rs.FitnessTerm):
        """Accuracy by another name."""

        metric = "accuracy"
        direction = "maximize"

    fitness_terms.register("odd")(Odd)
    try:
        made(url, Fitness({"odd": 1.0}))
    finally:
        fitness_terms._entries.pop("odd")
    with pytest.raises(RegistryError, match="import the module that registers"):
        rs.load_search(url)
