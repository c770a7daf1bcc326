from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rosearch as rs
from rosearch.pipeline.store import StudentStore
from rosearch.student import StudentConfig, StudentForSequenceClassification

GENOME = rs.templates.bag_of_words(width=16, embedding_width=16)
CPU = torch.device("cpu")


@pytest.fixture
def student(fine_tuned: Callable[[int], Any]) -> StudentForSequenceClassification:
    teacher, _, _ = fine_tuned(4)
    model = StudentForSequenceClassification(StudentConfig(GENOME, vocab_size=100))
    model.tokenizer = teacher.tokenizer
    return model


def store(folder: Path | None, last_rung: int | None = None, **settings: Any) -> StudentStore:
    return StudentStore(folder, settings=settings, last_rung=last_rung)


def same_weights(a: torch.nn.Module | None, b: torch.nn.Module) -> bool:
    return a is not None and all(
        torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


def test_saved_student_is_loaded(student: StudentForSequenceClassification, tmp_path: Path) -> None:
    own = store(tmp_path / "students")
    folder = own.folder(GENOME, seed=0)
    assert own.load(folder, CPU) is None
    own.save(student, folder)
    loaded = own.load(folder, CPU)
    assert same_weights(loaded, student)
    assert loaded is not None
    assert not loaded.training
    assert loaded.tokenizer is not None
    assert list(folder.parent.iterdir()) == [folder]


def test_folder_names(tmp_path: Path) -> None:
    own = store(tmp_path, last_rung=2)
    whole = own.folder(GENOME, seed=0)
    assert whole.name.startswith(f"{GENOME.key}-0-")
    assert own.folder(GENOME, seed=0, rung=2) == whole
    assert own.folder(GENOME, seed=0, rung=1) == tmp_path / f"{whole.name}-1"
    assert own.folder(GENOME, seed=1) != whole
    assert store(tmp_path, epochs=3).folder(GENOME, seed=0) != whole


def test_a_student_that_another_process_saves_meanwhile_is_accepted(
    student: StudentForSequenceClassification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = store(tmp_path)
    folder = own.folder(GENOME, seed=0)
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if target == folder and not folder.exists():
            student.save_pretrained(folder)  # the other process is quicker
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    for _ in range(2):  # a new folder, then one that exists
        own.save(student, folder)
        assert same_weights(own.load(folder, CPU), student)
        assert list(tmp_path.iterdir()) == [folder]
    made = (folder / "config.json").stat().st_ino
    own.save(student, folder, replace=False)
    assert (folder / "config.json").stat().st_ino == made
    assert list(tmp_path.iterdir()) == [folder]


def test_incomplete_folders_of_killed_processes_are_removed_after_a_day(
    student: StudentForSequenceClassification, tmp_path: Path
) -> None:
    now = time.time()
    for name, age in {
        ".rosearch-draft-old": 25,
        ".rosearch-draft-new": 23,
        ".draft-old": 25,
    }.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (now - age * 3600,) * 2)
    own = store(tmp_path)
    folder = own.folder(GENOME, seed=0)
    own.save(student, folder)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".rosearch-draft-new",
        ".draft-old",
        folder.name,
    }


def test_pickled_copies_share_the_temporary_folder() -> None:
    own = store(None)
    copy = pickle.loads(pickle.dumps(own))
    root = own.root
    assert copy.root == root
    del own
    assert not root.exists()
    assert copy.root.is_dir()  # as on a machine that does not have it
    assert copy.root != root


def test_rung_files_of_another_student_are_not_used(
    student: StudentForSequenceClassification, tmp_path: Path
) -> None:
    files = store(tmp_path).rung_files(GENOME, seed=0)
    assert files.reports(student) == {}
    assert files.store(student, {}, rung=0, seconds=2.0) == 2.0
    assert files.store(student, {}, rung=1, seconds=3.0) == 5.0
    assert files.store(student, {}, rung=0, seconds=1.0) == 2.0  # a repeated rung
    with torch.no_grad():
        next(student.parameters()).add_(1e-3)
    assert files.reports(student) == {}
    files.remove()
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_starts_from_the_rung_below(tmp_path: Path) -> None:
    files = store(tmp_path).rung_files(GENOME, seed=0)
    first = files.checkpoint(0)
    assert not first.exists()
    first.parent.mkdir(parents=True)
    first.write_bytes(b"state")
    second = files.checkpoint(1)
    assert second != first
    assert second.read_bytes() == b"state"
    second.write_bytes(b"more")
    assert files.checkpoint(1).read_bytes() == b"more"
    assert files.checkpoint(0).read_bytes() == b"state"
