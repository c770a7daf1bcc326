"""Watching a run: callbacks, the timeout, log lines, and bars."""

from __future__ import annotations

import logging
import math
import re
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest

import rosearch as rs
from rosearch.evolve import Evolver
from rosearch.evolve.study.watching import best_so_far
from rosearch.evolve.workers.evaluation import Shared, Silent, evaluate_candidate
from rosearch.fitness import Fitness
from rosearch.progress import progress_bar
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.helpers import sequence


def evolver(evaluate=synthetic, fitness=FITNESS, **settings):
    return Evolver(SPACE, evaluate, fitness, **({"population": 4} | settings))


def with_failures(genome, *, seed):
    if seed % 3 == 0:
        raise RuntimeError("no luck")
    return synthetic(genome, seed=seed)


def bars_are_hidden(genome, *, seed):
    return synthetic(genome, seed=seed) | {"hidden": float(progress_bar(total=1).disable)}


class Climbs:
    """Two rungs, each of which takes a second of a clock."""

    rungs = 2

    def __init__(self, clock=None):
        self.clock = clock

    def __call__(self, genome, *, seed, rung):
        if self.clock is not None:
            self.clock.now += 1
        return synthetic(genome, seed=seed)


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("rosearch.evolve.search_run.time", clock)
    return clock


def takes_a_second(clock):
    def evaluate(genome, *, seed):
        clock.now += 1
        return synthetic(genome, seed=seed)

    return evaluate


def test_callbacks_get_optunas_study_and_trial():
    told = []
    search = evolver(with_failures)
    result = search.run(8, callbacks=[lambda s, t: told.append((s, t))], progress=False)
    states = [t.state for t in result.trials]
    assert {"complete", "failed"} <= set(states)
    assert [t.number for _, t in told] == list(range(8))
    for (study, trial), record in zip(told, result.trials, strict=True):
        assert isinstance(study, optuna.Study)
        assert isinstance(trial, optuna.trial.FrozenTrial)
        assert (trial.state.name == "COMPLETE") == (record.state == "complete")
        if record.score:
            assert tuple(trial.values) == record.score.values
    assert told[0][0].best_value == result.best.score.values[0]


def test_a_callback_made_for_optuna_ends_the_run_and_the_next_run_goes_on():
    search = evolver()
    states = (optuna.trial.TrialState.COMPLETE,)
    stop = optuna.study.MaxTrialsCallback(3, states=states)
    assert len(search.run(8, callbacks=[stop], progress=False).trials) == 3
    whole = search.run(8, progress=False)
    assert sequence(whole) == sequence(evolver().run(8, progress=False))


def test_an_error_of_a_callback_ends_the_run_after_the_candidate_is_recorded():
    def broken(study, trial):
        raise ZeroDivisionError("in a callback")

    search = evolver()
    with pytest.raises(ZeroDivisionError):
        search.run(4, callbacks=[broken], progress=False)
    assert [t.state for t in search.result.trials] == ["complete"]
    assert len(search.run(4, progress=False).trials) == 4


def test_callbacks_that_cannot_be_called_are_refused():
    with pytest.raises(ValueError, match=r"each of callbacks must be callable as callback\(study"):
        evolver().run(2, callbacks=["print"])


def test_a_run_that_times_out_keeps_everything_and_the_next_goes_on(clock):
    search = evolver(takes_a_second(clock))
    first = search.run(8, timeout=2.5, progress=False)
    assert [t.state for t in first.trials] == ["complete"] * 3
    assert search.run(8, timeout=100, progress=False).trials[:3] == first.trials
    assert sequence(search.result) == sequence(evolver().run(8, progress=False))


def test_a_candidate_between_two_rungs_at_the_timeout_goes_on_in_the_next_run(clock):
    search = evolver(Climbs(clock))
    first = search.run(3, timeout=0.5, progress=False)
    assert [(t.state, t.rung) for t in first.trials] == [("running", 0)]
    whole = search.run(3, progress=False)
    assert sequence(whole) == sequence(evolver(Climbs()).run(3, progress=False))


@pytest.mark.parametrize("timeout", [0, -1, math.nan, "soon"])
def test_timeouts_that_are_no_time_are_refused(timeout):
    with pytest.raises(ValueError, match="timeout must be"):
        evolver().run(2, timeout=timeout)


def test_each_candidate_is_one_line_of_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="rosearch"):
        result = evolver(with_failures).run(8, progress=False)
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 8
    for trial, line, record in zip(result.trials, lines, caplog.records, strict=True):
        assert re.match(rf"candidate {trial.number}\b.* s$", line)
        if trial.failure:
            assert "failed: RuntimeError: no luck" in line
            assert record.levelno == logging.WARNING
        else:
            for name, value in (("fitness", trial.score.values[0]), *trial.metrics.items()):
                if name != "compression":
                    assert f"{name.replace('_', ' ')} {value:.4g}" in line


def test_the_log_is_silent_by_default(capfd):
    evolver(with_failures).run(6, progress=False)
    assert capfd.readouterr() == ("", "")
    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("rosearch").handlers)


def test_the_log_tells_which_candidates_were_stopped(caplog):
    with caplog.at_level(logging.INFO, logger="rosearch"):
        result = evolver(Climbs()).run(9, progress=False)
    stopped = {t.number for t in result.trials if t.state == "stopped"}
    assert 0 < len(stopped) < 9
    told = {int(r.args[0]) for r in caplog.records if "stopped at rung 0" in r.getMessage()}
    assert told == stopped
    assert len(caplog.records) == 9


def test_bars_of_the_evaluation_are_silent_with_those_of_the_search():
    result = evolver(bars_are_hidden).run(2, progress=False)
    assert [t.metrics["hidden"] for t in result.trials] == [1.0, 1.0]


def test_bars_are_silent_in_threads_and_in_what_is_sent_to_processes():
    with ThreadPoolExecutor(2) as threads:
        result = evolver(bars_are_hidden).run(3, executor=threads, progress=False)
    assert [t.metrics["hidden"] for t in result.trials] == [1.0] * 3
    sent = Shared.of(Silent(bars_are_hidden)).load()
    outcome = evaluate_candidate(sent, evolver().ask())
    assert outcome.metrics["hidden"] == 1.0


def test_bars_of_the_evaluation_are_its_own_business_otherwise():
    result = evolver(bars_are_hidden).run(2)
    assert [t.metrics["hidden"] for t in result.trials] == [0.0, 0.0]


def test_confirmation_silences_its_evaluation_too():
    search = evolver().run(4, progress=False)
    silent = rs.confirm(search, bars_are_hidden, top=1, seeds=1, progress=False)
    shown = rs.confirm(search, bars_are_hidden, top=1, seeds=1)
    assert [c.candidates[0].runs[0].metrics["hidden"] for c in (silent, shown)] == [1.0, 0.0]


def test_the_bar_tells_the_best_so_far():
    limited = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.99, None)})
    pareto = Fitness.pareto(["robustness", "accuracy"])
    result = evolver().run(5, progress=False)
    value = result.best.score.values[0]
    assert best_so_far(result.trials, FITNESS) == f"best fitness {value:.4g}"
    trials = evolver(fitness=limited).run(3, progress=False).trials
    assert best_so_far(trials, limited) == "none feasible"
    trials = evolver(fitness=pareto).run(3, progress=False).trials
    best = max(t.score.values[0] for t in trials)
    assert best_so_far(trials, pareto) == f"best robustness {best:.4g}"
    assert best_so_far([], pareto) == ""


def test_finite_metrics_are_numbers_of_optunas_trials(tmp_path):
    def evaluate(genome, *, seed):
        return synthetic(genome, seed=seed) | {"mean_queries": math.inf}

    url = f"sqlite:///{tmp_path}/search.db"
    result = evolver(evaluate, storage=url).run(3, progress=False)
    for trial, record in zip(optuna.load_study(study_name="rosearch", storage=url).trials,
                             result.trials, strict=True):  # fmt: skip
        numbers = {k: v for k, v in trial.user_attrs.items() if k.startswith("metric_")}
        assert numbers == {
            f"metric_{k}": v for k, v in record.metrics.items() if k != "mean_queries"
        }
