"""Reading a study without its evaluation."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import optuna
import pytest
from sqlalchemy import create_engine, inspect, make_url, text

import rosearch as rs
from rosearch.errors import EvaluationError, RegistryError, StorageError
from rosearch.fitness import Fitness, fitness_terms
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.servers import SERVERS, server_url


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
def test_a_loaded_study_equals_the_result_of_its_evolver(url, fitness):
    search = made(url, fitness)
    loaded = rs.load_search(url)
    assert loaded == search
    assert loaded.best == search.best
    assert loaded.settings["fitness"] == search.settings["fitness"]
    assert loaded.versions["rosearch"] == rs.__version__
    with pytest.raises(EvaluationError, match="were not kept"):
        _ = loaded.best.student


def test_loading_writes_nothing(url, tmp_path):
    made(url)
    path = tmp_path / "search.db"
    with sqlite3.connect(path) as database:
        before = list(database.iterdump())
    rs.load_search(path, "films")  # a path will do
    with sqlite3.connect(path) as database:
        assert list(database.iterdump()) == before


@pytest.mark.parametrize("tail", ["{}", "file:{}?mode=rwc&uri=true"])
def test_a_database_of_another_program_is_not_changed(tmp_path, tail):
    path = tmp_path / "photos #1.db" if tail == "{}" else tmp_path / "photos.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE studies (name TEXT)")
    before = path.read_bytes()
    storage = path if tail == "{}" else "sqlite:///" + tail.format(path)
    with pytest.raises(StorageError, match="holds no studies of Optuna"):
        rs.load_search(storage)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_is_not_changed(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StorageError, match="holds no studies of Optuna"):
        rs.load_search(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+pysqlite"])
def test_a_missing_file_is_not_created(tmp_path, driver):
    with pytest.raises(StorageError, match="there is no file"):
        rs.load_search(f"{driver}:///{tmp_path}/nothing.db")
    assert not list(tmp_path.iterdir())


def test_an_error_names_a_file_that_is_not_a_database(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("not a database " * 100)
    with pytest.raises(StorageError, match="not an SQLite database"):
        rs.load_search(path)


def test_a_study_can_be_loaded_after_its_writer_was_killed(url, tmp_path):
    search = made(url)
    path = tmp_path / "search.db"
    code = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('CREATE TABLE large (x)')\n"
        "database.executemany('INSERT INTO large VALUES (?)', [('x' * 5000,)] * 200)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "search.db-journal").stat().st_size > 0  # what is to be rolled back
    assert rs.load_search(path) == search


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_without_studies_is_not_changed(name):
    """In a schema of its own; MySQL's word for a schema is database."""
    driver, where = {
        "postgres": ("postgresql+psycopg", "?options=-csearch_path%3Dreading"),
        "mysql": ("mysql+pymysql", "reading"),
    }[name]
    server = make_url(server_url(name)).set(drivername=driver)
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(
            text("DROP SCHEMA IF EXISTS reading" + (" CASCADE" if name == "postgres" else ""))
        )
        connection.execute(text("CREATE SCHEMA reading"))
    given = server_url(name)
    url = given + where if name == "postgres" else given.rpartition("/")[0] + "/" + where
    with pytest.raises(StorageError, match="holds no studies of Optuna"):
        rs.load_search(url)
    assert inspect(engine).get_table_names("reading") == []
    search = made(url)
    assert rs.load_search(url) == search
    engine.dispose()


def test_a_journal_file(tmp_path):
    url = f"journal:///{tmp_path}/search.log"
    assert rs.load_search(made(url) and url).study == "films"


def test_errors_list_the_existing_studies(url, tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        rs.load_search(url)
    assert not list(tmp_path.iterdir())
    made(url)
    made(url, study="plays")
    with pytest.raises(StorageError, match=r"no name was given. Studies: 'films', 'plays'"):
        rs.load_search(url)
    with pytest.raises(StorageError, match="there is no study 'books'"):
        rs.load_search(url, "books")
    optuna.create_study(storage=url, study_name="other")
    with pytest.raises(StorageError, match="rosearch did not make the study 'other'"):
        rs.load_search(url, "other")


def test_an_error_names_a_term_that_is_not_registered(url):
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
