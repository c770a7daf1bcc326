"""Errors of the victim on single texts of a batch."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.errors import EvaluationError
from tests.attack.engine.lengthen import Lengthen, by_length, run


class TestVictimErrors:
    def test_exception_on_a_perturbed_text(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            if any("five" in t and "xx" in t for t in texts):
                raise ValueError("five is out")
            return by_length(texts)

        results = run(Lengthen(), victim=victim)
        assert [r.status for r in results] == ["succeeded", "error", "succeeded"]
        assert results[1].error == "ValueError: five is out"
        assert [r.queries for r in (results[0], results[2])] == [7, 7]

    def test_exception_on_an_unchanged_text(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            if any("five" in t for t in texts):
                raise ValueError("five is out")
            return by_length(texts)

        results = run(Lengthen(), victim=victim)
        assert results[1].status == "error"
        assert results[1].predicted is None

    def test_nan_is_an_error_of_its_example(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            out = by_length(texts)
            out[["five" in t and "xx" in t for t in texts]] = np.nan
            return out

        results = run(Lengthen(), victim=victim)
        assert [r.status for r in results][1] == "error"
        assert "NaN for 'xxxxxxxxxx four five'" in str(results[1].error)

    def test_exception_on_all_unchanged_texts_is_raised(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            raise ValueError("down")

        with pytest.raises(EvaluationError, match=r"failed on all 3 examples; .*down"):
            run(Lengthen(), victim=victim)
