"""Victims: models and functions, memory, checks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import DeepWordBug, Example, RobustnessEvaluator, run_attack
from rosearch.attack.testing import hashing_classifier
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.victim import FunctionVictim, ModelVictim, make_victim
from rosearch.data import TextDataset
from rosearch.errors import DataError, EvaluationError


def test_a_model_gives_the_probabilities_of_a_plain_forward_pass(
    trained_bert: Any, tokenizer: Any, dataset: Any, device: str
) -> None:
    trained_bert.to(device)
    texts = list(dataset.texts[:50])
    got = ModelVictim(trained_bert, tokenizer).probabilities(texts)
    inputs = tokenizer(texts, padding=True, return_tensors="pt").to(device)
    with torch.no_grad():
        expected = trained_bert(**inputs).logits.softmax(dim=1).cpu().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.dtype == np.float32


def test_pairs_use_token_types(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    model = tiny_bert()
    pairs = [("a good film", "a bad plot"), ("what a story", "the cast was very weak .")]
    inputs = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(dim=1).numpy()
    got = ModelVictim(model, tokenizer).probabilities(pairs)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_each_distinct_row_is_computed_once(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    victim = ModelVictim(tiny_bert(), tokenizer)
    # Case is lost in tokenisation, so these are two rows.
    out = victim.probabilities(["a good film", "A GOOD film", "a bad film", "a good film"])
    assert victim.forward_rows == 2
    assert (out[0] == out[1]).all()  # ties are exact
    again = victim.probabilities(["a bad  film", "a Good film"])
    assert victim.forward_rows == 2
    assert (again[0] == out[2]).all()


def test_memory_survives_growth_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from rosearch.attack.victim import victim as module

    monkeypatch.setattr(module, "_ROWS_KEPT", 30)

    def answers(texts: Any) -> Any:
        return np.array([[float(t), 1 - float(t)] for t in texts])

    victim = FunctionVictim(answers, outputs="probabilities")
    for start in range(0, 100, 7):
        texts = [str(k / 100) for k in range(max(0, start - 5), min(start + 5, 100))]
        out = victim.probabilities(texts)
        np.testing.assert_allclose(out[:, 0], [float(t) for t in texts], rtol=1e-6)
        assert len(victim._rows) <= 40


def test_weights_that_changed_are_seen_by_a_new_victim(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_bert()
    before = make_victim(model, tokenizer).probabilities(["a film"])
    with torch.no_grad():
        model.classifier.bias += torch.tensor([3.0, 0.0])
    after = make_victim(model, tokenizer).probabilities(["a film"])
    assert after[0, 0] > before[0, 0]


@pytest.mark.parametrize(
    "form", [np.array, torch.tensor, list], ids=["numpy", "torch", "nested lists"]
)
def test_functions_may_answer_in_any_form(form: Any) -> None:
    victim = FunctionVictim(lambda texts: form([[0.25, 0.75]] * len(texts)))
    assert victim.probabilities(["x", "y"]).tolist() == [[0.25, 0.75]] * 2
    assert victim.outputs == "probabilities"


def test_logits_go_through_a_softmax() -> None:
    victim = FunctionVictim(lambda texts: np.array([[1.0, 2.0, -1.0]] * len(texts)))
    expected = torch.tensor([1.0, 2.0, -1.0]).softmax(0).numpy()
    np.testing.assert_array_equal(victim.probabilities(["x"])[0], expected)
    assert victim.outputs == "logits"


def test_what_is_decided_is_kept() -> None:
    answers = {"x": [0.5, 0.5], "y": [3.0, 1.0]}
    victim = FunctionVictim(lambda texts: [answers[t] for t in texts])
    victim.probabilities(["x"])
    with pytest.raises(EvaluationError, match="outputs='logits'"):
        victim.probabilities(["y"])
    told = FunctionVictim(lambda texts: [answers[t] for t in texts], outputs="logits")
    assert told.probabilities(["x", "y"])[1, 0] == pytest.approx(0.880797)
    with pytest.raises(DataError, match="'scores'"):
        FunctionVictim(lambda texts: [], outputs="scores")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros(3), r"answered with shape \(3,\)"),
        (np.zeros((2, 2)), r"answered with shape \(2, 2\)"),
        (np.full((3, 1), 0.5), "one number a text"),
        (np.full((3, 4), 0.25), "gives 4 classes, the data set has 2"),
        ("no numbers", "no array of numbers"),
        (None, "no array of numbers|shape"),
    ],
)
def test_wrong_answers(answer: Any, message: str) -> None:
    classes = None if np.shape(answer) == (3, 1) else 2
    victim = FunctionVictim(lambda texts: answer, classes=classes)
    with pytest.raises(EvaluationError, match=message):
        victim.probabilities(["a", "b", "c"])


def test_a_model_for_other_labels(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    victim = make_victim(tiny_bert(3), tokenizer, classes=2)
    with pytest.raises(EvaluationError, match="gives 3 classes, the data set has 2"):
        victim.probabilities(["a film"])


def test_what_cannot_be_attacked(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no tokenizer attribute"):
        make_victim(tiny_bert())
    with pytest.raises(DataError, match="Cannot attack int"):
        make_victim(3)
    model = tiny_bert()
    model.tokenizer = tokenizer
    assert isinstance(make_victim(model), ModelVictim)
    victim = FunctionVictim(len)  # type: ignore[arg-type]
    assert make_victim(victim) is victim


def test_words_within_sight(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    victim = ModelVictim(tiny_bert(), tokenizer, max_length=6)
    for text, seen in [
        ("a good film", 3),
        ("a good film was", 4),
        ("a good film was very good", 4),
    ]:
        attacked = AttackedInput(text)
        assert victim.visible(attacked, attacked.words) == range(seen)
    pair = AttackedInput(("a film", "a very good film was good"))
    assert len(victim.visible(pair, pair.words)) < 6


def test_words_within_sight_of_a_victim_that_cuts_the_beginning(
    trained_bert: Any, tokenizer: Any
) -> None:
    left = copy.deepcopy(tokenizer)
    left.truncation_side = "left"
    victim = ModelVictim(trained_bert, left, max_length=6)
    for text, seen in [
        ("a good film was", range(4)),
        ("a good film was very good", range(2, 6)),
        ("a good film was very good , !! .", range(6, 6)),
        ("a good film was very good ! ?", range(4, 6)),
    ]:
        attacked = AttackedInput(text)
        assert victim.visible(attacked, attacked.words) == seen
    pair = AttackedInput(("a film", "a very good film was good"))
    assert victim.visible(pair, pair.words).stop == 6
    assert victim.visible(pair, pair.words).start > 0


def test_searches_keep_to_the_words_within_sight() -> None:
    class SeesTheEnd(FunctionVictim):
        def visible(self, attacked: AttackedInput, words: Any) -> range:
            return range(len(words) - 2, len(words))

    texts = ["a good film was very good", "the plot is awful", "what a dull story this is"]
    labels = hashing_classifier(texts).argmax(axis=1).tolist()
    examples = [Example(i, *pair) for i, pair in enumerate(zip(texts, labels, strict=True))]
    results = run_attack(DeepWordBug(), examples, SeesTheEnd(hashing_classifier))
    assert any(result.changed for result in results)
    for result in results:
        assert set(result.changed) <= {result.words - 2, result.words - 1}


def test_padding_on_the_left(xlnet_tokenizer: Any, tiny_xlnet: Any, dataset: Any) -> None:
    texts = [*dataset.texts[:20], " ".join(dataset.texts[:3])]
    together = ModelVictim(tiny_xlnet, xlnet_tokenizer, token_budget=4096).probabilities(texts)
    inputs = xlnet_tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = torch.softmax(tiny_xlnet(**inputs).logits, dim=1).numpy()
    np.testing.assert_allclose(together, expected, atol=1e-5)
    for text, row in zip(texts, together, strict=True):
        alone = ModelVictim(tiny_xlnet, xlnet_tokenizer).probabilities([text])
        np.testing.assert_allclose(alone[0], row, atol=1e-5)


def test_positions_that_start_behind_the_padding_are_counted(tokenizer: Any) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=20,
        pad_token_id=3,
        type_vocab_size=2,
    )
    unlimited = copy.deepcopy(tokenizer)
    unlimited.model_max_length = int(1e30)
    victim = ModelVictim(RobertaForSequenceClassification(config).eval(), unlimited)
    assert victim.tokens.max_length == 20 - 4
    text = "good film , " * 10
    assert len(victim.keys([text])[0].ids) == 16
    assert np.isfinite(victim.probabilities([text, "a film"])).all()
    attacked = AttackedInput(text)
    assert victim.visible(attacked, attacked.words) == range(10)  # 14 tokens, 4 of them commas


def test_a_model_that_tells_nothing_of_its_positions(tokenizer: Any) -> None:
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(len(tokenizer), 2)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return SimpleNamespace(logits=self.table(input_ids).mean(dim=1))

    victim = ModelVictim(Plain(), tokenizer)
    assert victim.tokens.max_length == 64
    assert victim.probabilities(["a good film"]).shape == (1, 2)


@pytest.mark.parametrize("name", ["max_length", "token_budget"])
@pytest.mark.parametrize("number", [0, 1.5])
def test_numbers_that_make_no_sense(
    tiny_bert: Callable[..., Any], tokenizer: Any, name: str, number: Any
) -> None:
    with pytest.raises(DataError, match=f"{name} is a whole number, at least [13]"):
        ModelVictim(tiny_bert(), tokenizer, **{name: number})


def test_out_of_memory_halves_the_batch(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    model = tiny_bert()
    plain = ModelVictim(model, tokenizer).probabilities(["a film", "a good plot", "the cast"])
    forward = model.forward

    def small(**inputs: Any) -> Any:
        if inputs["input_ids"].numel() > 8:
            raise torch.OutOfMemoryError("too large")
        return forward(**inputs)

    model.forward = small
    victim = ModelVictim(model, tokenizer, token_budget=64, max_length=8)
    got = victim.probabilities(["a film", "a good plot", "the cast"])
    np.testing.assert_allclose(got, plain, atol=1e-6)
    assert victim.token_budget < 64
    model.forward = lambda **_: (_ for _ in ()).throw(torch.OutOfMemoryError("always"))
    with pytest.raises(torch.OutOfMemoryError):
        victim.probabilities(["a story"])


def test_probabilities_that_become_something_else_end_the_run() -> None:
    """Else each such text would be an error that passes for robustness."""
    texts = ["good", "bad", "good film"]
    data = TextDataset(texts, [0, 1, 0], classes=["good", "bad"])

    def counts(asked: list[str]) -> list[list[int]]:
        return [[text.count("good"), text.count("bad")] for text in asked]

    settings: dict[str, Any] = {"examples": None, "progress": False}
    with pytest.raises(EvaluationError, match="outputs='logits'"):
        RobustnessEvaluator("deepwordbug", data, **settings).evaluate(counts)
    told = FunctionVictim(counts, outputs="logits")
    report = RobustnessEvaluator("deepwordbug", data, **settings).evaluate(told)
    assert report.errors == 0


def test_errors_show_in_a_report_as_bounds() -> None:
    def fragile(asked: list[str]) -> list[list[float]]:
        if any("x" in text for text in asked):
            raise ValueError("no x")
        return [[0.9, 0.1] if "good" in text else [0.2, 0.8] for text in asked]

    data = TextDataset(["good x", "good film"], [0, 0], classes=["good", "bad"])
    settings: dict[str, Any] = {"examples": None, "progress": False, "seed": 3}
    report = RobustnessEvaluator("deepwordbug", data, **settings).evaluate(fragile)
    assert report.errors >= 1
    low, high = report.accuracy_under_attack_bounds
    assert f"{report.errors} errors, so under attack between {low:.1%} and {high:.1%}" in str(
        report
    )


def test_a_function_is_called_with_so_many_texts_at_most() -> None:
    sizes = []

    def function(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return [[len(text), 2.0] for text in texts]

    texts = [f"text {k}" for k in range(25)]
    small = FunctionVictim(function, batch_size=10)
    rows = small.probabilities(texts)
    assert sizes == [10, 10, 5]
    np.testing.assert_array_equal(rows, FunctionVictim(function).probabilities(texts))
    with pytest.raises(DataError, match="batch_size"):
        FunctionVictim(function, batch_size=0)

    def short(texts: list[str]) -> list[list[float]]:
        return [[1.0, 2.0]] * min(len(texts), 9)

    with pytest.raises(EvaluationError, match=r"given 10 texts and answered with shape \(9, 2\)"):
        FunctionVictim(short, batch_size=10).probabilities(texts)


def test_rounded_probabilities_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="nearly one"):
        FunctionVictim(lambda texts: [[0.9, 0.05, 0.04]] * len(texts)).probabilities(["a"])


def test_the_classes_of_a_victim_are_checked_too() -> None:
    data = TextDataset(["a b", "c d"], [0, 1])
    evaluator = RobustnessEvaluator([DeepWordBug()], data, examples=None, progress=False)
    three = FunctionVictim(lambda texts: [[1.0, 0.0, 0.0]] * len(texts), outputs="probabilities")
    with pytest.raises(EvaluationError, match=r"gives 3 classes, the data set has 2.*classes="):
        evaluator.evaluate(three)
    known = FunctionVictim(lambda texts: [[1.0, 0.0]] * len(texts), classes=3)
    with pytest.raises(EvaluationError, match="gives 3 classes, the data set has 2"):
        evaluator.evaluate(known)
