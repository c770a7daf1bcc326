"""How many candidates are evaluated at a time if nobody says, and where."""

from __future__ import annotations

import multiprocessing
import os
import sys
import types

import pytest

from rosearch.errors import ArgumentError
from rosearch.evolve import Evolver
from rosearch.evolve.workers import default
from rosearch.evolve.workers.default import default_executor
from tests.evolve.evaluations import FITNESS, SPACE, Asking, synthetic

GUARDED = "import rosearch\n\nif __name__ == '__main__':\n    rosearch.main()\n"


def main_module(monkeypatch, path=None):
    module = types.ModuleType("__main__")
    if path is not None:
        module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "search.py"
    path.write_text(GUARDED)
    main_module(monkeypatch, path)
    return path


@pytest.fixture
def chosen(caplog):
    """What is chosen for an evaluation, and the log."""

    def choose(evaluate, most=4, reason="overlap=1"):
        caplog.clear()
        with caplog.at_level("INFO", "rosearch"):
            return default_executor(evaluate, most, reason=reason), caplog.text

    return choose


def test_as_many_processes_as_asked_for_and_of_use(script, chosen, tmp_path):
    count, log = chosen(Asking(tmp_path, 3))
    assert count == 3
    assert "3 candidates at a time" in log
    assert chosen(Asking(tmp_path, 8))[0] == 4
    count, log = chosen(Asking(tmp_path, 8), most=1)
    assert count is None
    assert "in this process: overlap=1" in log


def test_who_does_not_ask_gets_this_process(script, chosen, tmp_path):
    assert chosen(synthetic) == (None, "")
    assert chosen(Asking(tmp_path, 1)) == (None, "")
    with pytest.raises(ArgumentError, match=r"evaluate\.processes must be a whole number from 1"):
        chosen(Asking(tmp_path, 0))


def test_what_cannot_be_pickled_stays(script, chosen, tmp_path):
    evaluate = Asking(tmp_path)
    evaluate.hook = lambda: None
    count, log = chosen(evaluate)
    assert count is None
    assert "cannot be pickled" in log


def test_a_script_without_a_main_guard_is_not_run_again(script, chosen, tmp_path):
    script.write_text("import rosearch\nrosearch.main()\n")
    count, log = chosen(Asking(tmp_path))
    assert count is None
    assert "search.py has no `if __name__" in log
    script.unlink()
    assert chosen(Asking(tmp_path))[0] is None


def test_a_notebook_uses_processes_unless_they_need_what_it_defines(chosen, tmp_path, monkeypatch):
    notebook = main_module(monkeypatch)
    assert chosen(Asking(tmp_path))[0] == 2
    monkeypatch.setattr(default, "plug_in_modules", lambda: ("__main__",))
    assert chosen(Asking(tmp_path))[0] is None
    monkeypatch.setattr(default, "plug_in_modules", lambda: ())

    class Own(Asking):
        __module__ = "__main__"
        __qualname__ = "Own"

    notebook.Own = Own
    count, log = chosen(Own(tmp_path))
    assert count is None
    assert "cannot import what a notebook defines" in log


def test_a_worker_process_starts_no_others(script, chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    count, log = chosen(Asking(tmp_path))
    assert count is None
    assert "worker process itself" in log


def processes_of(folder):
    return [int(path.read_text()) for path in folder.iterdir()]


def run(evaluate, candidates=4, **settings):
    evolver = Evolver(SPACE, evaluate, FITNESS, population=3, seed=2, **settings)
    return [(t.key, t.score) for t in evolver.run(candidates, progress=False).trials]


def test_a_search_with_overlap_uses_the_processes(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = run(Asking(tmp_path / "here", 1), overlap=2)
    there = run(Asking(tmp_path / "there"), overlap=2)
    assert there == here
    assert set(processes_of(tmp_path / "here")) == {os.getpid()}
    assert os.getpid() not in processes_of(tmp_path / "there")


@pytest.mark.parametrize(("candidates", "overlap"), [(4, None), (1, 2)])
def test_a_search_whose_order_matters_stays(tmp_path, candidates, overlap):
    run(Asking(tmp_path), candidates, overlap=overlap)
    assert set(processes_of(tmp_path)) == {os.getpid()}
