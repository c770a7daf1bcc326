"""Functions as victims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import FunctionVictim, RobustnessEvaluator
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, EvaluationError
from tests.encode.table import Table, table


@pytest.mark.parametrize(
    "form", [np.array, torch.tensor, list], ids=["numpy", "torch", "nested lists"]
)
def test_functions_may_return_any_array_type(form: Any) -> None:
    victim = FunctionVictim(lambda texts: form([[0.25, 0.75]] * len(texts)))
    assert victim.probabilities(["x", "y"]).tolist() == [[0.25, 0.75]] * 2
    assert victim.outputs == "probabilities"


def test_logits_go_through_a_softmax() -> None:
    victim = FunctionVictim(lambda texts: np.array([[1.0, 2.0, -1.0]] * len(texts)))
    expected = torch.tensor([1.0, 2.0, -1.0]).softmax(0).numpy()
    np.testing.assert_array_equal(victim.probabilities(["x"])[0], expected)
    assert victim.outputs == "logits"


def test_rounded_probabilities_are_read_as_logits_with_a_warning() -> None:
    victim = FunctionVictim(lambda texts: [[0.9, 0.05, 0.04]] * len(texts))
    with pytest.warns(UserWarning, match="nearly 1"):
        victim.probabilities(["x"])
    assert victim.outputs == "logits"


def test_output_kind_is_decided_once() -> None:
    answers = {"x": [0.5, 0.5], "y": [3.0, 1.0]}
    victim = FunctionVictim(lambda texts: [answers[t] for t in texts])
    victim.probabilities(["x"])
    with pytest.raises(EvaluationError, match="outputs='logits'"):
        victim.probabilities(["y"])
    logits = FunctionVictim(lambda texts: [answers[t] for t in texts], outputs="logits")
    assert logits.probabilities(["x", "y"])[1, 0] == pytest.approx(0.880797)
    with pytest.raises(ArgumentError, match="'scores'"):
        FunctionVictim(lambda texts: [], outputs="scores")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros(3), r"returned shape \(3,\)"),
        (np.zeros((2, 2)), r"returned shape \(2, 2\)"),
        (np.full((3, 1), 0.5), "one number per text"),
        (np.full((3, 4), 0.25), "has 4 classes, but the data set has 2"),
        ("no numbers", "not an array of numbers"),
        (None, "not an array of numbers|shape"),
    ],
)
def test_outputs_of_the_wrong_shape_are_rejected(answer: Any, message: str) -> None:
    victim = FunctionVictim(lambda texts: answer)
    if np.shape(answer) != (3, 1):
        victim.expect(2)
    with pytest.raises(EvaluationError, match=message):
        victim.probabilities(["a", "b", "c"])


def test_probabilities_followed_by_other_outputs_end_the_run() -> None:
    """Counted as an error of one example, such an output would pass for robustness."""
    texts = ["good", "bad", "good film"]
    data = TextDataset(texts, [0, 1, 0], classes=["good", "bad"])

    def counts(asked: list[str]) -> list[list[int]]:
        return [[text.count("good"), text.count("bad")] for text in asked]

    settings: dict[str, Any] = {"examples": None, "progress": False}
    with pytest.raises(EvaluationError, match="outputs='logits'"):
        RobustnessEvaluator("deepwordbug", data, **settings).evaluate(counts)
    victim = FunctionVictim(counts, outputs="logits")
    report = RobustnessEvaluator("deepwordbug", data, **settings).evaluate(victim)
    assert report.errors == 0


def test_batch_size_limits_the_texts_per_call() -> None:
    sizes = []

    def function(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return [[len(text), 2.0] for text in texts]

    texts = [f"text {k}" for k in range(25)]
    small = FunctionVictim(function, batch_size=10)
    rows = small.probabilities(texts)
    assert sizes == [10, 10, 5]
    np.testing.assert_array_equal(rows, FunctionVictim(function).probabilities(texts))
    with pytest.raises(ArgumentError, match="batch_size"):
        FunctionVictim(function, batch_size=0)

    def short(texts: list[str]) -> list[list[float]]:
        return [[1.0, 2.0]] * min(len(texts), 9)

    with pytest.raises(EvaluationError, match=r"given 10 texts and returned shape \(9, 2\)"):
        FunctionVictim(short, batch_size=10).probabilities(texts)


class TestEncoding:
    @pytest.fixture
    def asked(self) -> list[Any]:
        return []

    def victim(self, encoding: Table, asked: list[Any]) -> FunctionVictim:
        def lengths(texts: list[Any]) -> list[list[float]]:
            asked.extend(texts)
            return [[float(len(text[0])), float(len(text))] for text in texts]

        return FunctionVictim(lengths, outputs="logits", encoding=encoding)

    def test_function_reads_each_canonical_text_once(self, asked: list[Any]) -> None:
        victim = self.victim(table(goood="good", goo_d="good"), asked)
        found = victim.probabilities(["a goood film", "a goo d film", "a good film", "a film"])
        assert asked == ["a good film", "a film"]
        assert victim.forward_rows == 2
        assert np.array_equal(found[0], found[1])
        assert victim.keys([("goood", "x")]) == [("good", "x")]

    def test_a_canonical_text_that_is_not_its_own_is_encoded_again(self, asked: list[Any]) -> None:
        victim = self.victim(table(a="b", b="c"), asked)
        victim.probabilities(["a"])
        victim.probabilities(["b"])
        assert asked == ["b", "c"]

    def test_anything_but_an_encoding_is_refused(self) -> None:
        with pytest.raises(ArgumentError, match="encoding must be an Encoding, got 'spelling'"):
            FunctionVictim(len, encoding="spelling")  # type: ignore[arg-type]
