"""Oracles: what is remembered, where, and what happens when a file or a question is bad."""

from __future__ import annotations

import json
import math
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack import (
    Ask,
    Attack,
    FunctionVictim,
    Oracle,
    Search,
    SearchContext,
    Words,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.attack.testing import hashing_classifier
from rosearch.errors import EvaluationError


class Lengths(Oracle):
    """The length of each question; knows how often it was asked to compute."""

    name = "lengths"

    def __init__(self, *, factor: int = 1, cache: Any = False) -> None:
        super().__init__(cache=cache)
        self.factor = factor
        self._asked: list[list[Any]] = []

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        self._asked.append(list(questions))
        return [self.factor * len(question) for question in questions]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.sqlite"))


class TestMemory:
    def test_each_question_is_computed_once(self) -> None:
        oracle = Lengths()
        assert oracle.answer(["a", "bb", "a"]) == [1, 2, 1]
        assert oracle.answer(["bb", "ccc"]) == [2, 3]
        assert oracle._asked == [["a", "bb"], ["ccc"]]
        assert oracle.computed == 3
        assert oracle.recall(["a", "ccc"]) == [1, 3]
        assert oracle.recall(["a", "new"]) is None
        assert oracle.answer([]) == []

    def test_memory_only_leaves_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
        Lengths().answer(["a"])
        assert not list(tmp_path.iterdir())

    def test_threads_compute_nothing_twice(self) -> None:
        oracle = Lengths()
        questions = [[f"{k % 50}" for k in range(start, start + 50)] for start in range(8)]
        threads = [threading.Thread(target=oracle.answer, args=(q,)) for q in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert oracle.computed == 50

    def test_more_than_fits_is_forgotten_and_computed_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rosearch.attack.resources.oracles._REMEMBERED", 10_000)
        oracle = Lengths()
        for k in range(200):
            question = (f"{k} " * 100, "same")
            assert oracle.answer([question, "same"]) == [2, 4]
            # Long questions count by their length, not as one each.
            assert sum(len(known[0]) for known in oracle._known if known != "same") < 11_000
        assert 210 < oracle.computed < 300

    def test_long_answers_count_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Lists(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [[[f"word {k}", 0.5] for k in range(50)] for _ in questions]

        monkeypatch.setattr("rosearch.attack.resources.oracles._REMEMBERED", 100_000)
        oracle = Lists()
        for k in range(60):
            oracle.answer([f"{k}"])
            assert len(oracle._known) < 25

    def test_an_answer_too_few_is_named(self) -> None:
        class Short(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [1]

        with pytest.raises(EvaluationError, match=r"Short.* 2 questions .* 1 answers?"):
            Short().answer(["a", "b"])

    def test_settings_are_the_public_attributes(self) -> None:
        assert Lengths(factor=3).settings == {"name": "lengths", "factor": 3}


class TestFile:
    def test_a_second_instance_computes_nothing(self, tmp_path: Path) -> None:
        first, second = Lengths(cache=tmp_path), Lengths(cache=tmp_path)
        assert first.answer(["a", ("b", "c"), 'quote"\ud800']) == [1, 2, 7]
        assert second.answer([("b", "c"), 'quote"\ud800', "new"]) == [2, 7, 3]
        assert second.computed == 1
        assert len(files(tmp_path)) == 1

    def test_the_cache_folder_of_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
        Lengths(cache=True).answer(["a"])
        assert [file.parent.name for file in files(tmp_path)] == ["attack"]

    def test_other_settings_and_versions_have_other_files(self, tmp_path: Path) -> None:
        class Newer(Lengths):
            version = "2"

        for oracle in (Lengths(), Lengths(factor=2), Newer()):
            oracle._cache = tmp_path
            oracle.answer(["abc"])
        assert len(files(tmp_path)) == 3

    def test_more_questions_than_a_statement_takes(self, tmp_path: Path) -> None:
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
    def test_answers_come_back_as_they_were(self, answer: Any) -> None:
        import tempfile

        class Fixed(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [answer for _ in questions]

        with tempfile.TemporaryDirectory() as folder:
            first, second = Fixed(cache=folder), Fixed(cache=folder)
            first.answer(["q"])
            (found,) = second.answer(["q"])
            assert second.computed == 0
            for oracle in (first, second):
                if oracle._store is not None and oracle._store._connection is not None:
                    oracle._store._connection.close()
        # NaN is not equal to itself; its text is.
        assert json.dumps(found) == json.dumps(answer)

    def test_nan_survives_the_file(self, tmp_path: Path) -> None:
        class Undefined(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [float("nan"), float("inf")]

        Undefined(cache=tmp_path).answer(["a", "b"])
        nan, infinite = Undefined(cache=tmp_path).answer(["a", "b"])
        assert math.isnan(nan)
        assert infinite == math.inf

    def test_pickled_with_a_file_memory_stays_behind(self, tmp_path: Path) -> None:
        oracle = Lengths(cache=tmp_path)
        oracle.answer([f"{k}" for k in range(1000)])
        oracle._asked.clear()
        data = pickle.dumps(oracle)
        assert len(data) < 1000
        twin = pickle.loads(data)
        assert twin.answer(["7", "1234567"]) == [1, 7]
        assert twin.computed == 1001

    def test_pickled_without_a_file_memory_goes_along(self) -> None:
        oracle = Lengths()
        oracle.answer(["a"])
        twin = pickle.loads(pickle.dumps(oracle))
        assert twin.recall(["a"]) == [1]
        assert twin.answer(["bb"]) == [2]


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
def test_several_processes_write_at_once(tmp_path: Path) -> None:
    # In a process of its own, because forking one with threads of torch may hang.
    command = [sys.executable, "-c", _FORKS, str(tmp_path), __file__]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
    after = Lengths(cache=tmp_path)
    after.answer(["before", "in between", *(f"question {k}" for k in range(100))])
    assert after.computed == 0
    with sqlite3.connect(files(tmp_path)[0]) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestBadFiles:
    def test_a_file_that_is_no_database_is_set_aside(self, tmp_path: Path) -> None:
        Lengths(cache=tmp_path).answer(["a"])
        (file,) = files(tmp_path)
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        file.write_bytes(b"no database at all " * 500)
        oracle = Lengths(cache=tmp_path)
        with pytest.warns(UserWarning, match="renamed and begun anew"):
            assert oracle.answer(["a", "b"]) == [1, 1]
        assert file.with_suffix(".unreadable").read_bytes().startswith(b"no database")
        again = Lengths(cache=tmp_path)
        assert again.answer(["a", "b"]) == [1, 1]
        assert again.computed == 0

    def test_several_that_find_the_same_bad_file(self, tmp_path: Path) -> None:
        """The slower one finds the file renamed already."""
        Lengths(cache=tmp_path).answer(["a"])
        (file,) = files(tmp_path)
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        file.write_bytes(b"no database at all " * 500)
        oracle = Lengths(cache=tmp_path)
        store = oracle._open()
        assert store is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            original = store._set_aside

            def beaten() -> None:
                file.unlink(missing_ok=True)
                original()

            store._set_aside = beaten  # type: ignore[method-assign]
            assert oracle.answer(["a"]) == [1]

    @pytest.mark.parametrize("value", ["{", "", "nul"])
    def test_a_damaged_answer_is_computed_again(self, tmp_path: Path, value: str) -> None:
        Lengths(cache=tmp_path).answer(["a", "bb"])
        (file,) = files(tmp_path)
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE answers SET value = ?", [value])
        assert Lengths(cache=tmp_path).answer(["a", "bb"]) == [1, 2]
        again = Lengths(cache=tmp_path)
        assert again.answer(["a", "bb"]) == [1, 2]
        assert again.computed == 0

    @pytest.mark.parametrize("place", ["a file in the way", "no right to write"])
    def test_a_folder_that_cannot_be_written_to(self, tmp_path: Path, place: str) -> None:
        folder = tmp_path / "cache"
        if place == "a file in the way":
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
            warnings.simplefilter("error")  # once is enough
            assert oracle.answer(["a", "bb"]) == [1, 2]
        assert oracle.computed == 2

    def test_an_answer_that_json_does_not_have(self, tmp_path: Path) -> None:
        class Odd(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [np.float32(1) for _ in questions]

        with pytest.raises(TypeError, match="float32"):
            Odd(cache=tmp_path).answer(["a"])


class Asking(Attack):
    """Asks an oracle about each word, then puts in a word as long as the answer."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def search(self, text: Words, context: SearchContext) -> Search:
        best = text
        for index in context.indices:
            (length,) = yield Ask(self.oracle, [text.words[index]])
            best = text.replace(index, "x" * length)
            answer = yield [best]
            if answer.succeeded[0]:
                break
        return best


EXAMPLES = [
    Example(k, text, int(hashing_classifier([text])[0].argmax()))
    for k, text in enumerate(["one two", "three four five", "six", "one more four"])
]


def run(attack: Attack, **settings: Any) -> Any:
    return run_attack(attack, EXAMPLES, FunctionVictim(hashing_classifier), **settings)


class TestInTheEngine:
    def test_questions_of_all_searches_are_computed_together(self) -> None:
        oracle = Lengths()
        results = run(Asking(oracle))
        assert [r.error for r in results] == [None] * 4
        # "one" twice: asked once. Later rounds ask only what is new.
        assert oracle._asked[0] == ["one", "three", "six"]
        assert sum(len(asked) for asked in oracle._asked) == oracle.computed <= 7
        assert len(oracle._asked) <= 3
        first = oracle.computed
        assert run(Asking(oracle)) == results
        assert oracle.computed == first

    def test_what_is_known_does_not_hold_a_search_up(self) -> None:
        oracle = Lengths()
        oracle.answer(["one", "two", "three", "four", "five", "six", "more"])
        oracle._asked.clear()
        calls: list[int] = []

        def victim(texts: list[str]) -> np.ndarray:
            calls.append(len(texts))
            return hashing_classifier(texts)

        run_attack(Asking(oracle), EXAMPLES, FunctionVictim(victim))
        assert oracle._asked == []
        assert calls[:2] == [4, 4]  # the unchanged texts, then the first of every search

    def test_companions_change_nothing(self) -> None:
        assert run(Asking(Lengths()), in_flight=1) == run(Asking(Lengths()))

    def test_a_question_that_fails_is_its_example_s_error(self) -> None:
        class Fussy(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                if "three" in questions:
                    raise ValueError("no threes")
                return super().compute(questions)

        results = run(Asking(Fussy()))
        assert [r.status == "error" for r in results] == [False, True, False, False]
        assert results[1].error == "ValueError: no threes"
        good = run(Asking(Lengths()))
        assert [results[k] for k in (0, 2, 3)] == [good[k] for k in (0, 2, 3)]

    def test_an_oracle_that_never_answers(self) -> None:
        class Down(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                raise OSError("down")

        with pytest.raises(EvaluationError, match=r"failed on all 4.*OSError: down"):
            run(Asking(Down()))

    def test_running_out_of_memory_is_nobody_s_example_error(self) -> None:
        class Large(Lengths):
            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                raise MemoryError

        with pytest.raises(MemoryError):
            run(Asking(Large()))

    @pytest.mark.parametrize("budget", [1, 2, 3])
    def test_questions_to_oracles_cost_no_query(self, budget: int) -> None:
        oracle = Lengths()
        for result in run(Asking(oracle), query_budget=budget):
            assert result.queries <= budget
            assert result.error is None
        assert oracle.computed

    def test_two_oracles_at_once(self) -> None:
        first, second = Lengths(), Lengths(factor=2)

        class Both(Attack):
            def search(self, text: Words, context: SearchContext) -> Search:
                oracle = first if len(text) == 2 else second
                (length,) = yield Ask(oracle, [text.words[0]])
                yield [text.replace(0, "y" * length)]
                return text.replace(0, "y" * length)

        results = run(Both())
        assert [len(r.perturbed.split()[0]) for r in results] == [3, 10, 6, 6]
        assert (first.computed, second.computed) == (1, 3)

    def test_questions_answers_and_nothing_else(self) -> None:
        class Curious(Attack):
            def search(self, text: Words, context: SearchContext) -> Search:
                found = yield Ask(oracle, [])
                assert found == []
                found = yield Ask(oracle, ["a", "bb", "a"])
                assert found == [1, 2, 1]
                return text

        oracle = Lengths()
        assert {r.status for r in run(Curious())} == {"failed"}
        assert oracle.computed == 2
