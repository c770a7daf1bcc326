"""Searches without a storage are those of the Evolver, and comparisons count right."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.evolve.test_processes import needs_proc, wait_for_end

from rosearch.errors import EvaluationError
from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution
from rosearch.evolve.comparison.result import Comparison, SimulatedRun
from rosearch.evolve.comparison.simulate import compare, simulate
from rosearch.evolve.comparison.tabular import TabularEvaluation, TabularSpace
from rosearch.evolve.successive_halving import InFull, SuccessiveHalving
from rosearch.fitness import Fitness
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.keyboard import interrupted_when
from tests.evolve.tables import small_table

TABLE = small_table()
TABULAR = TabularSpace(TABLE)
FIGURES = TabularEvaluation(TABLE)


def sequence(trials):
    return [
        (t.number, t.key, t.seed, t.state, dict(t.metrics), t.score, t.rung, t.rungs, t.scores)
        for t in trials
    ]


def sometimes(genome, *, seed):
    if seed % 5 == 0:
        raise RuntimeError(f"no luck with {seed}")
    if seed % 5 == 1:
        return {"accuracy": math.nan, "accuracy_under_attack": 0.1, "compression": 2.0}
    return synthetic(genome, seed=seed)


class Costed:
    """Its compression is known before."""

    def __call__(self, genome, *, seed):
        return synthetic(genome, seed=seed)

    def cost(self, genome):
        return {"compression": synthetic(genome, seed=0)["compression"]}


class FailsLater:
    """Some candidates fail at their second rung."""

    rungs = 2

    def __call__(self, genome, *, seed, rung=None):
        if rung == 1 and seed % 3 == 0:
            raise RuntimeError(f"no luck with {seed}")
        return FIGURES(genome, seed=seed, rung=rung)


LIMITED = Fitness({"robustness": 1.0}, constraints={"compression": (6.0, None)})
PARETO = Fitness.pareto(["robustness", "compression"])
CASES = {
    "evolution": (SPACE, synthetic, FITNESS, {"population": 5}),
    "random": (SPACE, synthetic, FITNESS, {"strategy": RandomSearch()}),
    "overlap": (SPACE, synthetic, FITNESS, {"population": 5, "overlap": 3}),
    "seeds": (SPACE, synthetic, FITNESS, {"seeds": [SPACE.sample(seed=9), SPACE.sample(seed=8)]}),
    "failures": (SPACE, sometimes, FITNESS, {"population": 5}),
    "limits": (SPACE, Costed(), LIMITED, {"population": 5}),
    "pareto": (SPACE, synthetic, PARETO, {"population": 5}),
    "full": (TABULAR, InFull(FIGURES), FITNESS, {"population": 5}),
    "rungs": (TABULAR, FIGURES, FITNESS, {"population": 5}),
    "halving": (TABULAR, FIGURES, FITNESS, {"fidelity": SuccessiveHalving(2), "overlap": 2}),
    "rungs that fail": (TABULAR, FailsLater(), FITNESS, {"population": 5}),
}
STATES = {
    "failures": {"complete", "failed"},
    "rungs": {"complete", "stopped"},
    "halving": {"complete", "stopped"},
    "rungs that fail": {"complete", "stopped", "failed"},
}


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("case", CASES)
def test_a_simulation_is_the_search_itself(case, seed):
    space, evaluate, fitness, settings = CASES[case]
    evolver = Evolver(space, evaluate, fitness, seed=seed, **settings)
    trials = simulate(space, evaluate, fitness, seed=seed, candidates=25, **settings)
    assert sequence(trials) == sequence(evolver.run(25, progress=False).trials)
    assert {t.state for t in trials} == STATES.get(case, {"complete"})


def test_it_stops_where_the_space_is_exhausted():
    trials = simulate(TABULAR, InFull(FIGURES), FITNESS, strategy=RandomSearch(), candidates=1000)
    assert 40 < len(trials) <= len(TABLE)
    assert all(t.state == "complete" for t in trials)


def test_the_metric_seconds_is_the_time():
    trials = simulate(TABULAR, InFull(FIGURES), FITNESS, candidates=10)
    assert [t.seconds for t in trials] == [t.metrics["seconds"] for t in trials]
    for trial in simulate(TABULAR, FIGURES, FITNESS, candidates=10):
        assert trial.seconds == pytest.approx(trial.metrics["seconds"])
    assert all(t.seconds == 1.0 for t in simulate(SPACE, synthetic, FITNESS, candidates=5))


class Fails:
    """Fails with the first and every third evaluation; number ``n`` takes ``10 n`` seconds."""

    def __init__(self):
        self.calls = 0

    def __call__(self, genome, *, seed):
        self.calls += 1
        if self.calls == 1 or self.calls % 3 == 0:
            raise RuntimeError("no luck")
        return synthetic(genome, seed=seed) | {"seconds": 10.0 * self.calls}


def test_a_failed_evaluation_takes_as_long_as_the_others():
    trials = simulate(SPACE, Fails(), FITNESS, candidates=9)
    assert [t.state == "failed" for t in trials] == [c == 1 or c % 3 == 0 for c in range(1, 10)]
    # 1 second where nothing is known; then the medians of 20, of 20 40 50, of 20 40 50 70 80.
    assert [t.seconds for t in trials] == [1, 20, 20, 40, 50, 40, 70, 80, 50]


def test_a_budget_of_seconds_ends_a_search_that_fails():
    trials = simulate(SPACE, Fails(), FITNESS, candidates=9, seconds=70.0)
    assert len(trials) == 4


def test_a_failed_rung_takes_as_long_as_others_of_that_rung():
    trials = simulate(TABULAR, FailsLater(), FITNESS, candidates=25)
    spent = [t.metrics["seconds"] - t.rungs[0]["seconds"] for t in trials if len(t.rungs) == 2]
    first = next(t.number for t in trials if len(t.rungs) == 2)
    failed = [t for t in trials if t.state == "failed" and t.number > first]
    assert failed
    assert min(spent) > max(t.rungs[0]["seconds"] for t in trials)
    for trial in failed:
        assert min(spent) <= trial.seconds - trial.rungs[0]["seconds"] <= max(spent)


def test_a_budget_of_seconds_ends_the_search():
    trials = simulate(TABULAR, FIGURES, FITNESS, candidates=50, seconds=60.0)
    whole = simulate(TABULAR, FIGURES, FITNESS, candidates=50)
    assert 60 <= sum(t.seconds for t in trials) < 60 + 11
    assert sequence(trials) == sequence(whole[: len(trials)])


def test_it_costs_little():
    simulate(TABULAR, FIGURES, FITNESS, candidates=5)
    start = time.perf_counter()
    for seed in range(10):
        settings = {"strategy": "regularized_evolution", "seed": seed}  # no model to wait for
        simulate(TABULAR, FIGURES, FITNESS, candidates=40, **settings)
    assert (time.perf_counter() - start) / 400 < 0.005


STRATEGIES = {"random": RandomSearch(), "evolution": RegularizedEvolution(population=5)}


def compared(**settings):
    settings = {"candidates": 30, "seeds": 4, "progress": False} | settings
    return compare(STRATEGIES, FIGURES, TABULAR, FITNESS, **settings)


def test_each_search_is_a_simulation():
    found = compared(seeds=[3, 1])
    assert list(found.runs) == ["random", "evolution"]
    for name, runs in found.runs.items():
        assert [run.seed for run in runs] == [3, 1]
        for run in runs:
            trials = simulate(
                TABULAR,
                InFull(FIGURES),
                FITNESS,
                strategy=STRATEGIES[name],
                seed=run.seed,
                candidates=30,
            )
            values = [t.score.values[0] for t in trials]
            assert run.best.tolist() == np.maximum.accumulate(values).tolist()
            assert run.seconds.tolist() == pytest.approx(np.cumsum([t.seconds for t in trials]))
            assert run.deciding > 0
    every = [run.best[-1] for runs in found.runs.values() for run in runs]
    assert found.best == max(every)


def test_only_those_evaluated_in_full_count():
    found = compared(fidelity={"evolution": SuccessiveHalving(3)}, seeds=1)
    (run,) = found.runs["evolution"]
    trials = simulate(
        TABULAR,
        FIGURES,
        FITNESS,
        strategy=STRATEGIES["evolution"],
        candidates=30,
        fidelity=SuccessiveHalving(3),
    )
    full = [t.state == "complete" for t in trials]
    assert 0 < sum(full) < 30
    assert run.best[-1] == max(t.score.values[0] for t in trials if t.state == "complete")
    assert run.seconds[-1] == pytest.approx(sum(t.seconds for t in trials))
    assert run.seconds[-1] < found.runs["random"][0].seconds[-1]
    rises = np.flatnonzero(np.diff(run.best) > 0) + 1
    assert all(full[i] for i in rises)


@pytest.mark.slow
def test_processes_give_the_same():
    def figures(comparison):
        return [
            (name, run.seed, run.best.tolist(), run.seconds.tolist())
            for name, runs in comparison.runs.items()
            for run in runs
        ]

    assert figures(compared(workers=2, seeds=9)) == figures(compared(seeds=9))


class Waiting:
    """Searches that never end, in processes that leave their numbers in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, genome, *, seed):
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)


@pytest.mark.slow
@needs_proc
def test_ctrl_c_ends_the_processes_at_once(tmp_path):
    with interrupted_when(lambda: len(list(tmp_path.iterdir())) == 2):
        compare(STRATEGIES, Waiting(tmp_path), SPACE, FITNESS, seeds=8, workers=2)
    processes = [int(path.name) for path in tmp_path.iterdir()]
    assert len(processes) == 2
    assert all(wait_for_end(number) for number in processes)


class Dies:
    """Ends its process, as the kernel does when memory is short."""

    def __call__(self, genome, *, seed):
        os.kill(os.getpid(), signal.SIGKILL)


class Hopeless(RandomSearch):
    """A strategy with a mistake in it."""

    def propose(self, *args, **settings):
        raise ZeroDivisionError("a mistake")


@pytest.mark.slow
def test_what_goes_wrong_in_a_process_is_told():
    with pytest.raises(EvaluationError, match=r"searches of 'random' died .*fewer workers"):
        compare({"random": RandomSearch()}, Dies(), SPACE, FITNESS, seeds=1, workers=1)
    with pytest.raises(EvaluationError, match=r"search of 'wrong' failed: ZeroDivisionError: a"):
        compare({"wrong": Hopeless()}, synthetic, SPACE, FITNESS, seeds=1, workers=1)


def test_the_infeasible_do_not_count():
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.7, None)})
    found = compare(
        {"random": RandomSearch()},
        FIGURES,
        TABULAR,
        fitness,
        candidates=30,
        seeds=1,
        progress=False,
    )
    (run,) = found.runs["random"]
    trials = simulate(TABULAR, InFull(FIGURES), fitness, strategy=RandomSearch(), candidates=30)
    good = [t.score.values[0] for t in trials if t.score.feasible]
    assert 0 < len(good) < 30
    assert run.best[-1] == max(good)
    nothing = Fitness({"robustness": 1.0}, constraints={"accuracy": (2.0, None)})
    with pytest.raises(ValueError, match="feasible"):
        compare(STRATEGIES, FIGURES, TABULAR, nothing, candidates=5, seeds=1, progress=False)


def test_a_budget_that_is_over_before_anything_is_finished(tmp_path):
    rungs = {name: SuccessiveHalving() for name in STRATEGIES}
    found = compared(seconds=0.1, fidelity=rungs, best=1.0)
    assert all(not np.isfinite(found.reached(name)).any() for name in STRATEGIES)
    assert all(math.isnan(run.final) for runs in found.runs.values() for run in runs)
    assert "0%" in str(found)
    found.plot(tmp_path / "empty.svg", by="seconds")


def test_without_scipy_there_is_no_p_value(monkeypatch):
    found = compared()
    assert not math.isnan(found.summary(share=0.5)[1].p_value)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert math.isnan(found.summary(share=0.5)[1].p_value)
    assert str(found)


def test_arguments_that_make_no_comparison():
    for settings in (
        *({"seeds": seeds} for seeds in ([0, 1, 0], 0, "12", True, None)),
        *({name: value} for name in ("candidates", "workers") for value in (0, 1.5)),
        *({"seconds": value} for value in (0.0, NAN)),
        *({"best": value} for value in (NAN, math.inf)),
    ):
        with pytest.raises(ValueError, match=f"^{next(iter(settings))}"):
            compared(**settings)
    with pytest.raises(ValueError, match="by name"):
        compare(["random"], FIGURES, TABULAR, FITNESS)
    with pytest.raises(ValueError, match="at least one"):
        compare({}, FIGURES, TABULAR, FITNESS)
    with pytest.raises(ValueError, match="weighted"):
        compare(STRATEGIES, FIGURES, TABULAR, PARETO)
    with pytest.raises(ValueError, match="'nobody'"):
        compared(fidelity={"nobody": None})
    with pytest.raises(EvaluationError, match="worker processes"):
        compare(STRATEGIES, lambda genome, *, seed: {}, TABULAR, FITNESS, workers=2)


def run(seed, best, seconds=None):
    best = np.array(best, dtype=float)
    return SimulatedRun(
        seed, best, np.array(seconds or range(10, 10 + 10 * len(best), 10)) * 1.0, 0.1
    )


NAN = math.nan
HAND = Comparison(
    {
        "slow": (run(0, [NAN, 0.5, 0.9, 1.0]), run(1, [0.2, 0.2, 0.2, 0.995]), run(2, [0.1] * 4)),
        "fast": (run(0, [0.991, 1.0], [3, 5]), run(1, [0.5, 0.99], [3, 9]), run(2, [1.0], [4])),
    },
    best=1.0,
)


def test_reached_by_evaluations_and_seconds():
    assert HAND.target(0.01) == pytest.approx(0.99)
    assert HAND.reached("slow").tolist() == [4, 4, math.inf]
    assert HAND.reached("slow", by="seconds").tolist() == [40, 40, math.inf]
    assert HAND.reached("fast").tolist() == [1, 2, 1]
    assert HAND.reached("fast", by="seconds").tolist() == [3, 9, 4]
    assert HAND.reached("slow", share=0.1).tolist() == [3, 4, math.inf]
    with pytest.raises(KeyError, match="slow, fast"):
        HAND.reached("none")


def test_the_target_of_a_negative_fitness_is_below_it():
    below = Comparison({"one": (run(0, [-3.0, -2.0]),)}, best=-2.0)
    assert below.target(0.01) == pytest.approx(-2.02)


def test_summary_against_the_first():
    slow, fast = HAND.summary()
    assert (slow.reached, slow.evaluations, slow.seconds) == (pytest.approx(2 / 3), 4, 40)
    assert slow.speedup == 1
    assert math.isnan(slow.p_value)
    assert (fast.reached, fast.evaluations, fast.seconds) == (1, 1, 4)
    assert fast.speedup == 10
    # Of the 20 orders of six values, the two extreme ones are as far apart; exact where untied.
    assert 0.05 < fast.p_value < 0.1
    assert fast.final == 1.0
    assert fast.deciding == pytest.approx(1000 * 0.3 / 5)
    other = HAND.summary(baseline="fast")
    assert other[0].speedup == pytest.approx(0.1)
    assert math.isnan(other[1].p_value)


def test_intervals_hold_the_median_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        times = rng.exponential(size=40)
        runs = tuple(run(i, [1.0], [t]) for i, t in enumerate(times))
        low, high = Comparison({"one": runs}, best=1.0).summary()[0].seconds_interval
        inside += low <= math.log(2) <= high
    assert 0.93 < inside / 400 <= 0.99


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 9])
def test_few_runs_have_no_interval(count):
    # From 6 runs on the extremes hold the median with 1 - 2 / 2**6 = 0.97.
    runs = tuple(run(i, [1.0], [i + 1.0]) for i in range(count))
    found = Comparison({"one": runs}, best=1.0)
    (one,) = found.summary()
    for interval in (one.seconds_interval, one.evaluations_interval):
        assert all(math.isnan(end) for end in interval) == (count < 6)
    assert ("nan" in str(found), " to " in str(found)) == (False, count >= 6)
    if count >= 6:
        low, high = one.seconds_interval
        held = sum(math.comb(count, k) for k in range(int(low), int(high))) / 2**count
        assert 0.95 <= held < 1


def test_every_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle():
    four = [run(i, [0.1 * i, 1 - 0.001 * i], [1.0, 2.0 + i]) for i in range(4)]
    (one,) = Comparison({"one": tuple(four)}, best=1.0).summary()
    assert (one.seconds, one.final) == (3.5, pytest.approx(0.9985))
    _, median, low, high = Comparison({"one": tuple(four)}, best=1.0).curve("one")
    assert median.tolist() == pytest.approx([0.15, 0.9985])
    assert (low < median).all()
    assert (high > median).all()
    half = (*four[:2], run(2, [0.1]), run(3, [0.1]))
    (one,) = Comparison({"one": half}, best=1.0).summary()
    assert (one.reached, one.evaluations, one.seconds) == (0.5, math.inf, math.inf)


def test_searches_that_take_no_time_have_a_table():
    free = tuple(run(i, [1.0], [0.0]) for i in range(6))
    other = tuple(run(i, [1.0], [5.0]) for i in range(6))
    first, second = Comparison({"free": free, "also free": free}, best=1.0).summary()
    assert math.isnan(first.speedup)
    assert math.isnan(second.speedup)
    found = Comparison({"other": other, "free": free}, best=1.0)
    assert [s.speedup for s in found.summary()] == [1, math.inf]
    assert found.summary(baseline="free")[0].speedup == 0
    assert "inf" in str(found)


def test_curves_are_steps():
    places, median, low, high = HAND.curve("slow")
    assert places.tolist() == [1, 2, 3, 4]
    assert median.tolist() == [0.1, 0.2, 0.2, 0.995]
    assert np.isnan(low[0])
    assert low[1:].tolist() == [0.1, 0.1, 0.1]
    assert (high >= median).all()
    places, median, *_ = HAND.curve("fast", by="seconds")
    assert places[-1] == 9
    assert np.isnan(median[places < 3]).all()
    assert median[(places >= 3) & (places < 4)].tolist() == pytest.approx(
        [0.5] * ((places >= 3) & (places < 4)).sum()
    )
    assert median[-1] == 1.0


def test_table_frame_and_picture(tmp_path):
    text = str(HAND)
    assert "against slow" in text
    assert text.splitlines()[2].split()[:3] == ["slow", "67%", "4"]
    assert "10.00" in text
    frame = HAND.to_pandas()
    assert len(frame) == 12 + 5
    assert frame.groupby("strategy")["seconds"].max().to_dict() == {"slow": 40, "fast": 9}
    for by in ("evaluations", "seconds"):
        figure = HAND.plot(tmp_path / f"{by}.png", by=by)
        assert (tmp_path / f"{by}.png").stat().st_size > 5000
        axes = figure.axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            "slow", "fast", "best known",
        ]  # fmt: skip


def nan_seconds(genome, *, seed):
    return synthetic(genome, seed=seed) | {"seconds": math.nan}


def unrelated(genome, sed):
    return {}


@pytest.mark.parametrize(("evaluate", "text"), [(nan_seconds, "got nan"), (unrelated, "'seed'")])
def test_an_error_of_the_evaluation_is_told(evaluate, text):
    with pytest.raises(EvaluationError, match=rf"(?s)same error.*{text}"):
        compare({"r": RandomSearch()}, evaluate, SPACE, FITNESS, candidates=9, seeds=2, best=1.0)
