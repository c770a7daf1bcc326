"""The file of a confirmation."""

from __future__ import annotations

import json

import pytest

from rosearch.errors import StorageError, StudyMismatchError
from rosearch.evolve.confirmation.file import ConfirmationFile
from rosearch.evolve.confirmation.result import ConfirmedRun
from rosearch.evolve.study.trials import Failure
from tests.evolve.confirmation.confirmations import (
    Attacking,
    Sometimes,
    figures,
    in_file,
    quiet,
)
from tests.evolve.evaluations import Log, synthetic


@pytest.mark.parametrize("stop", [1, 4])
def test_interrupted_confirmation_continues(tmp_path, search, stop):
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


def test_larger_confirmation_reuses_the_file(tmp_path, search, log):
    file = tmp_path / "confirm.json"
    quiet(search, log, top=1, seeds=[5, 6], storage=file)
    found = quiet(search, log, top=2, seeds=[6, 7], storage=file)
    assert len(log.lines()) == 2 + 3
    assert figures(found) == figures(quiet(search, synthetic, top=2, seeds=[6, 7]))


def test_failed_runs_are_stored_and_tried_again(tmp_path, search):
    file = tmp_path / "confirm.json"
    first = quiet(search, Sometimes({6}), top=1, seeds=[5, 6], storage=file)
    assert len(first.candidates[0].failures) == 1
    assert [kind for _, kind in in_file(file)].count(None) == 1
    again = quiet(search, Sometimes({5}), top=1, seeds=[5, 6], storage=file)  # only 6 is tried
    assert again.candidates[0].failures == ()
    assert figures(again) == figures(quiet(search, synthetic, top=1, seeds=[5, 6]))


def test_two_processes_can_share_a_file(tmp_path):
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


def test_file_of_another_pipeline_is_refused(tmp_path, search):
    file = tmp_path / "confirm.json"
    quiet(search, Attacking(tmp_path / "log", "test", [1, 2]), top=1, storage=file)
    with pytest.raises(StudyMismatchError, match=r"examples.*\[1, 2\]"):
        quiet(search, Attacking(tmp_path / "log", "test", [1]), top=1, storage=file)
    file.write_text("{}")
    with pytest.raises(StorageError, match="is not a confirmation"):
        quiet(search, synthetic, top=1, storage=file)
    with pytest.raises(StorageError, match="is a folder"):
        quiet(search, synthetic, top=1, storage=tmp_path)
