"""Which candidates, seeds and examples a confirmation uses."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from rosearch.errors import DataError, EvaluationError
from rosearch.evolve import Evolver
from rosearch.fitness import Fitness, rank_order
from rosearch.space import templates
from tests.evolve.confirmation.confirmations import (
    Attacking,
    Sometimes,
    figures,
    quiet,
)
from tests.evolve.evaluations import FITNESS, SPACE, Log, synthetic


def ranked(search):
    return [search.trials[i] for i in rank_order([t.score for t in search.trials])]


def test_best_candidates_are_evaluated_with_new_seeds(search, log):
    found = quiet(search, log, top=3, seeds=4)
    assert [c.number for c in found.candidates] == [t.number for t in ranked(search)[:3]]
    assert found.candidates[0].number == search.best.number
    seeds = [[run.seed for run in c.runs] for c in found.candidates]
    assert seeds[0] == seeds[1] == seeds[2]
    assert len(set(seeds[0])) == 4
    assert not set(seeds[0]) & {t.seed for t in search.trials}
    assert len(log.lines()) == 12
    assert figures(found) == figures(quiet(search, synthetic, top=3, seeds=4))


def test_seed_changes_the_seeds_of_the_runs(search):
    first, second = (quiet(search, synthetic, top=1, seed=s).candidates[0] for s in (0, 1))
    assert {r.seed for r in first.runs}.isdisjoint(r.seed for r in second.runs)


def test_other_genomes_are_evaluated_too(search):
    mine = {"cnn": templates.text_cnn(), "bag": templates.bag_of_words()}
    found = quiet(search, synthetic, top=1, seeds=2, genomes=mine)
    assert [c.name for c in found.candidates] == [f"candidate {search.best.number}", "cnn", "bag"]
    cnn = found.candidates[1]
    assert cnn.genome == mine["cnn"]
    assert cnn.number is None
    assert cnn.searched == {}
    only = quiet(search, synthetic, top=0, seeds=2, genomes=mine)
    assert [c.name for c in only.candidates] == ["cnn", "bag"]


def test_failed_run_is_recorded_and_the_others_count(search):
    best, second = quiet(search, Sometimes({6}), top=2, seeds=[5, 6, 7]).candidates
    assert [run.failure is None for run in best.runs] == [True, False, True]
    assert best.failures[0].kind == "RuntimeError"
    assert "out of luck" in best.failures[0].traceback
    rows = [synthetic(best.genome, seed=s)["accuracy"] for s in (5, 7)]
    assert best.mean["accuracy"] == pytest.approx(statistics.mean(rows))
    assert len(second.failures) == 1


def test_examples_attacked_in_the_search_are_refused(tmp_path):
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


def test_attacked_examples_are_found_in_nested_settings(tmp_path, search):
    rungs = Log(tmp_path / "log")
    rungs.settings = {"rungs": [{"attacker": {"data": "dev", "examples": [1]}}]}
    result = Evolver(SPACE, rungs, FITNESS).run(3, progress=False)
    with pytest.raises(DataError, match="held-out"):
        quiet(result, Attacking(tmp_path / "judge", "dev", [0, 1]))


def test_genomes_are_checked_before_training(search, log):
    log.check = lambda genome: (_ for _ in ()).throw(DataError("no WordNet here"))
    with pytest.raises(DataError, match="no WordNet"):
        quiet(search, log)
    assert log.lines() == []


def test_wrong_arguments_are_refused(search):
    with pytest.raises(ValueError, match="top must be"):
        quiet(search, synthetic, top=-1)
    for seeds in (0, -1, [], [1, 1], "12", True, None):
        with pytest.raises(ValueError, match=r"^seeds must be a number of seeds"):
            quiet(search, synthetic, seeds=seeds)
    for seeds in ([1.5], [-1], [True]):
        with pytest.raises(ValueError, match="each of seeds must be a whole number from 0"):
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
    with pytest.raises(ValueError, match="without names such as"):
        quiet(search, synthetic, genomes={"candidate 3": templates.text_cnn()})
    empty = Evolver(SPACE, synthetic, FITNESS).result
    with pytest.raises(EvaluationError, match="no candidate that was evaluated in full"):
        quiet(empty, synthetic)


def test_front_of_a_pareto_search_is_confirmed():
    fitness = Fitness.pareto(["robustness", "compression"])
    search = Evolver(SPACE, synthetic, fitness).run(12, progress=False)
    found = quiet(search, synthetic, top=2, seeds=2)
    assert {c.number for c in found.candidates} <= {t.number for t in search.front}
