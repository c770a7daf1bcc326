"""Child processes: copies of one that has loaded PyTorch, or interpreters of their own."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch

from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers import child_processes, start_method
from rosearch.evolve.workers.child_processes import ChildProcesses
from rosearch.evolve.workers.evaluation import Shared
from tests.evolve.evaluations import SPACE

CANDIDATE = Candidate(0, SPACE.sample(seed=0), 0)
needs_copies = pytest.mark.skipif(
    sys.platform != "linux" or torch.cuda.is_available(), reason="children are not copies here"
)


def process(genome, *, seed):
    return {"process": os.getpid(), "parent": os.getppid()}


def variables(genome, *, seed):
    return {name: 1.0 for name in os.environ if name.startswith("OF_THIS_TEST")}


def draws(genome, *, seed):
    return {"numpy": float(np.random.rand())}  # noqa: NPY002


def multiplied(genome, *, seed):
    torch.set_num_threads(2)
    return {"corner": float((torch.ones(1500, 1500) @ torch.ones(1500, 1500))[0, 0])}


def own_memory(genome, *, seed):
    def unshared():
        return psutil.Process().memory_full_info().uss

    before = unshared()
    gc.collect()
    return {"grown": unshared() - before}


def outcomes(evaluate, children=2):
    """The outcome in each of as many new children."""
    found = []
    for _ in range(children):
        pool = ChildProcesses(1)
        try:
            found.append(pool.evaluate(Shared.of(evaluate), CANDIDATE, None))
        finally:
            pool.close()
    assert [outcome.failure for outcome in found] == [None] * children
    return [dict(outcome.metrics) for outcome in found]


@needs_copies
def test_children_are_copies_of_one_process():
    torch.ones(1500, 1500) @ torch.ones(1500, 1500)  # threads of this process
    first, second = outcomes(process)
    assert first["process"] != second["process"]
    assert first["parent"] == second["parent"] != os.getpid()
    assert outcomes(multiplied) == [{"corner": 1500.0}] * 2


def test_a_child_has_the_environment_of_the_moment(monkeypatch):
    outcomes(process, 1)
    monkeypatch.setenv("OF_THIS_TEST_1", "")
    monkeypatch.setenv("OF_THIS_TEST_2", "")
    assert outcomes(variables, 1) == [{"OF_THIS_TEST_1": 1.0, "OF_THIS_TEST_2": 1.0}]
    monkeypatch.delenv("OF_THIS_TEST_1")
    assert outcomes(variables, 1) == [{"OF_THIS_TEST_2": 1.0}]


def test_children_draw_different_numbers():
    first, second = outcomes(draws)
    assert first != second


def test_children_are_started_afresh_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(start_method, "_has_gpu", lambda: True)
    context = start_method.process_context.__wrapped__()
    assert isinstance(context, multiprocessing.context.SpawnContext)
    monkeypatch.setattr(child_processes, "process_context", lambda: context)
    first, second = outcomes(process)
    assert first["process"] != second["process"]
    assert first["parent"] == second["parent"] == os.getpid()


@needs_copies
def test_a_garbage_collection_copies_no_inherited_memory():
    (found,) = outcomes(own_memory, 1)
    assert found["grown"] < 10 * 2**20


@needs_copies
@pytest.mark.parametrize("hindrance", ["long TMPDIR", "hidden module"])
def test_children_are_started_afresh_where_copies_cannot_be(hindrance, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from rosearch.evolve.workers.child_processes import ChildProcesses\n"
        "from rosearch.evolve.workers.start_method import process_context\n"
        "if __name__ == '__main__':\n"
        "    children = ChildProcesses(1)\n"
        "    children.start()\n"
        "    children._idle[0]._wait_for_start()\n"
        "    children.close()\n"
        "    print(process_context().get_start_method())\n"
    )
    environment, folder = dict(os.environ), tmp_path / "other"
    folder.mkdir()
    if hindrance == "long TMPDIR":
        long = tmp_path / ("long" * 30)
        long.mkdir()
        environment["TMPDIR"] = str(long)
    else:
        (folder / "networkx.py").write_text("raise RuntimeError\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["spawn"], done.stderr
