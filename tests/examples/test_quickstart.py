"""The quickstart, whole but small: it ends, goes on after a kill, and leaves what it promises."""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rosearch import TextDataset
from rosearch.errors import MissingResourceError
from tests.fresh_python import FreshPython

SCRIPT = Path(__file__).with_name("small_quickstart.py")
SIZE = (
    "--train 100 --dev 40 --test 40 --candidates 2 --epochs 1 --examples 10 --test-examples 10 "
    "--teacher-examples 5 --attacks deepwordbug"
).split()


@pytest.fixture(scope="module")
def material(
    dataset: TextDataset,
    tokenizer: Any,
    tiny_bert: Callable[..., Any],
    wordnet_folder: Path,  # for classes of words
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("material")
    tiny_bert().save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    lines = [f"{label}\t{text}" for text, label in zip(dataset.texts, dataset.labels, strict=True)]
    (folder / "table.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def command(material: Path, out: Path) -> list[str]:
    paths = (SCRIPT, material / "encoder", material / "table.tsv", "--out", out)
    return [*map(str, paths), *SIZE]


def environment(material: Path) -> dict[str, str]:
    return {**os.environ, "ROSEARCH_CACHE": str(material / "cache"), "OMP_NUM_THREADS": "1"}


def run(python: FreshPython, material: Path, out: Path) -> str:
    environ = environment(material)
    return python.run(*command(material, out), environment=environ, check=True).stdout


def trials(out: Path) -> list[tuple[int, str, str]]:
    """Number, state and genome of every trial in the study's file."""
    query = (
        "select number, state, value_json from trials join trial_user_attributes using (trial_id) "
        "where key = 'genome' order by number"
    )
    if not (out / "search.db").exists():
        return []
    with closing(sqlite3.connect(f"file:{out / 'search.db'}?mode=ro", uri=True)) as base:
        try:
            return list(base.execute(query))
        except sqlite3.OperationalError:  # the tables are not there yet
            return []


def trained(material: Path) -> list[str]:
    """Genome and seed of every student trained since the last call."""
    log = material / "trained.txt"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def finished(out: Path) -> int:
    return sum(state == "COMPLETE" for _, state, _ in trials(out))


@pytest.mark.slow
def test_leaves_what_it_promises_and_goes_on_after_kill(
    material: Path, fresh_python: FreshPython, tmp_path: Path
) -> None:
    # One test, as both need a run from the beginning to the end.
    out = tmp_path / "whole"
    trained(material)
    printed = run(fresh_python, material, out)
    assert len(set(trained(material))) == 8
    check_promises(fresh_python, material, out, printed)
    check_kill(fresh_python, material, out, tmp_path / "broken")


def check_kill(python: FreshPython, material: Path, whole: Path, broken: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, *command(material, broken)],
        env=environment(material),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while finished(broken) < 6 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished(broken)
    assert 6 <= done < 8, "killed too early or too late to tell anything"
    trained(material)
    run(python, material, broken)
    assert len(trained(material)) == 8 - done
    assert [(n, g) for n, _, g in trials(broken)] == [(n, g) for n, _, g in trials(whole)]
    assert finished(broken) == 8


def check_promises(python: FreshPython, material: Path, out: Path, printed: str) -> None:
    summary = (out / "summary.md").read_text(encoding="utf-8")
    plain = ("bag of words", "TextCNN", "BiGRU", "transformer")
    names = ("teacher", "teacher, spelling", *plain, "best found", "constant classifier")
    for name in names:
        assert f"| {name} |" in summary
        assert name in printed
    code = (
        "import rosearch, sys\n"
        "from transformers import AutoModelForSequenceClassification as Model, AutoTokenizer\n"
        "model = Model.from_pretrained(sys.argv[1])\n"
        "rows = AutoTokenizer.from_pretrained(sys.argv[1])('a good film', return_tensors='pt')\n"
        "print(type(model).__name__, tuple(model(**rows).logits.shape))"
    )
    loaded = python.run("-c", code, out / "best", check=True)
    assert loaded.stdout.strip() == "StudentForSequenceClassification (1, 2)"
    card = (out / "best" / "README.md").read_text(encoding="utf-8")
    assert "| accuracy | test |" in card
    assert card.count(" of dev |") == card.count(" of test |") == 1
    # Run again, it has nothing left to do and says the same.
    trained(material)
    again = run(python, material, out)
    assert trained(material) == []
    assert finished(out) == 8
    assert "teacher, spelling" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "front.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    table = summary.partition("\n\n")[2].partition("\n\n")[0]
    constant = next(line for line in table.splitlines() if "constant classifier" in line)
    assert "| 0.0 |" in constant  # its worst class
    assert table in (out / "summary.md").read_text(encoding="utf-8")
    assert again.splitlines()[-13:] == printed.splitlines()[-13:]


class FakeColumns(dict[str, Any]):
    """A split as the package datasets gives it, as far as the quickstart looks at it."""

    @property
    def column_names(self) -> list[str]:
        return list(self)


@pytest.mark.parametrize("splits", [("train",), ("train", "test"), ("train", "validation", "test")])
def test_takes_data_of_the_hub(
    splits: tuple[str, ...], dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    quickstart = importlib.import_module("quickstart")
    part = FakeColumns(sentence=list(dataset.texts), label=dataset.labels.tolist())
    calls = []

    def load_dataset(*names: str | None) -> dict[str, FakeColumns]:
        calls.append(names)
        return dict.fromkeys(splits, part)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    line = "--dataset some/data:plain --text-column sentence --train 90 --dev 30 --test 40"
    train, dev, test = quickstart.splits(quickstart.arguments(line.split()))
    assert calls == [("some/data", "plain")]
    assert [len(part) for part in (train, dev, test)] == [90, 30, 40]
    assert not set(train.texts) & set(dev.texts)
    if splits == ("train",):
        assert not set(train.texts) & set(test.texts)


def test_says_what_data_of_the_hub_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    quickstart = importlib.import_module("quickstart")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingResourceError, match="pip install datasets"):
        quickstart.splits(quickstart.arguments(["--dataset", "some/data"]))


def test_a_classifier_with_the_right_classes_is_not_fine_tuned(
    tiny_bert: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    quickstart = importlib.import_module("quickstart")
    tiny_bert().save_pretrained(tmp_path)
    assert quickstart.is_classifier(tmp_path, 2)
    assert not quickstart.is_classifier(tmp_path, 3)
    tiny_bert().bert.save_pretrained(tmp_path / "encoder")
    assert not quickstart.is_classifier(tmp_path / "encoder", 2)
