"""Races: stopping early, and only where it is safe."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

import rosearch as rs
from rosearch.attack import DeepWordBug, MaxWordsChanged, RobustnessEvaluator, race
from rosearch.attack.precision import Bfloat16Victim
from rosearch.attack.racing import _chance, _highest, _looks
from rosearch.attack.testing import hashing_classifier
from rosearch.data import TextDataset
from rosearch.errors import DataError, EvaluationError


class Unchanged(rs.Attack):
    """Changes nothing."""

    def search(self, text: Any, context: Any) -> Any:
        return text
        yield


RNG = np.random.default_rng(0)
WORDS = "film plot actor great dull huge tepid honest end start story fresh".split()
TEXTS = [" ".join(RNG.choice(WORDS, size=6)) + f" {k}" for k in range(120)]
LABELS = hashing_classifier(TEXTS).argmax(axis=1).tolist()
DATA = TextDataset(TEXTS, LABELS, classes=["a", "b"])


def evaluator(**settings: Any) -> RobustnessEvaluator:
    # One word at most, so that some examples survive.
    attack = DeepWordBug().with_constraints(MaxWordsChanged(1))
    settings = {"attacks": attack, "examples": 100, "progress": False, **settings}
    return RobustnessEvaluator(dataset=DATA, **settings)


def outcomes(report: Any) -> Any:
    return [(r.index, r.status, r.perturbed, r.queries) for r in report.examples]


@pytest.fixture(scope="module")
def full() -> Any:
    report = evaluator().evaluate(hashing_classifier)
    assert 0.02 < report.accuracy_under_attack < 0.9
    return report


def test_a_race_to_the_end_is_the_evaluation(full: Any) -> None:
    found = race(evaluator(), hashing_classifier, beat=full.accuracy_under_attack)
    assert not found.stopped
    assert (found.attacked, found.planned) == (100, 100)
    assert outcomes(found.report) == outcomes(full)
    assert outcomes(found.report.attacks["deepwordbug"]) == outcomes(full.attacks["deepwordbug"])
    for name in ("n", "accuracy", "accuracy_under_attack", "queries", "mean_queries"):
        assert getattr(found.report, name) == getattr(full, name)
    assert found.highest == full.accuracy_under_attack
    settings = dict(found.report.settings)
    assert settings.pop("race")["stopped"] is False
    assert settings == full.settings
    assert found.report.forward_rows == full.forward_rows
    assert "full" in str(found)


def test_a_hopeless_victim_is_stopped(full: Any) -> None:
    found = race(evaluator(), hashing_classifier, beat=0.95, first=10)
    assert found.stopped
    assert found.attacked < found.planned
    assert full.accuracy_under_attack <= found.highest < 0.95
    assert outcomes(found.report) == outcomes(full)[: found.attacked]
    told = found.report.settings["race"]
    assert told == {
        "beat": 0.95,
        "confidence": 0.95,
        "stopped": True,
        "attacked": found.attacked,
        "planned": 100,
    }
    assert len(found.report.settings["examples"]) == found.report.n == found.attacked
    assert f"stopped after {found.attacked} of 100" in str(found)
    assert json.loads(found.report.to_json())["settings"]["race"]["stopped"] is True
    assert found.accuracy == 1.0


def test_a_victim_that_is_wrong_too_often_needs_one_portion() -> None:
    def wrong(texts: list[str]) -> np.ndarray:
        return hashing_classifier(texts)[:, ::-1]

    found = race(evaluator(), wrong, beat=0.1, first=7)
    assert (found.attacked, found.highest, found.accuracy) == (7, 0.0, 0.0)
    assert found.report.forward_rows == 100  # each unchanged text once


def test_several_attacks() -> None:
    attacks = ["deepwordbug", "pruthi"]
    whole = evaluator(attacks=attacks, examples=30).evaluate(hashing_classifier)
    found = race(evaluator(attacks=attacks, examples=30), hashing_classifier, beat=0.0, first=8)
    assert outcomes(found.report) == outcomes(whole)
    for name in attacks:
        assert outcomes(found.report.attacks[name]) == outcomes(whole.attacks[name])
        (settings,) = found.report.attacks[name].settings["attacks"]
        assert settings["name"] == name


def test_errors_never_stop_a_victim() -> None:
    def sometimes(texts: list[str]) -> np.ndarray:
        if any(text.endswith(" 7") and text not in TEXTS for text in texts):
            raise ValueError("no")
        return np.tile([[0.9, 0.1]], (len(texts), 1))

    data = TextDataset(TEXTS, [0] * len(TEXTS), classes=["a", "b"])
    judge = RobustnessEvaluator("deepwordbug", data, examples=20, progress=False)
    found = race(judge, sometimes, beat=1.0, first=4)
    assert not found.stopped
    assert found.highest == 1.0


def failing_on(texts: set[str]) -> Any:
    def victim(asked: list[str]) -> np.ndarray:
        if texts & set(asked):
            raise ValueError("odd text")
        return np.tile([[0.1, 0.9]], (len(asked), 1))

    return victim


@pytest.fixture
def ones() -> RobustnessEvaluator:
    """Of texts that are all of class 1, with a rest portion at the usual growth."""
    data = TextDataset(TEXTS[:51], [1] * 51)
    return RobustnessEvaluator("deepwordbug", data, examples=None, progress=False)


def test_examples_in_error_are_not_right(ones: RobustnessEvaluator) -> None:
    bad = {str(example.text) for example in ones.examples[:20]}
    full = ones.evaluate(failing_on(bad))
    found = race(ones, failing_on(bad), beat=0.3)
    assert found.accuracy == found.report.accuracy == full.accuracy == 31 / 51
    assert found.highest == full.accuracy_under_attack_bounds.high == 1.0


@pytest.mark.parametrize("part", [slice(-1, None), slice(0, 10), slice(10, 20)])
def test_a_portion_may_fail_as_a_whole(ones: RobustnessEvaluator, part: slice) -> None:
    bad = {str(example.text) for example in ones.examples[part]}
    full = ones.evaluate(failing_on(bad))
    found = race(ones, failing_on(bad), beat=0.3, first=10)
    assert found.report.errors == full.errors == len(bad)
    assert outcomes(found.report) == outcomes(full)


def test_a_race_without_any_answer_ends_as_an_evaluation_does(ones: RobustnessEvaluator) -> None:
    class Broken(DeepWordBug):
        def search(self, text: Any, context: Any) -> Any:
            raise ValueError("no search")

    everything = {str(example.text) for example in ones.examples}
    judge = evaluator(attacks=Broken())
    for run in (lambda e, v: e.evaluate(v), lambda e, v: race(e, v, beat=0.0)):
        with pytest.raises(EvaluationError, match=r"fails on every one of 51 unchanged.*odd text"):
            run(ones, failing_on(everything))
        with pytest.raises(EvaluationError, match=r"failed on every one of 100 .*no search"):
            run(judge, hashing_classifier)


def test_a_screening_victim_is_right_where_float32_is(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    victim = Bfloat16Victim(trained_bert, tokenizer, margin=0.0)
    with torch.no_grad():  # a copy that says class 0 of everything
        victim.model.classifier.bias.copy_(torch.tensor([90.0, -90.0]))
    judge = RobustnessEvaluator(Unchanged(), dataset, examples=40, progress=False)
    found = race(judge, victim, beat=0.9, first=10)
    assert not found.stopped
    assert found.accuracy == found.report.accuracy == found.highest > 0.9


def test_portions_grow() -> None:
    assert _looks(100, 25, 2) == [25, 50, 100]
    assert _looks(101, 25, 2) == [25, 50, 101]  # no rest smaller than the first portion
    assert _looks(125, 25, 2) == [25, 50, 100, 125]
    assert _looks(49, 25, 2) == [49]
    assert _looks(10, 25, 2) == [10]
    assert _looks(5, 1, 1.01) == [1, 2, 3, 4, 5]


def test_chances_are_exact() -> None:
    """By counting all samples of a small population."""
    for correct, total, tried in ((7, 3, 4), (6, 6, 2), (5, 0, 3), (8, 5, 5)):
        survives = [k < total for k in range(correct)]
        counts = [sum(survives[k] for k in drawn) for drawn in combinations(range(correct), tried)]
        for survivors in range(tried + 1):
            expected = np.mean([c <= survivors for c in counts])
            assert _chance(survivors, tried, total, correct) == pytest.approx(expected)
    assert _chance(2, 4, 9, 8) == 0.0  # more survivors than there are examples


def test_highest_is_what_the_test_does_not_rule_out() -> None:
    for survivors, tried, correct in ((0, 10, 50), (3, 10, 50), (10, 10, 50), (5, 50, 50)):
        found = _highest(survivors, tried, correct, 0.05)
        possible = [
            total
            for total in range(survivors, survivors + correct - tried + 1)
            if _chance(survivors, tried, total, correct) >= 0.05
        ]
        assert found == max(possible)


def test_a_victim_that_would_reach_it_is_seldom_stopped() -> None:
    """Five per cent of the races at most, whatever the number of looks."""
    rng = np.random.default_rng(0)
    planned, total = 200, 40
    ends = _looks(planned, 25, 2)
    alpha = 0.05 / (len(ends) - 1)
    stopped = 0
    for _ in range(1000):
        survives = rng.permutation([True] * total + [False] * (planned - total))
        looks = [(int(survives[:end].sum()), end) for end in ends[:-1]]
        stopped += any(_chance(s, end, total, planned) < alpha for s, end in looks)
    assert stopped <= 60
    assert stopped > 0  # nor is the test idle


def test_bad_numbers() -> None:
    for name, value in (("beat", 2), ("first", 0), ("growth", 1.0), ("confidence", 0.2)):
        with pytest.raises(DataError, match=name):
            race(evaluator(), hashing_classifier, **{"beat": 0.5, name: value})  # type: ignore[arg-type]
