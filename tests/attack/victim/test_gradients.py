"""Gradients of a victim at its token embeddings."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import FunctionVictim, ModelVictim
from rosearch.attack.testing import hashing_classifier
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.errors import EvaluationError
from rosearch.space import Genome, Node, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from rosearch.tokens import TokenizedText

TEXT = "The film's plot, really Good!"


def by_hand(model: Any, tokenizer: Any, text: Any, label: int) -> np.ndarray:
    """The gradient with respect to ``inputs_embeds``, one row."""
    inputs = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
    embedded = model.get_input_embeddings()(inputs.pop("input_ids")).detach().requires_grad_()
    loss = model(inputs_embeds=embedded, labels=torch.tensor([label]), **inputs).loss
    (gradient,) = torch.autograd.grad(loss, embedded)
    return gradient[0].numpy()


def test_gradients_equal_those_of_the_loss(trained_bert: Any, tokenizer: Any) -> None:
    for label in (0, 1):
        (found,) = ModelVictim(trained_bert, tokenizer).gradients([TEXT], [label], 1)
        expected = by_hand(trained_bert, tokenizer, TEXT, label)
        assert found.gradients.dtype == np.float32
        np.testing.assert_allclose(found.gradients, expected[1:-1], rtol=1e-4, atol=1e-7)
        assert list(found.row.ids) == tokenizer(TEXT)["input_ids"]


def test_spans_locate_tokens_in_the_text(trained_bert: Any, tokenizer: Any) -> None:
    (found,) = ModelVictim(trained_bert, tokenizer).gradients([TEXT], [1], 1)
    shown = [TEXT[a:b].lower() for a, b in found.spans]
    assert "".join(shown) == TEXT.replace(" ", "").lower()
    start = TEXT.index("really")
    assert [shown[i] for i in found.within(start, start + 6)] == ["really"]
    assert len(found.within(3, 4)) == 0  # a space


def test_gradients_of_the_attacked_side_of_a_pair(trained_bert: Any, tokenizer: Any) -> None:
    pair = ("a dull film", "the plot is good .")
    expected = by_hand(trained_bert, tokenizer, pair, 0)
    for side, places in ((0, slice(1, 4)), (1, slice(5, 10))):
        (found,) = ModelVictim(trained_bert, tokenizer).gradients([pair], [0], side)
        np.testing.assert_allclose(found.gradients, expected[places], rtol=1e-4, atol=1e-7)
        assert [pair[side][a:b] for a, b in found.spans] == pair[side].split()


def test_gradients_do_not_depend_on_the_batch(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    texts = [str(text) for text in dataset.texts[:20]] + ["good", "", " ".join(["dull"] * 100)]
    labels = [0] * len(texts)
    together = ModelVictim(trained_bert, tokenizer, token_budget=256).gradients(texts, labels, 1)
    for text, found in zip(texts, together, strict=True):
        (alone,) = ModelVictim(trained_bert, tokenizer).gradients([text], [0], 1)
        np.testing.assert_allclose(found.gradients, alone.gradients, rtol=1e-3, atol=1e-6)
        assert found.spans.tolist() == alone.spans.tolist()
    assert together[-2].gradients.shape == (0, 32)
    assert len(together[-1].spans) == 62  # as many tokens as the model reads
    assert ModelVictim(trained_bert, tokenizer).gradients([], [], 1) == []


def test_padding_on_the_left(xlnet_tokenizer: Any, tiny_xlnet: Any, dataset: Any) -> None:
    texts = [*dataset.texts[:8], " ".join(dataset.texts[:3])]
    labels = [0] * len(texts)
    victim = ModelVictim(tiny_xlnet, xlnet_tokenizer, token_budget=4096)
    for text, found in zip(texts, victim.gradients(texts, labels, 1), strict=True):
        expected = by_hand(tiny_xlnet, xlnet_tokenizer, text, 0)[:-2]
        np.testing.assert_allclose(found.gradients, expected, rtol=1e-3, atol=1e-5)


def test_model_is_left_unchanged(trained_bert: Any, tokenizer: Any) -> None:
    trained_bert.train()
    trained_bert.bert.embeddings.eval()
    modes = [module.training for module in trained_bert.modules()]
    frozen = trained_bert.get_input_embeddings().weight
    frozen.requires_grad_(False)
    flags = [p.requires_grad for p in trained_bert.parameters()]
    trained_bert.classifier.bias.grad = torch.ones(2)
    victim = ModelVictim(trained_bert, tokenizer)
    first = victim.gradients([TEXT], [1], 1)[0].gradients
    assert np.array_equal(first, victim.gradients([TEXT], [1], 1)[0].gradients)  # no dropout
    assert [module.training for module in trained_bert.modules()] == modes
    assert [p.requires_grad for p in trained_bert.parameters()] == flags
    grads = {n: p.grad for n, p in trained_bert.named_parameters() if p.grad is not None}
    assert list(grads) == ["classifier.bias"]
    assert grads["classifier.bias"].tolist() == [1, 1]
    assert not trained_bert.get_input_embeddings()._forward_hooks
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with torch.inference_mode():
        assert np.array_equal(first, victim.gradients([TEXT], [1], 1)[0].gradients)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_gradients_of_a_student_with_a_recurrent_layer(tokenizer: Any, device: str) -> None:
    genome = Genome(width=16, embedding_width=8, nodes=(Node("bidirectional_gru"),))
    config = StudentConfig(genome, vocab_size=len(tokenizer), max_position_embeddings=64)
    student = StudentForSequenceClassification(config).to(device)
    victim = ModelVictim(student, tokenizer)
    (found,) = victim.gradients(["the film was good ."], [0], 1)
    assert found.gradients.shape == (5, 8)
    assert np.abs(found.gradients).sum() > 0
    assert found.gains(["the film was bad ."]).shape == (1,)


@pytest.mark.parametrize("bound", [0.0, 0.5])
def test_gradients_of_a_student_with_token_scores(tokenizer: Any, bound: float) -> None:
    genome = templates.additive()
    if bound:
        genome = replace(templates.text_cnn(width=16, embedding_width=8), bound=bound)
    config = StudentConfig(genome, vocab_size=len(tokenizer), max_position_embeddings=32)
    student = StudentForSequenceClassification(config).eval()
    assert student.token_scores is not None
    table = student.token_scores.tokens.weight
    with torch.no_grad():
        table.normal_()
    text = "the film was really good ."
    (found,) = ModelVictim(student, tokenizer).gradients([text], [1], 1)
    assert found.gradients.shape[1] == table.shape[1] + (8 if bound else 0)
    with torch.no_grad():
        logits = student(**tokenizer(text, return_tensors="pt")).logits[0]
    # Each token adds its scores to the logits, so its gradient is the logits'.
    expected = (logits.softmax(dim=0) - torch.tensor([0.0, 1.0])).numpy()
    np.testing.assert_allclose(
        found.gradients[:, -2:], np.tile(expected, (len(found.gradients), 1)), atol=1e-5
    )
    # To first order, a replacement is worth the change of its scores.
    old, new = tokenizer.convert_tokens_to_ids(["good", "bad"])
    if not bound:
        change = (table[new] - table[old]).detach().numpy() @ expected
        variant = text.replace("good", "bad")
        np.testing.assert_allclose(found.gains([variant]), [change], rtol=1e-4)


def test_out_of_memory_halves_the_batch(trained_bert: Any, tokenizer: Any, dataset: Any) -> None:
    class Small(torch.nn.Module):
        config = trained_bert.config

        def __init__(self) -> None:
            super().__init__()
            self.inner = trained_bert

        def get_input_embeddings(self) -> Any:
            return self.inner.get_input_embeddings()

        def forward(self, input_ids: torch.Tensor, **more: Any) -> Any:
            if input_ids.numel() > 80:
                raise torch.OutOfMemoryError
            return self.inner(input_ids=input_ids, **more)

    texts = [str(text) for text in dataset.texts[:9]]
    found = ModelVictim(Small(), tokenizer).gradients(texts, [1] * 9, 1)
    expected = ModelVictim(trained_bert, tokenizer).gradients(texts, [1] * 9, 1)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.gradients, b.gradients, rtol=1e-3, atol=1e-6)


class TestGains:
    @pytest.fixture
    def near(self, trained_bert: Any, tokenizer: Any) -> Any:
        """A classifier for which every embedding is close to every other."""
        model = copy.deepcopy(trained_bert).double()
        weight = model.get_input_embeddings().weight
        with torch.no_grad():
            weight.copy_(weight.mean(dim=0) + 1e-3 * (weight - weight.mean(dim=0)))
        return ModelVictim(model, tokenizer)

    def loss(self, victim: Any, text: str, label: int) -> float:
        with torch.no_grad():
            inputs = victim.tokens.tokenizer(text, return_tensors="pt")
            logits = victim.model(**inputs).logits.double()
        return float(torch.nn.functional.cross_entropy(logits, torch.tensor([label])))

    def test_gains_predict_the_change_of_the_loss(self, near: Any) -> None:
        text = "the film was really good ."
        variants = [
            "the film was really bad .",
            "a film was really good .",
            "the plot is very dull !",
        ]
        (found,) = near.gradients([text], [1], 1)
        before = self.loss(near, text, 1)
        real = [self.loss(near, variant, 1) - before for variant in variants]
        np.testing.assert_allclose(found.gains(variants), real, rtol=0.1)
        assert np.ptp(real) > 0

    def test_gains_of_replacements_with_another_number_of_tokens(self, near: Any) -> None:
        text = "the film was good ."
        (found,) = near.gradients([text], [1], 1)
        same, longer, shorter = found.gains([text, "the film was good2u .", "the was good ."])
        assert same == 0
        assert np.isfinite([longer, shorter]).all()
        assert longer != 0

    def test_gains_of_a_pair(self, trained_bert: Any, tokenizer: Any) -> None:
        pair = ("a dull film", "the plot is good .")
        victim = ModelVictim(trained_bert, tokenizer)
        (second,) = victim.gradients([pair], [1], 1)
        assert second.gains([pair[1], "the plot is bad ."])[0] == 0
        assert second.gains(["the plot is bad ."])[0] != 0


@pytest.mark.parametrize(
    ("old", "new", "gain"),
    [
        ((1, 2, 3), (1, 2, 3), 0),
        ((1, 2, 3), (1, 5, 3), 20 * (5 - 2)),
        ((1, 2, 3), (1, 5, 6, 3), 20 * (5.5 - 2)),
        ((1, 2, 2, 3), (1, 2, 3), 20 * 0 + 30 * 0),  # a deletion counts the token before it
        ((1, 4, 2, 3), (1, 4, 3), 20 * 0 + 30 * (4 - 2)),
        ((1, 3), (1, 3, 3), 20 * 0),  # and so does an insertion
        ((1, 3), (1, 3, 5), 20 * (4 - 3)),
    ],
)
def test_gains_compare_rows_between_common_prefix_and_suffix(
    old: tuple[int, ...], new: tuple[int, ...], gain: float
) -> None:
    slopes = 10 * np.arange(1, len(old) + 1, dtype=np.float32)[:, None]
    table = torch.arange(7.0)[:, None]  # the embedding of token i is i
    found = TokenGradients(
        spans=np.empty((0, 2), np.int64),
        gradients=slopes,
        row=TokenizedText(old),
        row_gradients=slopes,
        table=table,
        rows_of=lambda texts: [TokenizedText(new)],
    )
    assert found.gains(["variant"]).tolist() == [pytest.approx(gain)]


class TestErrors:
    def test_functions_are_black_boxes(self) -> None:
        with pytest.raises(EvaluationError, match="Pass the model itself"):
            FunctionVictim(hashing_classifier).gradients(["a"], [0], 1)

    def test_slow_tokenizer_is_rejected(self, trained_bert: Any, tokenizer: Any) -> None:
        victim = ModelVictim(trained_bert, tokenizer)

        class Slow:
            is_fast = False

        victim.tokens.tokenizer = Slow()
        with pytest.raises(EvaluationError, match="use_fast=True"):
            victim.gradients(["a"], [0], 1)

    def test_unused_embedding_module_is_rejected(self, trained_bert: Any, tokenizer: Any) -> None:
        rows = trained_bert.config.vocab_size
        trained_bert.get_input_embeddings = lambda: torch.nn.Embedding(rows, 3)
        with pytest.raises(EvaluationError, match="does not embed its tokens"):
            ModelVictim(trained_bert, tokenizer).gradients(["a"], [0], 1)

    def test_model_without_embedding_module_is_rejected(
        self, trained_bert: Any, tokenizer: Any
    ) -> None:
        def none() -> Any:
            raise NotImplementedError

        trained_bert.get_input_embeddings = none
        with pytest.raises(EvaluationError, match="does not embed its tokens"):
            ModelVictim(trained_bert, tokenizer).gradients(["a"], [0], 1)
