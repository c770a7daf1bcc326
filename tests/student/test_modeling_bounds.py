"""Students with token scores, alone and beside a bounded graph."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from rosearch.space import Genome, Task, genome_cost, templates
from rosearch.student import (
    StudentConfig,
    StudentForSequenceClassification,
    export_onnx,
    inherit,
    student_cost,
)

SMALL = {"width": 16, "embedding_width": 8}
GENOMES = {
    "scores alone": templates.additive(),
    "TextCNN": replace(templates.text_cnn(**SMALL), bound=0.5),
    "BiGRU": replace(templates.bigru(**SMALL), bound=1.0),
    "transformer": replace(templates.transformer(layers=1, **SMALL), bound=0.3),
    "scopes alone": templates.additive(scopes=True),
    "TextCNN and scopes": replace(templates.text_cnn(**SMALL), bound=0.6, scopes=True),
}
ids = torch.randint(1, 60, (4, 9), generator=torch.Generator().manual_seed(0))


def make(genome: Genome, seed: int = 0) -> StudentForSequenceClassification:
    """A student whose weights are all random."""
    torch.manual_seed(seed)
    cues = [(token, token % 3 + 1) for token in range(20, 35)] if genome.scopes else ()
    sizes = {"vocab_size": 60, "max_position_embeddings": 32, "num_labels": 3}
    config = StudentConfig(genome, cues=cues, **sizes)
    student = StudentForSequenceClassification(config).eval()
    assert student.token_scores is not None
    assert not student.token_scores.tokens.weight.any()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.normal_()
        if genome.bound:  # else tanh may be 1 for all classes
            student.classifier.weight.mul_(0.1)
            student.classifier.bias.copy_(torch.tensor([2.0, -2.0, 0.0]))
    return student


@pytest.fixture(params=GENOMES)
def genome(request: Any) -> Genome:
    return GENOMES[request.param]


@pytest.fixture
def student(genome: Genome) -> StudentForSequenceClassification:
    return make(genome)


@torch.no_grad()
def test_logits_are_scores_and_what_the_graph_moves(
    genome: Genome, student: StudentForSequenceClassification
) -> None:
    assert student.token_scores is not None
    mask = torch.ones_like(ids, dtype=torch.bool)
    scores = student.token_scores(ids, mask)
    moved = student(ids).logits - scores
    assert genome.bound is not None
    if genome.bound == 0:
        assert not moved.any()
        return
    plain = make(genome)
    plain.token_scores = None
    expected = genome.bound / 2 * torch.tanh(plain(ids).logits)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)
    margins = moved[:, :, None] - moved[:, None]
    assert 0.5 * genome.bound < margins.abs().max() <= genome.bound


@torch.no_grad()
def test_padding_changes_nothing(student: StudentForSequenceClassification) -> None:
    padded = torch.nn.functional.pad(ids, (0, 4))
    torch.testing.assert_close(student(padded).logits, student(ids).logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_saved_and_exported_students_are_equal(
    student: StudentForSequenceClassification, tmp_path: Path
) -> None:
    expected = student(ids).logits
    student.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids).logits, expected)
    if student.bound not in (0.0, 0.5):
        return  # an export takes seconds
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(export_onnx(student, tmp_path / "student.onnx"))
    known = {i.name for i in session.get_inputs()}
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    given["token_type_ids"] = torch.zeros_like(ids)
    (out,) = session.run(["logits"], {k: v.numpy() for k, v in given.items() if k in known})
    np.testing.assert_allclose(out, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_costs_are_those_of_the_parts(genome: Genome) -> None:
    student = make(genome)
    cost = genome_cost(genome, Task(vocabulary=60, positions=32, classes=3, length=9))
    assert cost.parameters == student.num_parameters()
    assert student_cost(student.config, length=9) == asdict(cost)


@torch.no_grad()
def test_the_vocabulary_can_grow(student: StudentForSequenceClassification) -> None:
    before = student(ids).logits
    student.resize_token_embeddings(64, mean_resizing=False)
    torch.testing.assert_close(student(ids).logits, before)
    assert student.token_scores is not None
    assert student.token_scores.tokens.weight.shape == (64, 3 * student.token_scores.scopes)
    student(torch.full((1, 2), 63))


def test_gradients_reach_every_parameter(student: StudentForSequenceClassification) -> None:
    student(ids, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name


@torch.no_grad()
def test_scores_are_inherited(student: StudentForSequenceClassification, genome: Genome) -> None:
    name = "TextCNN and scopes" if genome.scopes else "TextCNN"
    for child in (make(genome, seed=1), make(GENOMES[name], seed=2)):
        found = inherit(child, student)
        assert child.token_scores is not None
        assert student.token_scores is not None
        assert torch.equal(child.token_scores.tokens.weight, student.token_scores.tokens.weight)
        assert found.values["token_scores.bias"] == 3
