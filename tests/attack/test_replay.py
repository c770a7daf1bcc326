"""Replay of earlier perturbations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rosearch.attack import FunctionVictim, Replay, RobustnessEvaluator
from rosearch.attack.testing import hashing_classifier
from rosearch.data import TextDataset
from rosearch.errors import DataError, EvaluationError

TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "The film offers a breath of fresh air, and true sophistication.",
    "Effective but too tepid biopic.",
    "A dull and boring end, and a dull start.",
    "It's a good place to start: honest and observed!",
)
LABELS = hashing_classifier(TEXTS).argmax(axis=1).tolist()


def report_on(texts: Any = TEXTS, labels: Any = LABELS, **settings: Any) -> Any:
    data = TextDataset(texts, labels, classes=["a", "b"])
    settings = {"examples": range(len(texts)), "progress": False, **settings}
    return RobustnessEvaluator("deepwordbug", data, **settings).evaluate(hashing_classifier)


@pytest.fixture(scope="module")
def report() -> Any:
    found = report_on()
    assert 2 <= found.succeeded < len(TEXTS) + 1
    return found


def test_the_same_victim_falls_again(report: Any) -> None:
    replay = Replay.from_reports(report)
    found = replay.evaluate(hashing_classifier)
    assert found.n == len(TEXTS)
    assert found.accuracy == report.accuracy
    assert found.transfer_accuracy == report.accuracy_under_attack
    assert (found.fooled, found.perturbations) == (report.succeeded, report.succeeded)
    assert found.forward_rows == len(TEXTS) + report.succeeded
    assert not hasattr(found, "accuracy_under_attack")
    assert "transfer accuracy" in str(found)
    assert "under attack" not in str(found)


def test_another_victim_by_hand(report: Any) -> None:
    broken = {r.perturbed for r in report.examples if r.broken}
    chosen = min(broken)

    def victim(texts: list[str]) -> np.ndarray:
        labels = dict(zip(TEXTS, LABELS, strict=True))
        originals = {r.perturbed: r.label for r in report.examples}
        rows = []
        for text in texts:
            label = labels.get(text, originals.get(text))
            rows.append(np.eye(2)[1 - label if text == chosen else label])
        return np.array(rows)

    found = Replay.from_reports(report).evaluate(victim)
    assert (found.correct, found.fooled) == (len(TEXTS), 1)
    assert found.transfer_accuracy == (len(TEXTS) - 1) / len(TEXTS)


def test_one_batch(report: Any) -> None:
    calls = []

    def victim(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return hashing_classifier(texts)

    Replay.from_reports(report).evaluate(victim)
    assert calls == [len(TEXTS), report.succeeded]


def test_grows_with_reports(report: Any) -> None:
    other = report_on(seed=1)
    replay = Replay.from_reports(report, other)
    assert replay == Replay.from_reports(report).with_report(other)
    assert [e.index for e in replay.examples] == list(range(len(TEXTS)))
    assert replay.with_report(report) == replay  # nothing twice
    count = sum(len(e.perturbed) for e in replay.examples)
    assert count > report.succeeded
    few = Replay.from_reports(report, other, most=1)
    assert max(len(e.perturbed) for e in few.examples) == 1
    latest = {r.index: r.perturbed for r in other.examples if r.broken}
    assert all(e.perturbed == (latest[e.index],) for e in few.examples if e.index in latest)
    assert str(count) in repr(replay)


def test_more_perturbations_never_help(report: Any) -> None:
    few = Replay.from_reports(report)
    more = few.with_report(report_on(seed=1)).with_report(report_on(seed=2))

    def victim(texts: list[str]) -> np.ndarray:
        return hashing_classifier([text.lower().replace("a", "") for text in texts])

    assert more.evaluate(victim).transfer_accuracy <= few.evaluate(victim).transfer_accuracy


@pytest.mark.parametrize("side", [0, 1])
def test_pairs(side: int) -> None:
    pairs = [(text, "Some other text.") if side == 0 else ("Some", text) for text in TEXTS]
    labels = hashing_classifier(pairs).argmax(axis=1).tolist()
    report = report_on(pairs, labels, attacked_side=side)
    replay = Replay.from_json(Replay.from_reports(report).to_json())
    assert replay.attacked_side == side
    found = replay.evaluate(hashing_classifier)
    assert found.transfer_accuracy == report.accuracy_under_attack
    with pytest.raises(DataError, match="Keep a replay for each"):
        replay.with_report(report_on(pairs, labels, attacked_side=1 - side))


def test_json_round_trip(report: Any) -> None:
    replay = Replay.from_reports(report)
    assert Replay.from_json(replay.to_json()) == replay
    assert Replay.from_json(json.dumps(json.loads(replay.to_json())).encode()) == replay
    for broken in ("{", "[]", '{"examples": 3}', '{"examples": [{}], "attacked_side": 1}'):
        with pytest.raises(DataError, match=r"Replay\.to_json"):
            Replay.from_json(broken)


def test_one_bad_text_is_one_error(report: Any) -> None:
    bad = next(r.perturbed for r in report.examples if r.broken)

    def victim(texts: list[str]) -> np.ndarray:
        if bad in texts:
            raise ValueError("no")
        return hashing_classifier(texts)

    found = Replay.from_reports(report).evaluate(victim)
    assert found.errors == 1
    assert found.fooled == report.succeeded - 1
    assert found.transfer_accuracy_bounds.low == report.accuracy_under_attack
    assert "1 errors" in str(found)


def test_other_data_is_refused(report: Any) -> None:
    with pytest.raises(DataError, match="same data set"):
        Replay.from_reports(report, report_on(TEXTS[::-1], LABELS[::-1]))
    with pytest.raises(DataError, match="one report at least"):
        Replay.from_reports()
    with pytest.raises(DataError, match="most"):
        Replay.from_reports(report, most=0)
    with pytest.raises(DataError, match="no example"):
        Replay(()).evaluate(hashing_classifier)
    with pytest.raises(EvaluationError):
        Replay.from_reports(report).evaluate(lambda texts: np.full((len(texts), 2), np.nan))


def test_only_texts_that_broke_a_victim(report: Any) -> None:
    none = replace(
        report,
        attacks={},
        examples=tuple(replace(r, perturbed_predicted=r.label) for r in report.examples),
    )
    replay = Replay.from_reports(none)
    assert all(not e.perturbed for e in replay.examples)
    found = replay.evaluate(FunctionVictim(hashing_classifier))
    assert found.transfer_accuracy == found.accuracy
