"""Initialization of students from their teacher, with every input."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import rosearch.operators as ops
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.operators.inputs.testing import SmallNearestWords
from rosearch.space import Genome, SearchSpace, templates
from rosearch.student import (
    CachedNearestWords,
    EmbeddingNearestWords,
    StudentConfig,
    StudentForSequenceClassification,
    compress_embedding,
    start_from_teacher,
    student_cost,
)

INPUTS = sorted(ops.names(ops.EmbeddingOperator))
NEIGHBOURLY = ("neighbour_smoothed_embedding", "synonym_code_embedding")


def genome(embedding: str, **sizes: int) -> Genome:
    return Genome(**{"width": 16, "embedding_width": 8, **sizes}, embedding=embedding)


@pytest.fixture
def teacher(teacher_folder: Path, tmp_path: Path) -> Teacher:
    return Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path, device="cpu")


@pytest.fixture
def distiller(teacher: Teacher, dataset: TextDataset) -> Distiller:
    train, dev = dataset.split(60, 20, seed=0)
    return Distiller(teacher, train, dev, epochs=1, progress=False, device="cpu")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("width", [8, 40])
def test_tables_and_projection_start_from_the_teacher(
    distiller: Distiller, name: str, width: int
) -> None:
    student = distiller.student(genome(name, embedding_width=width))
    own, given = student.embedding, distiller.teacher.embedding
    columns = min(width, given.tokens.shape[1])
    kept = torch.arange(len(given.tokens)) != own.shape.padding
    for module, table in ((own.tokens, given.tokens), (own.positions, given.positions)):
        expected = torch.from_numpy(table[:, :columns].copy())
        found = module.weight[: len(expected), :columns]
        if module is own.tokens:
            found, expected = found[kept], expected[kept]
        torch.testing.assert_close(found, expected)
    assert own.tokens.weight[own.shape.padding].abs().max() == 0
    weight = own.projection.weight.detach()
    product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    torch.testing.assert_close(product, torch.eye(len(product)), rtol=1e-4, atol=1e-4)
    if name == "character_embedding":
        assert own.ngrams.weight[:, :columns].std() > 0.03


@pytest.mark.parametrize("name", INPUTS)
def test_buffers_are_saved(distiller: Distiller, name: str, tmp_path: Path) -> None:
    student = distiller.student(genome(name)).eval()
    student.save_pretrained(tmp_path)
    loaded: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = ["a good film .", "what a qwertz movie !"]
    inputs = student.tokenizer(texts, padding=True, return_tensors="pt")
    assert torch.equal(loaded(**inputs).logits, student(**inputs).logits)
    ours, theirs = dict(student.named_buffers()), dict(loaded.named_buffers())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[label]) for label, tensor in ours.items())
    assert bool(ours) == (name != "subword_embedding")


@pytest.mark.parametrize("name", INPUTS)
def test_cost_equals_that_of_the_student(distiller: Distiller, name: str) -> None:
    student = distiller.student(genome(name))
    counted = sum(p.numel() for p in student.parameters())
    cost = student_cost(student.config)
    assert cost["parameters"] == counted
    assert cost["flops"] > 0
    plain = sum(p.numel() for p in distiller.student(genome("subword_embedding")).parameters())
    extra = 4000 * 8 if name == "character_embedding" else 0
    assert counted == plain + extra


@pytest.mark.parametrize("name", INPUTS)
def test_training_keeps_buffers(distiller: Distiller, name: str) -> None:
    result = distiller.distill(genome(name))
    assert result.accuracy > 0.4
    buffers = dict(distiller.student(genome(name)).named_buffers())
    for label, buffer in result.student.named_buffers():
        assert torch.equal(buffer, buffers[label]), label


class TestNearestWordsOfADistiller:
    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        monkeypatch.setattr(CachedNearestWords, "cache", {})
        asked: list[int] = []
        real = EmbeddingNearestWords.neighbours

        def counted(self: Any, words: Any, *, count: int) -> Any:
            asked.append(count)
            return real(self, words, count=count)

        monkeypatch.setattr(EmbeddingNearestWords, "neighbours", counted)
        return asked

    def test_plain_students_look_up_nothing(
        self, distiller: Distiller, asked: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ops.Vocabulary, "of", None)
        distiller.student(genome("subword_embedding"))
        assert asked == []

    def test_neighbours_are_looked_up_once_in_a_process(
        self, distiller: Distiller, asked: list[int]
    ) -> None:
        for seed in range(2):
            # As a pool does, which sends the pipeline with every candidate.
            sent = pickle.loads(pickle.dumps(distiller))
            for name in INPUTS:
                sent.student(genome(name), seed=seed)
        assert len(asked) == 1

    def test_default_is_the_embedding_of_the_teacher(self, distiller: Distiller) -> None:
        student = distiller.student(genome("synonym_code_embedding"))
        vocabulary = ops.Vocabulary.of(distiller.teacher.tokenizer)
        again = distiller.student(genome("synonym_code_embedding"))
        again.embedding.prepare(
            vocabulary, EmbeddingNearestWords(vocabulary, distiller.teacher.embedding.tokens)
        )
        assert torch.equal(student.embedding.tokens.codes, again.embedding.tokens.codes)

    @pytest.mark.parametrize("name", NEIGHBOURLY)
    def test_given_nearest_words_are_used_and_in_the_settings(
        self, teacher: Teacher, dataset: TextDataset, asked: list[int], name: str
    ) -> None:
        train, dev = dataset.split(60, 20, seed=0)
        plain = Distiller(teacher, train, dev, progress=False)
        given = Distiller(teacher, train, dev, progress=False, nearest_words=SmallNearestWords())
        assert "nearest_words" not in plain.settings
        assert json.loads(json.dumps(given.settings))["nearest_words"] == {"name": "small"}
        table = given.student(genome(name)).embedding.tokens.table()
        good, great = teacher.tokenizer.convert_tokens_to_ids(["good", "great"])
        plainly = plain.student(genome("subword_embedding")).embedding.tokens.weight
        before = (plainly[good] - plainly[great]).norm()
        assert (table[good] - table[great]).norm() < 0.9 * before
        assert asked == []


def test_teacher_with_another_vocabulary_raises(distiller: Distiller) -> None:
    from rosearch.student import StudentForSequenceClassification, start_from_teacher

    config = distiller.config(genome("subword_embedding"))
    config.vocab_size += 1
    with pytest.raises(ValueError, match="share their teacher's tokenizer"):
        start_from_teacher(StudentForSequenceClassification(config), distiller.teacher.embedding)


@pytest.mark.parametrize("name", INPUTS)
def test_white_box_attacks_see_the_model_s_vectors(distiller: Distiller, name: str) -> None:
    from rosearch.attack import ModelVictim

    student = distiller.student(genome(name)).eval()
    texts = ["the film was good .", "a bad movie ."]
    (first, _) = ModelVictim(student, student.tokenizer).gradients(texts, [0, 1], 0)
    assert first.gradients.shape == (5, 8)
    ids = torch.tensor([first.row.ids])
    torch.testing.assert_close(first.table[ids[0]], student.embedding.tokens(ids)[0])


SPACE = SearchSpace(nodes=(0, 5), widths=(16, 32), embedding_widths=(8, 16))


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    settings = {"vocab_size": 60, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


class TestStartFromTeacher:
    def test_is_the_truncated_svd(self, tiny_bert: Any) -> None:
        teacher = tiny_bert()
        compressed = compress_embedding(teacher)
        table = teacher.get_input_embeddings().weight.detach().double().numpy()
        u, s, _ = np.linalg.svd(table, full_matrices=False)
        ours = compressed.tokens.astype(np.float64)
        scale = np.linalg.norm(table) / np.linalg.norm(ours)
        for k in (1, 8, 16):
            # Distances between words are those of the best rank-k approximation.
            best = (u[:, :k] * s[:k]) @ (u[:, :k] * s[:k]).T
            np.testing.assert_allclose(
                scale**2 * ours[:, :k] @ ours[:, :k].T, best, atol=1e-6 * np.abs(best).max() + 1e-9
            )
        assert compressed.tokens.std() == pytest.approx(1.0, abs=1e-3)

    def test_fills_all_tables(self, tiny_bert: Any, tokenizer: Any) -> None:
        teacher = tiny_bert()
        compressed = compress_embedding(teacher)
        student = make(
            templates.bag_of_words(width=24, embedding_width=16), vocab_size=len(tokenizer)
        )
        start_from_teacher(student, compressed)
        tokens = student.embedding.tokens.weight.detach().numpy()
        np.testing.assert_allclose(tokens[1:], compressed.tokens[1:, :16], rtol=1e-6)
        assert (tokens[0] == 0).all()
        rows = min(32, len(compressed.positions))
        positions = student.embedding.positions.weight.detach().numpy()
        np.testing.assert_allclose(positions[:rows], compressed.positions[:rows, :16], rtol=1e-6)
        projection = student.embedding.projection.weight
        torch.testing.assert_close(projection.T @ projection, torch.eye(16), atol=1e-5, rtol=0)

    def test_embedding_wider_than_the_teacher(self, tiny_bert: Any, tokenizer: Any) -> None:
        student = make(
            templates.bag_of_words(width=24, embedding_width=48), vocab_size=len(tokenizer)
        )
        before = student.embedding.tokens.weight.detach().clone()
        start_from_teacher(student, compress_embedding(tiny_bert()))
        after = student.embedding.tokens.weight.detach()
        assert not torch.equal(after[1:, :32], before[1:, :32])
        assert torch.equal(after[1:, 32:], before[1:, 32:])

    def test_other_vocabulary_raises(self, tiny_bert: Any) -> None:
        with pytest.raises(ValueError, match="The student has 60 tokens, the teacher"):
            start_from_teacher(
                make(templates.bag_of_words(), vocab_size=60), compress_embedding(tiny_bert())
            )
