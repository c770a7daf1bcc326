"""Searches in bfloat16 with verdicts in float32."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import rosearch as rs
from rosearch.attack import ModelVictim, RobustnessEvaluator, Victim
from rosearch.attack.victim.precision import Bfloat16Victim
from rosearch.errors import ArgumentError, DataError


@pytest.mark.parametrize("attack", ["pwws", "deepwordbug"])
def test_verdicts_equal_those_of_float32(
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
            predicted = int(judge.probabilities([screened.perturbed])[0].argmax())
            assert screened.perturbed_predicted == predicted
    same = sum(a.status == b.status for a, b in zip(report.examples, exact.examples, strict=True))
    assert same >= 36  # near ties may be broken differently
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
    assert never.exact.forward_rows == 0
    assert 0 < np.abs(rough - exact).max() < 0.1


def test_model_is_left_unchanged(trained_bert: Any, tokenizer: Any, dataset: Any) -> None:
    Bfloat16Victim(trained_bert, tokenizer).probabilities([str(dataset.texts[0])])
    assert {p.dtype for p in trained_bert.parameters()} == {torch.float32}


class Liar(Victim):
    """Claims success for every perturbed text; the exact victim tells the truth."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.truth = ModelVictim(model, tokenizer)
        super().__init__(exact=self.truth)

    def keys(self, texts: Any) -> Any:
        return self.truth.keys(texts)

    def compute(self, keys: Any) -> np.ndarray:
        return self.truth.compute(keys)[:, ::-1].copy()


@pytest.mark.parametrize("budget", [None, 10])
def test_false_success_restarts_the_search_in_float32(
    trained_bert: Any, tokenizer: Any, dataset: Any, budget: int | None
) -> None:
    settings: Any = {"examples": 20, "progress": False, "query_budget": budget}
    evaluator = RobustnessEvaluator("deepwordbug", dataset, **settings)
    truth = evaluator.evaluate(trained_bert, tokenizer)
    lied = evaluator.evaluate(Liar(trained_bert, tokenizer))
    again = [
        (a, b)
        for a, b in zip(lied.examples, truth.examples, strict=True)
        if a.status in ("succeeded", "failed")
    ]
    assert again
    if budget is None:
        for a, b in again:
            assert (a.status, a.perturbed) == (b.status, b.perturbed)
            # The unchanged text, what the first search asked, and what the second one asked.
            assert a.queries > b.queries
    else:
        assert max(a.queries for a, _ in again) == budget


def test_restarted_search_counts_its_earlier_queries(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    class Shout(rs.Attack):
        """Queries three texts and returns the last."""

        def search(self, text: Any, context: Any) -> Any:
            texts = [text.replace(0, "film" + "x" * k) for k in range(3)]
            yield texts
            return texts[-1]

    evaluator = RobustnessEvaluator(Shout(), dataset, examples=20, progress=False)
    report = evaluator.evaluate(Liar(trained_bert, tokenizer))
    assert {r.queries for r in report.examples if r.status == "failed"} == {1 + 3 + 3}


def test_model_saved_in_bfloat16_is_judged_in_float32(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    saved = copy.deepcopy(trained_bert).to(torch.bfloat16)
    settings: Any = {"examples": 5, "progress": False}
    evaluator = RobustnessEvaluator("deepwordbug", dataset, precision="bfloat16", **settings)
    victim = evaluator.victim(saved, tokenizer)
    texts = [str(text) for text in dataset.texts[:20]]
    full = ModelVictim(copy.deepcopy(saved).float(), tokenizer).probabilities(texts)
    np.testing.assert_array_equal(victim.exact.probabilities(texts), full)
    assert {p.dtype for p in saved.parameters()} == {torch.bfloat16}
    description = evaluator.evaluate(saved, tokenizer).settings["victim"]
    assert (description["dtype"], description["screening_dtype"]) == ("float32", "bfloat16")
    plain = RobustnessEvaluator("deepwordbug", dataset, **settings).evaluate(saved, tokenizer)
    description = plain.settings["victim"]
    assert (description["dtype"], description["screening_dtype"]) == ("bfloat16", None)


def test_unknown_precision_is_rejected(dataset: Any) -> None:
    with pytest.raises(ArgumentError, match="bfloat16"):
        RobustnessEvaluator("deepwordbug", dataset, precision="int8")  # type: ignore[arg-type]


def test_another_number_of_classes_is_refused(trained_bert: Any, tokenizer: Any) -> None:
    three = rs.TextDataset(["a good film", "a bad film", "so so"], [0, 1, 2])
    evaluator = RobustnessEvaluator("deepwordbug", three, precision="bfloat16", progress=False)
    with pytest.raises(DataError, match="has 2 classes, the data 3"):
        evaluator.evaluate(trained_bert, tokenizer)
