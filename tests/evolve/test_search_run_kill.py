"""A search that is killed at ten random moments ends as one that never was."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from rosearch.evolve import Evolver, load_search
from tests.evolve.evaluations import FITNESS, SPACE, Log, synthetic
from tests.evolve.helpers import Forks

KILLS = {"plain": 10, "rungs": 4}
CANDIDATES = 18

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL"),
    pytest.mark.slow,
]


class Slow(Log):
    """Takes 0.2 to 0.5 seconds and writes down when it begins and when it has ended."""

    def __init__(self, path, *, pause):
        super().__init__(path)
        self.pause = pause

    def __call__(self, genome, *, seed, rung=None):
        self.note("begin", genome, seed, rung)
        time.sleep(self.pause * (0.2 + 0.3 * (seed % 97) / 96))
        metrics = synthetic(genome, seed=seed)
        if rung == 0:
            metrics["accuracy"] -= (seed % 5) / 100
        self.note("end", genome, seed, rung)
        return metrics

    def note(self, word, genome, seed, rung):
        # One write each, so that a line is there as a whole or not at all.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{word} {genome.key} {seed} {rung}\n".encode())
        os.close(descriptor)


class SlowRungs(Slow):
    """As ``Slow``, at two rungs."""

    rungs = 2


KINDS = {"plain": Slow, "rungs": SlowRungs}


def evolver(kind, folder, *, pause=1.0, storage=None):
    log = KINDS[kind](folder / "log", pause=pause)
    return Evolver(SPACE, log, FITNESS, population=5, seed=3, storage=storage)


def url(folder):
    return f"sqlite:///{folder}/search.db"


def everything(search):
    return [
        (t.number, t.genome, t.seed, t.state, t.metrics, t.score, t.rung, t.rungs, t.scores)
        for t in search.trials
    ]


def recorded(search):
    """Evaluations that the ledger has: key, seed and rung."""
    plain = [(t.key, t.seed, None) for t in search.trials if t.state == "complete" and not t.rungs]
    return {
        *plain,
        *((t.key, t.seed, rung) for t in search.trials for rung in range(len(t.rungs))),
    }


def run(kind, folder, pause):
    search = evolver(kind, Path(folder), pause=float(pause), storage=url(folder))
    print("ready", flush=True)
    search.run(CANDIDATES, progress=False)


@pytest.fixture(scope="module")
def interpreters():
    """Two, with different seeds for hashes."""
    with Forks(run) as one, Forks(run) as other:
        yield one, other


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_killed_many_times_gives_the_uninterrupted_result(tmp_path, kind, interpreters):
    forks, others = interpreters
    (tmp_path / "whole").mkdir()
    whole = evolver(kind, tmp_path / "whole", pause=0.0).run(CANDIDATES, progress=False)
    draw = random.Random(7)
    log = Log(tmp_path / "log")

    def begun_since(lines):
        words = [line.split() for line in log.lines()[lines:]]
        return [(w[1], int(w[2]), None if w[3] == "None" else int(w[3]))
                for w in words if w[0] == "begin"]  # fmt: skip

    finished = set()
    for kill in range(KILLS[kind]):
        seen = len(log.lines())
        process = forks.start(kind, tmp_path, 1.0)
        # Half of the moments count from the first evaluation, which a busy machine begins late.
        while kill % 2 and not begun_since(seen):
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.9))
        os.kill(process, signal.SIGKILL)
        assert forks.wait() == -signal.SIGKILL
        begun = begun_since(seen)
        assert len(set(begun)) == len(begun)
        assert not finished & set(begun)
        finished = recorded(load_search(url(tmp_path)))
    seen = len(log.lines())
    others.start(kind, tmp_path, 0.0)
    assert others.wait() == 0
    assert len(begun_since(seen)) > 0, "the kills came too late"
    assert not finished & set(begun_since(seen))
    assert everything(load_search(url(tmp_path))) == everything(whole)
    begun = begun_since(0)
    assert set(begun) == recorded(whole)
    # Begun again is only what was under way at a kill.
    assert len(set(begun)) < len(begun) <= len(set(begun)) + KILLS[kind]
    states = {t.state for t in whole.trials}
    assert states == ({"complete", "stopped"} if kind == "rungs" else {"complete"})
