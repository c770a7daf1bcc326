"""FreeLB against its algorithm written out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill import Distiller, EmbeddingPerturbation, Optimization, Teacher
from rosearch.distill.losses import HardLabels
from rosearch.distill.training.gradients import Gradients
from rosearch.space import Embedding, templates
from rosearch.tokens import collate, tokenize
from tests.distill.loop import same, student

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}


def gradients(
    model: nn.Module,
    tokenizer: Any,
    dataset: TextDataset,
    perturbation: EmbeddingPerturbation | None,
    **settings: Any,
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a step of 12 texts, as the loop computes them."""
    model.train()
    rows = tokenize(tokenizer, dataset.texts[:12], max_length=64)
    made = Gradients(
        model,
        HardLabels(dataset.labels[:12]),
        rows,
        Optimization(learning_rate=1e-3, **settings),
        clear=model.zero_grad,
        pad_id=0,
        pad_left=False,
        hooks=[] if perturbation is None else [perturbation],
    )
    model.zero_grad()
    torch.manual_seed(3)
    loss = made.accumulate(np.arange(12))
    named = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return float(loss), named


def written_out(
    model: Any, tokenizer: Any, dataset: TextDataset, given: EmbeddingPerturbation
) -> tuple[float, dict[str, torch.Tensor]]:
    """Algorithm 1 of Zhu et al. 2020, text by text, with the shift added by a hook."""
    model.train()
    rows = tokenize(tokenizer, dataset.texts[:12], max_length=64)
    inputs = collate(rows, pad_id=0)
    lengths = [len(row.ids) for row in rows]
    labels = torch.tensor(dataset.labels[:12])
    torch.manual_seed(3)
    noise = torch.rand((*inputs["input_ids"].shape, 16)) * 2 - 1
    deltas = torch.zeros_like(noise)
    for text, length in enumerate(lengths):
        deltas[text, :length] = given.start / (length * 16) ** 0.5 * noise[text, :length]
    total: dict[str, torch.Tensor] = {}
    losses = []
    for _ in range(given.steps):
        delta = deltas.clone().requires_grad_()
        with added(model.embedding.tokens, delta):
            loss = nn.functional.cross_entropy(model(**inputs).logits, labels)
        names = [name for name, p in model.named_parameters() if p.requires_grad]
        weights = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, [*weights, delta], allow_unused=True)
        for name, gradient in zip(names, found[:-1], strict=True):
            if gradient is not None:
                total[name] = total.get(name, 0) + gradient / given.steps
        losses.append(float(loss.detach()))
        for text, length in enumerate(lengths):
            ascent = found[-1][text, :length]
            moved = deltas[text, :length] + given.step_size * ascent / ascent.norm()
            if moved.norm() > given.max_norm:
                moved = moved * given.max_norm / moved.norm()
            deltas[text, :length] = moved
    return sum(losses) / len(losses), total


@contextmanager
def added(module: nn.Module, delta: torch.Tensor) -> Iterator[None]:
    handle = module.register_forward_hook(lambda _m, _given, out: out + delta)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", ["bag_of_words", "text_cnn", "transformer", "bigru"])
@pytest.mark.parametrize(
    "given",
    [
        EmbeddingPerturbation(),
        EmbeddingPerturbation(steps=4, step_size=0.3, max_norm=0.5, start=0.2),
        EmbeddingPerturbation(steps=2, start=0.0),
    ],
)
def test_gradients_equal_the_written_out_algorithm(
    kind: str, given: EmbeddingPerturbation, tokenizer: Any, dataset: TextDataset
) -> None:
    model = student(kind, dropout=0.0)
    loss, found = gradients(model, tokenizer, dataset, given)
    expected_loss, expected = written_out(model, tokenizer, dataset, given)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)
    # It has moved uphill, and nothing of it stays behind.
    plain_loss, plain = gradients(model, tokenizer, dataset, None)
    assert loss > plain_loss
    assert "vectors" not in vars(model.embedding)
    assert any(not torch.allclose(plain[name], found[name], atol=1e-5) for name in plain)


def test_dropout_is_the_same_in_all_passes(tokenizer: Any, dataset: TextDataset) -> None:
    model = student("text_cnn", dropout=0.5)
    still = EmbeddingPerturbation(steps=5, step_size=1e-9, max_norm=1e-9, start=0.0)
    plain_loss, plain = gradients(model, tokenizer, dataset, None)
    loss, found = gradients(model, tokenizer, dataset, still)
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    for name, gradient in plain.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_micro_batches_give_the_same_gradient(tokenizer: Any, dataset: TextDataset) -> None:
    model = student("text_cnn", dropout=0.0)
    given = EmbeddingPerturbation(start=0.0)
    whole_loss, whole = gradients(model, tokenizer, dataset, given)
    loss, found = gradients(model, tokenizer, dataset, given, micro_batch_size=5)
    assert loss == pytest.approx(whole_loss, rel=1e-4)
    for name, gradient in whole.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("operator", "settings"),
    [
        ("subword_embedding", {"precision": "bfloat16"}),
        ("character_embedding", {}),
        ("neighbour_smoothed_embedding", {}),
    ],
)
def test_distiller_trains_and_resumes(
    operator: str,
    settings: dict[str, Any],
    teacher: Teacher,
    parts: tuple[TextDataset, TextDataset],
    tmp_path: Path,
) -> None:
    genome = replace(templates.bag_of_words(**SMALL), embedding=Embedding(operator))
    losses = {"soft_labels": 1.0, "hidden_states": 0.5}
    distiller = Distiller(
        teacher, *parts, epochs=4, learning_rate=1e-2, losses=losses, progress=False,
        perturbation=EmbeddingPerturbation(), **settings,
    )  # fmt: skip
    whole = distiller.distill(genome, seed=1)
    assert whole.accuracy > 0.8
    distiller.distill(genome, seed=1, epochs=2, checkpoint=tmp_path / "state")
    part = distiller.distill(genome, seed=1, checkpoint=tmp_path / "state")
    assert same(part.student, whole.student)
    assert distiller.settings["perturbation"] == {
        "steps": 3, "step_size": 0.5, "max_norm": 1.0, "start": 0.1
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"step_size": 0.0}, {"max_norm": float("inf")}, {"start": -1.0}, {"start": 2.0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EmbeddingPerturbation(**wrong)


def test_compile_and_other_objects_are_refused(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset]
) -> None:
    with pytest.raises(ValueError, match="cannot be combined with compile"):
        Distiller(teacher, *parts, perturbation=EmbeddingPerturbation(), compile=True)
    with pytest.raises(ValueError, match="must be a WorstCase"):
        Distiller(teacher, *parts, perturbation=0.5)  # type: ignore[arg-type]
