"""Evaluations that are interrupted and go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import DeepWordBug, FunctionVictim, RobustnessEvaluator, Targeted
from rosearch.attack.victim.model import ModelVictim
from rosearch.data import TextDataset
from rosearch.encode import Encoding
from rosearch.errors import ArgumentError, EvaluationError, StorageError
from tests.attack.engine.lengthen import Lengthen

TEXTS = [
    f"{verdict} {thing} und\nlights\ud83d"
    for verdict in ("gripping", "lousy")
    for thing in ("plot", "cast", "score", "end")
]
ATTACKS = ("deepwordbug", Lengthen())


def classify(texts: list[Any]) -> np.ndarray:
    """Probabilities that depend on the hash of each word."""
    words = [(text if isinstance(text, str) else " ".join(text)).split() for text in texts]
    hashes = [[zlib.crc32(w.encode("utf-8", "replace")) % 201 - 100 for w in row] for row in words]
    share = 1 / (1 + np.exp([sum(row) / 100 for row in hashes]))
    return np.stack([share, 1 - share], axis=1)


LABELS = classify(TEXTS).argmax(axis=1)


class Scores:
    """A classifier that counts its rows and stops before a given call."""

    def __init__(self, last: int | None = None, *, stop: Any = KeyboardInterrupt) -> None:
        self.last, self.stop = last, stop
        self.calls = 0
        self.rows: list[Any] = []

    def __call__(self, texts: list[Any]) -> np.ndarray:
        self.calls += 1
        if self.last is not None and self.calls > self.last:
            raise self.stop
        self.rows += texts
        return classify(texts)


class LowerCase(Encoding):
    """Words in lower case."""

    def word(self, word):
        return word.lower()


def evaluator(attacks: Any = ATTACKS, data: Any = None, **kw: Any) -> Any:
    data = data or TextDataset(TEXTS, LABELS)
    settings = {"examples": None, "progress": False, "in_flight": 2, **kw}
    return RobustnessEvaluator(list(attacks), data, **settings)


def without_time(report: Any) -> dict[str, Any]:
    data = json.loads(report.to_json())
    for part in (data, *data["attacks"].values()):
        assert part.pop("seconds") > 0
    return data


def interrupted(path: Path, last: int, **kw: Any) -> Scores:
    scores = Scores(last)
    with pytest.raises(KeyboardInterrupt):
        evaluator(**kw).evaluate(scores, checkpoint=path)
    return scores


@pytest.mark.parametrize("settings", [{}, {"in_flight": 256}, {"query_budget": 9, "certify": True}])
def test_a_resumed_report_is_the_uninterrupted_one_wherever_it_stopped(tmp_path, settings):
    whole = Scores()
    expected = without_time(evaluator(**settings).evaluate(whole))
    for last in {*range(0, whole.calls, max(1, whole.calls // 4)), whole.calls - 1}:
        path = tmp_path / f"{last}.jsonl"
        first, second = interrupted(path, last, **settings), Scores()
        report = evaluator(**settings).evaluate(second, checkpoint=path)
        assert without_time(report) == expected
        assert sorted(map(str, first.rows + second.rows)) == sorted(map(str, whole.rows))


def test_many_interruptions_of_one_evaluation(tmp_path):
    whole, rows = Scores(), []
    expected = without_time(evaluator().evaluate(whole))
    while True:
        scores = Scores(7)
        try:
            report = evaluator().evaluate(scores, checkpoint=tmp_path / "a")
            break
        except KeyboardInterrupt:
            assert scores.rows
        finally:
            rows += scores.rows
    assert without_time(report) == expected
    assert sorted(rows) == sorted(whole.rows)


def test_a_finished_file_gives_the_report_without_an_attack(tmp_path, monkeypatch):
    path = tmp_path / "a"
    expected = evaluator().evaluate(Scores(), checkpoint=path)
    content = path.read_bytes()
    monkeypatch.setattr(DeepWordBug, "search", None)
    report = evaluator().evaluate(Scores(0), checkpoint=str(path))
    assert without_time(report) == without_time(expected)
    assert report.seconds >= json.loads(content.splitlines()[-1])["seconds"]
    assert path.read_bytes() == content


def test_pairs(tmp_path):
    pairs = [(text, "a premise about it") for text in TEXTS]
    data = TextDataset(pairs, classify(pairs).argmax(axis=1))
    expected = evaluator(data=data, attacked_side=0).evaluate(Scores())
    interrupted(tmp_path / "a", 9, data=data, attacked_side=0)
    report = evaluator(data=data, attacked_side=0).evaluate(Scores(), checkpoint=tmp_path / "a")
    assert without_time(report) == without_time(expected)


KILLED = """
import os, signal, sys, types
# Packages that TextAttack needs install a package of this name.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [sys.argv[2]]
from tests.attack.engine import test_checkpoint as tests

class Scores(tests.Scores):
    def __call__(self, texts):
        if self.calls == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(texts)

Scores.__module__, Scores.__qualname__ = tests.Scores.__module__, tests.Scores.__qualname__
tests.evaluator().evaluate(Scores(), checkpoint=sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_is_resumed_by_another(tmp_path):
    path = tmp_path / "a"
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parents[2])],
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    scores, whole = Scores(), Scores()
    report = evaluator().evaluate(scores, checkpoint=path)
    assert without_time(report) == without_time(evaluator().evaluate(whole))
    assert 0 < len(scores.rows) < len(whole.rows)


def test_a_torn_last_line_is_cut(tmp_path):
    path = tmp_path / "a"
    interrupted(path, 8)
    content = path.read_bytes()
    expected = without_time(evaluator().evaluate(Scores()))
    header = content.index(b"\n")
    for size in (0, 1, 40, header, header + 9, len(content) - 1):
        path.write_bytes(content[:size])
        assert without_time(evaluator().evaluate(Scores(), checkpoint=path)) == expected
        for line in path.read_bytes().splitlines():
            json.loads(line)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, "seed: 0 in the checkpoint, 1 now"),
        ({"query_budget": 5}, "query_budget: None in the checkpoint, 5 now"),
        ({"goal": Targeted(1)}, "goal.name: 'untargeted' in the checkpoint, 'targeted' now"),
        ({"attacks": [DeepWordBug(max_edit_distance=9), ATTACKS[1]]}, r"attacks\[0\]"),
        ({"attacks": ["deepwordbug"]}, "attacks: "),
        ({"examples": [3, 1]}, "examples: "),
        ({"certify": True}, "certify: not set in the checkpoint, True now"),
        ({"data": TextDataset(TEXTS, 1 - LABELS)}, "data: "),
        ({"data": TextDataset([text.upper() for text in TEXTS], LABELS)}, "data: "),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, other, said):
    path = tmp_path / "a"
    interrupted(path, 5)
    content = path.read_bytes()
    with pytest.raises(StorageError, match=said):
        evaluator(**other).evaluate(Scores(), checkpoint=path)
    assert path.read_bytes() == content


def test_settings_of_speed_may_change(tmp_path):
    interrupted(tmp_path / "a", 5)
    fast = evaluator(in_flight=1, token_budget=7)
    report = fast.evaluate(FunctionVictim(Scores(), batch_size=5), checkpoint=tmp_path / "a")
    assert without_time(report) == without_time(evaluator().evaluate(Scores()))


def test_another_function_or_encoding_is_refused(tmp_path):
    path = tmp_path / "a"
    interrupted(path, 5)
    with pytest.raises(StorageError, match=r"victim.function: .*Scores' in the checkpoint, .*fy'"):
        evaluator().evaluate(classify, checkpoint=path)
    encoding = LowerCase()
    with pytest.raises(StorageError, match=r"victim.encoding: not set in the checkpoint"):
        evaluator().evaluate(Scores(), encoding=encoding, checkpoint=path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_is_resumed_and_another_is_refused(
    tmp_path, monkeypatch, tiny_bert, tokenizer, dataset, precision
):
    def made():
        return evaluator(["deepwordbug"], dataset, examples=12, in_flight=4, precision=precision)

    path, model = tmp_path / "a", tiny_bert()
    expected = made().evaluate(model, tokenizer)
    calls = []
    compute = ModelVictim.compute

    def stopped(self, keys):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return compute(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(ModelVictim, "compute", stopped)
        with pytest.raises(KeyboardInterrupt):
            made().evaluate(model, tokenizer, checkpoint=path)
    kept = path.read_bytes()
    assert kept.count(b'"rows"') > 1
    # Other batches round differently.
    report = made().evaluate(model, tokenizer, checkpoint=path)
    assert [r.status for r in report.examples] == [r.status for r in expected.examples]
    assert report.forward_rows == pytest.approx(expected.forward_rows, rel=0.1)

    model.classifier.bias.data[0] += 1e-3
    with pytest.raises(StorageError, match=r"victim.model: '.*' in the checkpoint, '.*' now"):
        made().evaluate(model, tokenizer, checkpoint=path)


def test_errors_are_tried_again_and_count_beside_kept_results(tmp_path):
    class Limited(Scores):
        """Cannot read lousy texts."""

        def __call__(self, texts):
            if any("lousy" in text for text in texts):
                raise RuntimeError("service is down")
            return super().__call__(texts)

    Limited.__module__, Limited.__qualname__ = Scores.__module__, Scores.__qualname__
    path = tmp_path / "a"
    broken = evaluator().evaluate(Limited(), checkpoint=path)
    assert 0 < broken.errors < broken.n
    scores = Limited()
    again = evaluator().evaluate(scores, checkpoint=path)
    assert (again.errors, scores.rows) == (broken.errors, [])
    mended = evaluator().evaluate(Scores(), checkpoint=path)
    assert without_time(mended) == without_time(evaluator().evaluate(Scores()))
    with pytest.raises(EvaluationError, match="failed on all"):
        evaluator().evaluate(Scores(0, stop=OSError), checkpoint=tmp_path / "b")


def test_what_a_function_returns_is_decided_once(tmp_path):
    class Logits(Scores):
        """Logits, of which those of some texts could be probabilities."""

        def __call__(self, texts):
            found = super().__call__(texts)
            return [
                row if len(text) % 3 else row * 7 for text, row in zip(texts, found, strict=True)
            ]

    path, victim = tmp_path / "a", FunctionVictim(Logits())
    expected = evaluator([Lengthen((9, 10))]).evaluate(victim)
    assert victim.outputs == "logits"
    with pytest.raises(KeyboardInterrupt):
        evaluator([Lengthen((9, 10))]).evaluate(Logits(2), checkpoint=path)
    report = evaluator([Lengthen((9, 10))]).evaluate(Logits(), checkpoint=path)
    assert without_time(report) == without_time(expected)
    sure = FunctionVictim(Logits(), outputs="probabilities")
    with pytest.raises(StorageError, match="were logits in the checkpoint"):
        evaluator([Lengthen((9, 10))]).evaluate(sure, checkpoint=path)


def test_a_file_in_use_is_refused(tmp_path):
    path, said = tmp_path / "a", []

    class Twice(Scores):
        def __call__(self, texts):
            if not said:
                with pytest.raises(StorageError) as raised:
                    evaluator().evaluate(Scores(), checkpoint=path)
                said.append(str(raised.value))
            return super().__call__(texts)

    evaluator().evaluate(Twice(), checkpoint=path)
    assert "in use by another evaluation" in said[0]


@pytest.mark.parametrize(
    "content", ["my notes", "text,label\nfine,1\n", '{"n": 3}', '{"rosearch": 1}\n', "\n"]
)
def test_other_files_are_left_as_they_are(tmp_path, content):
    path = tmp_path / "a"
    path.write_text(content)
    with pytest.raises(StorageError, match="is no checkpoint"):
        evaluator().evaluate(Scores(), checkpoint=path)
    assert path.read_text() == content


def test_damaged_lines_and_places_are_refused(tmp_path):
    path = tmp_path / "a"
    interrupted(path, 8)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (b"\0\0\n", b"{}\n", b"[]\n", b"3\n", lines[1][:30] + b"\n"):
        path.write_bytes(b"".join([*lines[:2], damaged, *lines[2:]]))
        with pytest.raises(StorageError, match="Line 3 of the checkpoint"):
            evaluator().evaluate(Scores(), checkpoint=path)
    for place in (tmp_path, path / "b"):
        with pytest.raises(StorageError, match="cannot be opened"):
            evaluator().evaluate(Scores(), checkpoint=place)
    evaluator().evaluate(Scores(), checkpoint=tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").is_file()
    with pytest.raises(ArgumentError, match="checkpoint must be the path of a file, got True"):
        evaluator().evaluate(Scores(), checkpoint=True)


def test_a_full_disk_ends_the_evaluation_and_keeps_what_was_written(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a"
    interrupted(path, 4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            evaluator().evaluate(Scores(), checkpoint=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    report = evaluator().evaluate(Scores(), checkpoint=path)
    assert without_time(report) == without_time(evaluator().evaluate(Scores()))
