"""Oracles: answers cached in memory and in a file."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rosearch.attack import Oracle
from rosearch.attack.resources import oracles
from rosearch.errors import EvaluationError


class Lengths(Oracle):
    """The length of each question."""

    name = "lengths"

    def __init__(self, *, factor: int = 1, cache: Any = False) -> None:
        super().__init__(cache=cache)
        self.factor = factor

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        return [self.factor * len(question) for question in questions]


class Fixed(Oracle):
    """The same answer to every question."""

    name = "fixed"

    def __init__(self, answer: Any, *, cache: Any = False) -> None:
        super().__init__(cache=cache)
        self._answer = answer

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        return [self._answer for _ in questions]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.sqlite"))


class TestMemory:
    def test_each_question_is_computed_once(self) -> None:
        oracle = Lengths()
        assert oracle.answer(["a", "bb", "a"]) == [1, 2, 1]
        assert oracle.computed == 2
        assert oracle.answer(["bb", "ccc"]) == [2, 3]
        assert oracle.computed == 3
        assert oracle.recall(["a", "ccc"]) == [1, 3]
        assert oracle.recall(["a", "new"]) is None
        assert oracle.answer([]) == []

    def test_memory_only_writes_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
        Lengths().answer(["a"])
        assert not list(tmp_path.iterdir())

    def test_threads_compute_each_question_once(self) -> None:
        oracle = Lengths()
        questions = [[f"{k % 50}" for k in range(start, start + 50)] for start in range(8)]
        threads = [threading.Thread(target=oracle.answer, args=(q,)) for q in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert oracle.computed == 50

    def test_full_memory_is_cleared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oracles, "_MAX_MEMORY", 10_000)
        oracle = Lengths()
        for k in range(200):
            assert oracle.answer([(f"{k} " * 100, "same"), "same"]) == [2, 4]
        assert 210 < oracle.computed < 300  # "same" was computed again several times

    def test_long_answers_fill_the_memory_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oracles, "_MAX_MEMORY", 100_000)
        oracle = Fixed([[f"word {k}", 0.5] for k in range(50)])
        for k in range(60):
            oracle.answer([f"{k}", "same"])
        assert 62 < oracle.computed < 80

    def test_wrong_number_of_answers_is_an_error(self) -> None:
        class Short(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [1]

        with pytest.raises(EvaluationError, match=r"Short.* 2 questions, got 1 answers"):
            Short().answer(["a", "b"])

    def test_settings_are_the_public_attributes(self) -> None:
        assert Lengths(factor=3).settings == {"name": "lengths", "factor": 3}


class TestFile:
    def test_second_instance_computes_nothing(self, tmp_path: Path) -> None:
        first, second = Lengths(cache=tmp_path), Lengths(cache=tmp_path)
        assert first.answer(["a", ("b", "c"), 'quote"\ud800']) == [1, 2, 7]
        assert second.answer([("b", "c"), 'quote"\ud800', "new"]) == [2, 7, 3]
        assert second.computed == 1
        assert len(files(tmp_path)) == 1

    def test_default_folder_is_the_cache_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
        Lengths(cache=True).answer(["a"])
        assert [file.parent.name for file in files(tmp_path)] == ["attack"]

    def test_other_settings_and_versions_have_other_files(self, tmp_path: Path) -> None:
        class Newer(Lengths):
            version = "2"

        for oracle in (Lengths(cache=tmp_path), Lengths(factor=2, cache=tmp_path)):
            oracle.answer(["abc"])
        Newer(cache=tmp_path).answer(["abc"])
        assert len(files(tmp_path)) == 3

    def test_more_questions_than_parameters_of_a_statement(self, tmp_path: Path) -> None:
        questions = [f"q{k}" for k in range(2500)]
        Lengths(cache=tmp_path).answer(questions)
        again = Lengths(cache=tmp_path)
        assert again.answer(questions) == [len(q) for q in questions]
        assert again.computed == 0

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x, max_size=3)
        )
    )
    @hypothesis_settings(max_examples=25)
    def test_file_keeps_answers_unchanged(self, answer: Any) -> None:
        # SQLite may keep the file open, which Windows does not delete.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            first, second = Fixed(answer, cache=folder), Fixed(answer, cache=folder)
            first.answer(["q"])
            (found,) = second.answer(["q"])
            assert second.computed == 0
        assert json.dumps(found) == json.dumps(answer)  # as text, because of NaN

    def test_pickles_without_the_answers_in_the_file(self, tmp_path: Path) -> None:
        oracle = Lengths(cache=tmp_path)
        oracle.answer([f"{k}" for k in range(1000)])
        data = pickle.dumps(oracle)
        assert len(data) < 1000
        copy = pickle.loads(data)
        assert copy.answer(["7", "1234567"]) == [1, 7]
        assert copy.computed == 1001

    def test_pickles_with_the_answers_if_there_is_no_file(self) -> None:
        oracle = Lengths()
        oracle.answer(["a"])
        copy = pickle.loads(pickle.dumps(oracle))
        assert copy.recall(["a"]) == [1]
        assert copy.answer(["bb"]) == [2]


_FORKS = """
import importlib.util, os, sys

# By its path: a package in the environment may be called "tests" too.
spec = importlib.util.spec_from_file_location("oracles_of_tests", sys.argv[2])
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)

oracle = module.Lengths(cache=sys.argv[1])
oracle.answer(["before"])  # its connection must not be used by the children
children = []
for start in (0, 20, 40):
    child = os.fork()
    if not child:
        for k in range(start, start + 60):
            question = f"question {k}"
            assert oracle.answer([question, f"{k}"]) == [len(question), len(f"{k}")]
        os._exit(0)
    children.append(child)
oracle.answer(["in between"])
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_processes_write_at_once(tmp_path: Path) -> None:
    # In a process of its own, because forking one with threads of torch may hang.
    command = [sys.executable, "-c", _FORKS, str(tmp_path), __file__]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True)
    after = Lengths(cache=tmp_path)
    after.answer(["before", "in between", *(f"question {k}" for k in range(100))])
    assert after.computed == 0
    with sqlite3.connect(files(tmp_path)[0]) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestUnusableFiles:
    @pytest.mark.parametrize("value", ["{", "", "nul"])
    def test_damaged_answer_is_computed_again(self, tmp_path: Path, value: str) -> None:
        Lengths(cache=tmp_path).answer(["a", "bb"])
        (file,) = files(tmp_path)
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE answers SET value = ?", [value])
        assert Lengths(cache=tmp_path).answer(["a", "bb"]) == [1, 2]
        again = Lengths(cache=tmp_path)
        assert again.answer(["a", "bb"]) == [1, 2]
        assert again.computed == 0

    def test_damaged_file_is_renamed_and_a_new_one_started(self, tmp_path: Path) -> None:
        Lengths(cache=tmp_path).answer(["a"])
        (file,) = files(tmp_path)
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        file.write_bytes(b"not a database " * 500)
        oracle = Lengths(cache=tmp_path)
        with pytest.warns(UserWarning, match="renamed and a new one started"):
            assert oracle.answer(["a", "b"]) == [1, 1]
        assert file.with_suffix(".damaged").read_bytes().startswith(b"not a database")
        again = Lengths(cache=tmp_path)
        assert again.answer(["a", "b"]) == [1, 1]
        assert again.computed == 0

    @pytest.mark.parametrize("reason", ["file in the way", "read-only folder"])
    def test_unusable_file_is_a_warning(self, tmp_path: Path, reason: str) -> None:
        folder = tmp_path / "cache"
        if reason == "file in the way":
            folder.write_text("in the way")
        else:
            folder.mkdir()
            folder.chmod(0o500)
            if os.access(folder, os.W_OK):
                pytest.skip("this user may write anywhere")
        oracle = Lengths(cache=folder)
        with pytest.warns(UserWarning, match="ROSEARCH_CACHE"):
            assert oracle.answer(["a"]) == [1]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # shown once
            assert oracle.answer(["a", "bb"]) == [1, 2]
        assert oracle.computed == 2

    def test_answer_that_is_not_json_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="float32"):
            Fixed(np.float32(1), cache=tmp_path).answer(["a"])
