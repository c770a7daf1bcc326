"""Comparisons run the searches of Evolver.run, with simulated time and equal budgets."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution, SurrogateEvolution
from rosearch.evolve.comparison.compare import compare
from rosearch.evolve.successive_halving import InFull, SuccessiveHalving
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.keyboard import interrupted_when

STRATEGIES = {"random": RandomSearch(), "evolution": RegularizedEvolution(population=5)}
LIMITED = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.72, None)})


class InRungs:
    """Two rungs, of which the first takes 2 seconds and the second 7 to 9 more."""

    rungs = 2

    def __init__(self, fails=False):
        self.fails = fails

    def __call__(self, genome, *, seed, rung=None):
        if self.fails and rung == 1 and seed % 5 == 0:
            raise RuntimeError(f"seed {seed}")
        metrics = synthetic(genome, seed=seed)
        if rung == 0:
            return metrics | {"accuracy": metrics["accuracy"] - 0.1 * (seed % 2), "seconds": 2.0}
        return metrics | {"seconds": 9.0 + seed % 3}


def sometimes(genome, *, seed):
    if seed % 5 == 0:
        raise RuntimeError(f"seed {seed}")
    if seed % 5 == 1:
        return {"accuracy": math.nan, "accuracy_under_attack": 0.1, "compression": 2.0}
    return synthetic(genome, seed=seed)


IN_RUNGS = InRungs()


def compared(evaluate=IN_RUNGS, fitness=FITNESS, strategies=STRATEGIES, space=SPACE, **settings):
    settings = {"candidates": 25, "seeds": 2, "progress": False} | settings
    return compare(strategies, evaluate, space, fitness, **settings)


def only(evaluate, **settings):
    """The single run of a random search."""
    strategies = {"random": RandomSearch()}
    found = compared(evaluate, strategies=strategies, **{"seeds": 1, "candidates": 9} | settings)
    return found.runs["random"][0]


def durations(run):
    return np.diff(run.seconds, prepend=0.0).tolist()


def best_so_far(trials):
    values = [
        t.score.values[0] if t.state == "complete" and t.score.feasible else math.nan
        for t in trials
    ]
    return np.fmax.accumulate(values).tolist()


CASES = {
    "in full": (synthetic, FITNESS, None),
    "failures": (sometimes, FITNESS, None),
    "constraint": (synthetic, LIMITED, None),
    "last rung only": (InFull(InRungs()), FITNESS, None),
    "halving": (InRungs(), FITNESS, SuccessiveHalving(2)),
    "rungs that fail": (InRungs(fails=True), FITNESS, SuccessiveHalving()),
}


@pytest.mark.parametrize("case", CASES)
def test_searches_are_those_of_evolver_run(case):
    evaluate, fitness, rule = CASES[case]
    found = compared(evaluate, fitness, seeds=[7, 0], fidelity=rule)
    assert list(found.runs) == list(STRATEGIES)
    for name, runs in found.runs.items():
        assert [run.seed for run in runs] == [7, 0]
        for run in runs:
            evolver = Evolver(
                SPACE, evaluate, fitness, strategy=STRATEGIES[name], seed=run.seed, fidelity=rule
            )
            trials = evolver.run(25, progress=False).trials
            np.testing.assert_array_equal(run.best, best_so_far(trials))
    finals = [run.final for runs in found.runs.values() for run in runs]
    assert found.best == np.nanmax(finals)


def test_metric_seconds_is_the_simulated_time():
    assert durations(only(synthetic)) == [1.0] * 9
    assert set(durations(only(InRungs()))) <= {9.0, 10.0, 11.0}
    halved = durations(only(InRungs(), fidelity=SuccessiveHalving(), candidates=25))
    assert set(halved) == {2.0, 9.0, 10.0, 11.0}  # a whole trial, or its first rung


class Fails:
    """Fails with the first and every third evaluation; number ``n`` takes ``10 n`` seconds."""

    def __init__(self):
        self.calls = 0

    def __call__(self, genome, *, seed):
        self.calls += 1
        if self.calls == 1 or self.calls % 3 == 0:
            raise RuntimeError("out of luck")
        return synthetic(genome, seed=seed) | {"seconds": 10.0 * self.calls}


def test_failed_evaluation_takes_the_median_time():
    # 1 second where nothing is known; then the medians of 20, of 20 40 50, of 20 40 50 70 80.
    assert durations(only(Fails())) == [1, 20, 20, 40, 50, 40, 70, 80, 50]


def test_failed_rung_takes_the_median_time_of_that_rung():
    run = only(InRungs(fails=True), fidelity=SuccessiveHalving(1), candidates=30)
    assert np.isin(durations(run)[2:], [9.0, 9.5, 10.0, 10.5, 11.0]).all()
    assert (np.diff(run.best) == 0).any()


def test_exhausted_space_ends_a_search():
    small = SearchSpace(nodes=(0, 0), widths=(64, 128), embedding_widths=(32,), poolings=("mean",))
    run = only(synthetic, space=small, candidates=1000)
    assert 2 <= len(run.best) < 1000


def test_only_feasible_candidates_count():
    run = only(synthetic, fitness=LIMITED, candidates=40)
    assert math.isfinite(run.final)
    nothing = Fitness({"robustness": 1.0}, constraints={"accuracy": (2.0, None)})
    with pytest.raises(ValueError, match="feasible"):
        compared(fitness=nothing, candidates=5)


def test_searches_that_find_nothing_feasible(tmp_path):
    nothing = Fitness({"robustness": 1.0}, constraints={"accuracy": (2.0, None)})
    found = compared(fitness=nothing, candidates=5, best=1.0)
    assert all(not np.isfinite(found.reached(name)).any() for name in STRATEGIES)
    assert all(math.isnan(run.final) for runs in found.runs.values() for run in runs)
    assert "0%" in str(found)
    found.plot(tmp_path / "empty.svg", by="seconds")


def in_two_rungs(genome, *, seed, rung):
    return synthetic(genome, seed=seed) | {"seconds": rung + 1.0}


in_two_rungs.rungs = 2


def test_evaluation_that_requires_its_rung_is_run_in_full_without_a_rule():
    strategies = {"full": RandomSearch(), "halved": RandomSearch()}
    rules = {"halved": SuccessiveHalving()}
    found = compared(in_two_rungs, strategies=strategies, candidates=9, fidelity=rules)
    assert [run.seconds[-1] for run in found.runs["full"]] == [18.0, 18.0]
    assert all(run.seconds[-1] < 18 for run in found.runs["halved"])


def flaky(genome, *, seed):
    if seed % 2:
        raise MemoryError("no memory left")
    return synthetic(genome, seed=seed)


def test_search_that_starts_with_failures_goes_on():
    found = compared(flaky, strategies={"r": RandomSearch()}, candidates=20, seeds=20)
    started = [run for run in found.runs["r"] if np.isnan(run.best[:3]).all()]
    assert started  # with three equal failures
    assert all(math.isfinite(run.final) for run in started)


def nan_seconds(genome, *, seed):
    return synthetic(genome, seed=seed) | {"seconds": math.nan}


def misspelt(genome, sed):
    return {}


@pytest.mark.parametrize(("evaluate", "text"), [(nan_seconds, "got nan"), (misspelt, "'seed'")])
def test_error_of_every_evaluation_is_raised(evaluate, text):
    with pytest.raises(EvaluationError, match=rf"(?s)same error.*{text}"):
        compared(evaluate, candidates=9, best=1.0)


def figures(comparison):
    return [
        (name, run.seed, run.best.tolist(), run.seconds.tolist())
        for name, runs in comparison.runs.items()
        for run in runs
    ]


@pytest.mark.slow
def test_processes_give_equal_results():
    strategies = STRATEGIES | {"surrogate": SurrogateEvolution(initial=3, pool=10)}
    settings = {"strategies": strategies, "candidates": 8, "seeds": 3}
    here = compared(**settings)  # these strategies have been used when they are sent
    assert figures(compared(workers=2, **settings)) == figures(here)


class Waiting:
    """Never returns, and leaves the number of its process in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, genome, *, seed):
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)


@pytest.mark.slow
def test_ctrl_c_ends_the_processes_at_once(tmp_path):
    with interrupted_when(lambda: len(list(tmp_path.iterdir())) == 2):
        compared(Waiting(tmp_path), seeds=8, workers=2)
    processes = [int(path.name) for path in tmp_path.iterdir()]
    assert len(processes) == 2
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, processes))


class Dies:
    """Ends its process, as the kernel does when memory is short."""

    def __call__(self, genome, *, seed):
        os.kill(os.getpid(), signal.SIGKILL)


class Wrong(RandomSearch):
    """A strategy with a mistake in it."""

    def propose(self, *args, **settings):
        raise ZeroDivisionError("a mistake")


@pytest.mark.slow
def test_errors_in_a_process_are_raised():
    with pytest.raises(EvaluationError, match=r"search of 'random' died .*fewer workers"):
        compared(Dies(), seeds=1, workers=1)
    with pytest.raises(EvaluationError, match=r"search of 'wrong' failed: ZeroDivisionError: a"):
        compared(strategies={"wrong": Wrong()}, seeds=1, workers=1)


@pytest.mark.parametrize(
    "settings",
    [
        *({"seeds": seeds} for seeds in ([0, 1, 0], 0, "12", True, None)),
        *({name: value} for name in ("candidates", "workers") for value in (0, 1.5)),
        *({"best": value} for value in (math.nan, math.inf)),
        *({"strategies": value} for value in (["random"], {})),
        {"fitness": Fitness.pareto(["robustness", "compression"])},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(settings):
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} must be"):
        compared(**settings)


def test_unknown_names_and_unpicklable_evaluations_are_refused():
    with pytest.raises(ValueError, match="'other'"):
        compared(fidelity={"other": None})
    with pytest.raises(EvaluationError, match="worker processes"):
        compared(lambda genome, *, seed: {}, workers=2)
