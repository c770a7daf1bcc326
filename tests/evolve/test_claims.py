"""Confirming what a search found."""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import numpy as np
import pytest

from rosearch.errors import DataError, EvaluationError, StorageError, StudyMismatchError
from rosearch.evolve import Evolver
from rosearch.evolve.confirmation.confirm import confirm
from rosearch.evolve.confirmation.result import ConfirmationFile, ConfirmedRun
from rosearch.evolve.study.trials import Failure
from rosearch.evolve.workers.executors import SerialExecutor
from rosearch.fitness import Fitness, rank_order
from rosearch.space import templates
from tests.evolve.evaluations import FITNESS, SPACE, KillsItself, Log, Waits, synthetic
from tests.evolve.keyboard import interrupted_when


@pytest.fixture(scope="module")
def search():
    return Evolver(SPACE, synthetic, FITNESS, population=4).run(10, progress=False)


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log")


def quiet(*args, **kwargs):
    return confirm(*args, progress=False, **kwargs)


def ranked(search):
    return [search.trials[i] for i in rank_order([t.score for t in search.trials])]


class Attacking(Log):
    """As ``Log``, with settings like those of a Pipeline."""

    def __init__(self, path, data, examples):
        super().__init__(path)
        attacker = {"attacks": [{"name": "pwws"}], "data": data, "examples": examples}
        self.settings = {"attacker": attacker, "length": 32}


def test_the_best_are_evaluated_with_new_seeds(search, log):
    found = quiet(search, log, top=3, seeds=4)
    assert [c.number for c in found.candidates] == [t.number for t in ranked(search)[:3]]
    assert found.candidates[0].number == search.best.number
    seeds = [[run.seed for run in c.runs] for c in found.candidates]
    assert seeds[0] == seeds[1] == seeds[2]
    assert len(set(seeds[0])) == 4
    assert not set(seeds[0]) & {t.seed for t in search.trials}
    assert len(log.lines()) == 12
    assert figures(found) == figures(quiet(search, synthetic, top=3, seeds=4))


def test_mean_and_deviation_are_those_of_the_runs(search):
    best = quiet(search, synthetic, top=1, seeds=[5, 6, 7]).candidates[0]
    rows = [synthetic(search.best.genome, seed=s) for s in (5, 6, 7)]
    assert [dict(run.metrics) for run in best.runs] == rows
    for name in rows[0]:
        values = [row[name] for row in rows]
        assert best.mean[name] == pytest.approx(statistics.mean(values))
        assert best.std[name] == pytest.approx(statistics.stdev(values))
    assert best.std["accuracy"] > 0
    assert best.searched == search.best.metrics


def test_it_says_whether_the_winner_still_keeps_the_constraints():
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.65, None)})
    constrained = Evolver(SPACE, synthetic, fitness, population=4).run(12, progress=False)

    def worse(genome, *, seed):
        return synthetic(genome, seed=seed) | {"accuracy": 0.6 + 0.1 * (seed % 2)}

    found = quiet(constrained, worse, top=2, seeds=[1, 2, 3])
    assert [c.feasible for c in found.candidates] == [2, 2]
    assert "feasible" in str(found)
    assert "2/3" in str(found)
    # Nothing can be told without the metric.
    found = quiet(constrained, lambda genome, *, seed: {"accuracy_under_attack": 0.5}, seeds=2)
    assert found.candidates[0].feasible is None
    assert "feasible" not in str(found)


def test_without_constraints_nothing_is_feasible_or_not(search):
    found = quiet(search, synthetic, top=1, seeds=2)
    assert found.candidates[0].feasible is None
    assert "feasible" not in str(found)


def test_one_run_has_no_deviation(search):
    best = quiet(search, synthetic, top=1, seeds=1).candidates[0]
    assert best.mean == pytest.approx(dict(best.runs[0].metrics))
    assert all(math.isnan(value) for value in best.std.values())
    assert "nan" not in str(quiet(search, synthetic, top=1, seeds=1))


def test_a_root_seed_gives_other_seeds(search):
    first, second = (quiet(search, synthetic, top=1, seed=s).candidates[0] for s in (0, 1))
    assert {r.seed for r in first.runs}.isdisjoint(r.seed for r in second.runs)


def test_other_genomes_are_compared(search):
    mine = {"cnn": templates.text_cnn(), "bag": templates.bag_of_words()}
    found = quiet(search, synthetic, top=1, seeds=2, genomes=mine)
    assert [c.name for c in found.candidates] == [f"candidate {search.best.number}", "cnn", "bag"]
    assert found["cnn"].genome == mine["cnn"]
    assert found["cnn"].number is None
    assert found["cnn"].searched == {}
    with pytest.raises(KeyError, match="candidate"):
        found["none"]
    only = quiet(search, synthetic, top=0, seeds=2, genomes=mine)
    assert [c.name for c in only.candidates] == ["cnn", "bag"]


class Sometimes:
    """Fails with one seed."""

    def __init__(self, bad):
        self.bad = bad

    def __call__(self, genome, *, seed):
        if seed in self.bad:
            raise RuntimeError(f"out of luck with {seed}")
        return synthetic(genome, seed=seed)


def test_a_failed_seed_is_recorded_and_the_others_count(search):
    best, second = quiet(search, Sometimes({6}), top=2, seeds=[5, 6, 7]).candidates
    assert [run.failure is None for run in best.runs] == [True, False, True]
    assert best.failures[0].kind == "RuntimeError"
    assert "out of luck" in best.failures[0].traceback
    rows = [synthetic(best.genome, seed=s)["accuracy"] for s in (5, 7)]
    assert best.mean["accuracy"] == pytest.approx(statistics.mean(rows))
    assert len(second.failures) == 1


def test_candidates_that_only_fail_have_no_figures(search):
    found = quiet(search, Sometimes({5, 6}), top=1, seeds=[5, 6])
    assert found.candidates[0].mean == {}
    assert "0/2" in str(found)
    assert "failed: candidate" in str(found)
    assert found.to_pandas()["failure"].tolist() == [
        "RuntimeError: out of luck with 5",
        "RuntimeError: out of luck with 6",
    ]


def test_examples_of_the_search_are_refused(tmp_path):
    def searched(examples):
        evaluate = Attacking(tmp_path / "log", "dev", examples)
        return Evolver(SPACE, evaluate, FITNESS).run(3, progress=False)

    result = searched([0, 1, 2, 3])
    judge = Attacking(tmp_path / "judge", "dev", [3, 4, 5])
    with pytest.raises(DataError, match=r"1 of the 3 examples.*held-out"):
        quiet(result, judge)
    assert judge.lines() == []
    quiet(result, Attacking(tmp_path / "judge", "dev", [4, 5]), top=1)
    quiet(result, Attacking(tmp_path / "judge", "test", [0, 1, 2, 3]), top=1)
    assert len(judge.lines()) == 6


def test_examples_are_found_however_deep_the_settings_are(tmp_path, search):
    rungs = Log(tmp_path / "log")
    rungs.settings = {"rungs": [{"attacker": {"data": "dev", "examples": [1]}}]}
    result = Evolver(SPACE, rungs, FITNESS).run(3, progress=False)
    with pytest.raises(DataError, match="held-out"):
        quiet(result, Attacking(tmp_path / "judge", "dev", [0, 1]))


@pytest.mark.parametrize("stop", [1, 4])
def test_a_confirmation_that_was_stopped_goes_on(tmp_path, search, stop):
    whole = quiet(search, Log(tmp_path / "whole"), top=2)
    log = Log(tmp_path / "log")
    file = tmp_path / "folder" / "confirm.json"

    def interrupted(genome, *, seed):
        if len(log.lines()) > stop:
            raise KeyboardInterrupt
        return synthetic(genome, seed=seed)

    stopped = Log(tmp_path / "log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quiet(search, stopped, top=2, storage=file)
    assert len(json.loads(file.read_text())["runs"]) == stop
    again = quiet(search, log, top=2, storage=file)
    assert figures(again) == figures(whole)
    assert len(log.lines()) == 6 + 1  # the interrupted one, twice
    assert {p.name for p in file.parent.iterdir()} <= {"confirm.json", ".confirm.json.lock"}


def figures(confirmation):
    return [(c.name, r.seed, r.metrics, r.failure) for c in confirmation.candidates for r in c.runs]


def test_a_file_serves_larger_confirmations(tmp_path, search, log):
    file = tmp_path / "confirm.json"
    quiet(search, log, top=1, seeds=[5, 6], storage=file)
    found = quiet(search, log, top=2, seeds=[6, 7], storage=file)
    assert len(log.lines()) == 2 + 3
    assert figures(found) == figures(quiet(search, synthetic, top=2, seeds=[6, 7]))


def test_failures_are_kept_in_the_file_and_tried_again(tmp_path, search):
    file = tmp_path / "confirm.json"
    first = quiet(search, Sometimes({6}), top=1, seeds=[5, 6], storage=file)
    assert len(first.candidates[0].failures) == 1
    assert [kind for _, kind in in_file(file)].count(None) == 1
    again = quiet(search, Sometimes({5}), top=1, seeds=[5, 6], storage=file)  # only 6 is tried
    assert again.candidates[0].failures == ()
    assert figures(again) == figures(quiet(search, synthetic, top=1, seeds=[5, 6]))


def test_what_fails_three_times_alike_at_first_ends_it(tmp_path, search):
    file = tmp_path / "confirm.json"
    with pytest.raises(EvaluationError, match="3 runs in a row failed with the same error"):
        quiet(search, Sometimes({5, 6, 7, 8}), top=1, seeds=[5, 6, 7, 8], storage=file)
    assert len(stored(file)) == 3
    quiet(search, Sometimes({6, 7, 8}), top=1, seeds=[5], storage=file)
    found = quiet(search, Sometimes({6, 7, 8}), top=1, seeds=[5, 6, 7, 8], storage=file)
    assert len(found.candidates[0].failures) == 3  # one has gone well, so the cause is another


def test_two_processes_may_add_to_one_file(tmp_path):
    first, second = (ConfirmationFile(tmp_path / "confirm.json", {}) for _ in range(2))
    first.add("a", ConfirmedRun(1, {"accuracy": 0.5}, None, 1.0))
    failure = Failure("OSError", "full", "")
    second.add("a", ConfirmedRun(1, {}, failure, 1.0))  # what went well stays
    second.add("b", ConfirmedRun(1, {}, failure, 1.0))
    first.add("b", ConfirmedRun(1, {"accuracy": 0.6}, None, 1.0))
    second.add("a", ConfirmedRun(2, {"accuracy": 0.7}, None, 1.0))
    found = ConfirmationFile(tmp_path / "confirm.json", {}).runs
    assert {place: run.metrics["accuracy"] for place, run in found.items()} == {
        ("a", 1): 0.5, ("b", 1): 0.6, ("a", 2): 0.7,
    }  # fmt: skip


def test_a_file_of_another_pipeline_is_refused(tmp_path, search):
    file = tmp_path / "confirm.json"
    quiet(search, Attacking(tmp_path / "log", "test", [1, 2]), top=1, storage=file)
    with pytest.raises(StudyMismatchError, match=r"examples.*\[1, 2\]"):
        quiet(search, Attacking(tmp_path / "log", "test", [1]), top=1, storage=file)
    file.write_text("{}")
    with pytest.raises(StorageError, match="holds no confirmation"):
        quiet(search, synthetic, top=1, storage=file)
    with pytest.raises(StorageError, match="is a folder"):
        quiet(search, synthetic, top=1, storage=tmp_path)


def test_threads_give_the_same(search):
    with ThreadPoolExecutor(3) as executor:
        found = quiet(search, synthetic, executor=executor)
    assert figures(found) == figures(quiet(search, synthetic))


@pytest.mark.slow
def test_processes_give_the_same(search):
    assert figures(quiet(search, synthetic, executor=2)) == figures(quiet(search, synthetic))


def in_file(path):
    return [(row["seed"], (row["failure"] or {}).get("kind")) for row in stored(path)]


def stored(path):
    return json.loads(path.read_text())["runs"] if path.exists() else []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_dies_costs_its_run_only(tmp_path, search):
    file = tmp_path / "confirm.json"
    seeds = [7, 8, 9, 10]
    found = quiet(search, KillsItself({7}), top=2, seeds=seeds, executor=1, storage=file)
    expected = quiet(search, synthetic, top=2, seeds=seeds)
    for candidate, alike in zip(found.candidates, expected.candidates, strict=True):
        assert [failure.kind for failure in candidate.failures] == ["WorkerLost"]
        assert "exit code -9" in candidate.failures[0].message
        assert candidate.runs[1:] == tuple(
            type(run)(run.seed, run.metrics, None, candidate.runs[i].seconds)
            for i, run in enumerate(alike.runs[1:], start=1)
        )
    assert sorted(in_file(file)) == sorted(
        2 * [(7, "WorkerLost"), (8, None), (9, None), (10, None)]
    )


class Loses(SerialExecutor):
    """Loses the runs of these seeds, each so many times; notes what it was given."""

    def __init__(self, times):
        self.times = dict(times)
        self.given = []

    def submit(self, fn, evaluate, candidate):
        self.given.append(candidate.seed)
        if not self.times.get(candidate.seed):
            return super().submit(fn, evaluate, candidate)
        self.times[candidate.seed] -= 1
        future = Future()
        future.set_exception(BrokenExecutor("terminated abruptly"))
        return future


def test_a_lost_run_is_tried_once_more(tmp_path, search):
    file = tmp_path / "confirm.json"
    executor = Loses({6: 1, 7: 2})
    found = quiet(search, synthetic, top=1, seeds=[5, 6, 7, 8], executor=executor, storage=file)
    assert sorted(executor.given) == [5, 6, 6, 7, 7, 8]
    kinds = [run.failure and run.failure.kind for run in found.candidates[0].runs]
    assert kinds == [None, None, "WorkerLost", None]
    assert "BrokenExecutor: terminated abruptly" in found.candidates[0].failures[0].message
    assert dict(in_file(file)) == {5: None, 6: None, 7: "WorkerLost", 8: None}


class Breaks(Loses):
    """Takes nothing more once it has lost a run, as a pool of processes does."""

    def submit(self, fn, evaluate, candidate):
        if any(self.times.get(seed) == 0 for seed in self.given):
            raise BrokenExecutor("not usable anymore")
        return super().submit(fn, evaluate, candidate)


def test_a_broken_executor_is_no_failure_of_the_runs(tmp_path, search):
    file = tmp_path / "confirm.json"
    with pytest.raises(EvaluationError, match=r"not usable anymore.*new executor"):
        quiet(search, synthetic, top=1, seeds=[5, 6, 7], executor=Breaks({6: 1}), storage=file)
    assert in_file(file) == [(5, None)]
    found = quiet(search, synthetic, top=1, seeds=[5, 6, 7], storage=file)
    assert figures(found) == figures(quiet(search, synthetic, top=1, seeds=[5, 6, 7]))


class InterruptedLate(SerialExecutor):
    """All that it was given is finished when Ctrl-C comes, which is with the fourth."""

    def __init__(self):
        self.given = []

    def submit(self, fn, evaluate, candidate):
        if len(self.given) == 3:
            for future, work in self.given[:2]:
                future.set_result(work())
            raise KeyboardInterrupt
        self.given.append((Future(), lambda: fn(evaluate, candidate)))
        return self.given[-1][0]


def test_an_interrupt_keeps_what_is_finished_and_cancels_the_rest(tmp_path, search):
    file = tmp_path / "confirm.json"
    executor = InterruptedLate()
    with pytest.raises(KeyboardInterrupt):
        quiet(search, synthetic, top=1, seeds=[5, 6, 7, 8], executor=executor, storage=file)
    assert in_file(file) == [(5, None), (6, None)]
    assert executor.given[2][0].cancelled()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT to a thread")
def test_ctrl_c_ends_the_processes_at_once(tmp_path, search):
    file, process = tmp_path / "confirm.json", tmp_path / "process"
    with interrupted_when(lambda: process.exists() and len(stored(file)) == 2):
        quiet(search, Waits(7, tmp_path), top=1, seeds=[7, 8, 9], executor=2, storage=file)
    assert sorted(in_file(file)) == [(8, None), (9, None)]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.read_text()), 0)


def test_what_is_no_executor_is_refused(search):
    with pytest.raises(TypeError, match="executor is None, a number"):
        quiet(search, synthetic, executor="two")
    with pytest.raises(ValueError, match="at least 1"):
        quiet(search, synthetic, executor=0)


def test_what_no_process_can_be_sent_is_refused(search):
    with pytest.raises(EvaluationError, match="cannot be sent to worker processes"):
        quiet(search, lambda genome, *, seed: {}, executor=1)


def test_checks_come_before_any_training(search, log):
    log.check = lambda genome: (_ for _ in ()).throw(DataError("no WordNet here"))
    with pytest.raises(DataError, match="no WordNet"):
        quiet(search, log)
    assert log.lines() == []


def test_arguments_out_of_range(search):
    with pytest.raises(ValueError, match="top must be"):
        quiet(search, synthetic, top=-1)
    for seeds in (0, -1, [], [1, 1], "12", True, None):
        with pytest.raises(ValueError, match="seeds is a number of at least 1"):
            quiet(search, synthetic, seeds=seeds)
    for seeds in ([1.5], [-1], [True]):
        with pytest.raises(ValueError, match="a seed must be a whole number of at least 0"):
            quiet(search, synthetic, seeds=seeds)
    assert len(quiet(search, synthetic, top=1, seeds=np.int64(2)).candidates[0].runs) == 2
    with pytest.raises(ValueError, match="top must be"):
        quiet(search, synthetic, top=1.5)
    with pytest.raises(ValueError, match="mapping from names"):
        quiet(search, synthetic, genomes=[templates.text_cnn()])
    with pytest.raises(ValueError, match="already"):
        quiet(search, synthetic, seeds=[search.trials[0].seed])
    with pytest.raises(ValueError, match="must be a Genome"):
        quiet(search, synthetic, genomes={"cnn": templates.text_cnn})
    with pytest.raises(ValueError, match="start like this"):
        quiet(search, synthetic, genomes={"candidate 3": templates.text_cnn()})
    empty = Evolver(SPACE, synthetic, FITNESS).result
    with pytest.raises(EvaluationError, match="nothing to confirm"):
        quiet(empty, synthetic)


def test_the_front_of_a_pareto_search_is_confirmed():
    fitness = Fitness.pareto(["robustness", "compression"])
    search = Evolver(SPACE, synthetic, fitness).run(12, progress=False)
    found = quiet(search, synthetic, top=2, seeds=2)
    assert {c.number for c in found.candidates} <= {t.number for t in search.front}


def test_table_and_frame(search):
    found = quiet(search, synthetic, top=2, seeds=3)
    lines = str(found).splitlines()
    assert "accuracy_under_attack" in lines[1]
    assert lines[2].startswith(found.candidates[0].name)
    assert "3/3" in lines[2]
    mean, std = (s["accuracy"] for s in (found.candidates[0].mean, found.candidates[0].std))
    assert f"{mean:.4g} ± {std:.2g}" in lines[2]
    assert "compression" not in found.table(["accuracy"])
    frame = found.to_pandas()
    assert len(frame) == 6
    means = frame.groupby("name")["metric_accuracy"].mean()
    assert means[found.candidates[1].name] == pytest.approx(found.candidates[1].mean["accuracy"])
