"""Screening in bfloat16: verdicts are float32's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import ModelVictim, RobustnessEvaluator
from rosearch.attack.precision import Bfloat16Victim
from rosearch.errors import DataError


@pytest.mark.parametrize("attack", ["pwws", "deepwordbug"])
def test_verdicts_are_those_of_float32(
    attack: str, trained_bert: Any, tokenizer: Any, dataset: Any, wordnet_folder: Any
) -> None:
    settings = {"examples": 40, "progress": False}
    exact = RobustnessEvaluator(attack, dataset, **settings).evaluate(trained_bert, tokenizer)
    evaluator = RobustnessEvaluator(attack, dataset, precision="bfloat16", **settings)
    report = evaluator.evaluate(trained_bert, tokenizer)
    judge = ModelVictim(trained_bert, tokenizer)
    for screened, full in zip(report.examples, exact.examples, strict=True):
        assert screened.predicted == full.predicted
        if screened.perturbed is not None:
            told = int(judge.probabilities([screened.perturbed])[0].argmax())
            assert screened.perturbed_predicted == told
    same = sum(a.status == b.status for a, b in zip(report.examples, exact.examples, strict=True))
    assert same >= 36  # searches of near ties may part ways
    assert report.settings["precision"] == "bfloat16"
    assert exact.settings["precision"] == "float32"


def test_close_rows_are_computed_in_float32(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    texts = [str(text) for text in dataset.texts[:50]]
    exact = ModelVictim(trained_bert, tokenizer).probabilities(texts)
    always = Bfloat16Victim(trained_bert, tokenizer, margin=1.0)
    np.testing.assert_allclose(always.probabilities(texts), exact, atol=1e-6)
    never = Bfloat16Victim(trained_bert, tokenizer, margin=0.0)
    rough = never.probabilities(texts)
    assert never.exact_rows == 0
    assert 0 < np.abs(rough - exact).max() < 0.1


def test_the_model_stays_as_it_is(trained_bert: Any, tokenizer: Any, dataset: Any) -> None:
    Bfloat16Victim(trained_bert, tokenizer).probabilities([str(dataset.texts[0])])
    assert {p.dtype for p in trained_bert.parameters()} == {torch.float32}


class _Liar(Bfloat16Victim):
    """Says of every perturbed text that it succeeds."""

    def compute(self, keys: Any) -> np.ndarray:
        return super().compute(keys)[:, ::-1].copy()


def test_a_success_that_is_none_is_searched_again_in_float32(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    evaluator = RobustnessEvaluator("deepwordbug", dataset, examples=20, progress=False)
    truth = evaluator.evaluate(trained_bert, tokenizer)
    lied = evaluator.evaluate(_Liar(trained_bert, tokenizer, margin=0.0))
    assert [
        (r.status, r.perturbed, r.queries) for r in lied.examples if r.status == "succeeded"
    ] == [
        (r.status, r.perturbed, r.queries)
        for r, s in zip(truth.examples, lied.examples, strict=True)
        if s.status == "succeeded"
    ]


def test_other_precisions_are_refused(dataset: Any) -> None:
    with pytest.raises(DataError, match="bfloat16"):
        RobustnessEvaluator("deepwordbug", dataset, precision="int8")  # type: ignore[arg-type]
