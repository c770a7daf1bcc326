"""Students as Hugging Face models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from rosearch.errors import GenomeError
from rosearch.space import Genome, Node, SearchSpace, templates
from rosearch.student import (
    StudentConfig,
    StudentForSequenceClassification,
    compress_embedding,
    export_program,
    flops,
    latency,
    parameters,
    start_from_teacher,
    student_cost,
)

SPACE = SearchSpace(nodes=(0, 5), widths=(16, 32), embedding_widths=(8, 16))


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    settings = {"vocab_size": 60, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


class TestForward:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_padding_never_changes_the_answer(self, seed: int) -> None:
        student = make(SPACE.sample(seed=seed))
        ids = torch.randint(1, 60, (1, 7))
        alone = student(ids).logits
        for before, behind in ((0, 5), (4, 0)):
            padded = torch.nn.functional.pad(ids, (before, behind))
            mask = (padded != 0).long()
            torch.testing.assert_close(
                student(padded, attention_mask=mask).logits, alone, rtol=1e-3, atol=1e-4
            )
            # Without a mask the padding token tells where the text ends.
            torch.testing.assert_close(student(padded).logits, alone, rtol=1e-3, atol=1e-4)

    @settings(max_examples=80, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_gradients_reach_every_parameter(self, seed: int) -> None:
        student = make(SPACE.sample(seed=seed), dropout=0.0)
        ids = torch.randint(1, 60, (8, 24))
        # Some rows are mostly padding, wider than any window.
        ids[torch.arange(24) >= torch.tensor([24, 24, 9, 9, 5, 5, 2, 1])[:, None]] = 0
        student(ids, labels=torch.arange(8) % 2).loss.backward()
        for name, parameter in student.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name

    def test_loss_and_tuple(self) -> None:
        student = make(templates.bigru(width=16, embedding_width=8), num_labels=3)
        ids, labels = torch.randint(1, 60, (4, 6)), torch.tensor([0, 1, 2, 0])
        out = student(ids, labels=labels)
        assert out.logits.shape == (4, 3)
        expected = torch.nn.functional.cross_entropy(out.logits, labels)
        torch.testing.assert_close(out.loss, expected)
        loss, logits = student(ids, labels=labels, return_dict=False)
        assert torch.equal(loss, out.loss)
        assert torch.equal(logits, out.logits)

    def test_token_types_count(self) -> None:
        student = make(templates.bag_of_words(width=16, embedding_width=8))
        ids = torch.randint(1, 60, (1, 6))
        other = student(ids, token_type_ids=torch.ones_like(ids)).logits
        assert not torch.allclose(student(ids).logits, other)

    def test_a_residual_adds_the_merged_input(self) -> None:
        def states(residual: bool) -> torch.Tensor:
            node = Node("identity", residual=residual)
            student = make(Genome(width=16, embedding_width=8, nodes=(node,)))
            embedded = student.embedding(ids, ids.bool(), None)
            return student.nodes[0]([embedded], ids.bool()), embedded, student.nodes[0].norm

        ids = torch.randint(1, 60, (2, 5))
        with torch.no_grad():
            plain, embedded, norm = states(False)
            torch.testing.assert_close(plain, norm(embedded))
            added, embedded, norm = states(True)
            torch.testing.assert_close(added, embedded + norm(embedded))


class TestSaving:
    @pytest.mark.parametrize("name", templates.ALL)
    def test_round_trip(self, name: str, tmp_path: Path, tokenizer: Any) -> None:
        student = make(templates.ALL[name](), vocab_size=len(tokenizer), num_labels=3)
        student.tokenizer = tokenizer
        student.save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").exists()
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert type(loaded) is StudentForSequenceClassification
        ids = torch.randint(1, len(tokenizer), (2, 7))
        assert torch.equal(loaded(ids).logits, student(ids).logits)
        assert loaded.tokenizer("a good film").input_ids == tokenizer("a good film").input_ids
        assert loaded.config.architecture == templates.ALL[name]()

    def test_loads_in_a_new_process_after_import(self, tmp_path: Path) -> None:
        make(templates.text_cnn(width=16, embedding_width=8)).save_pretrained(tmp_path)
        code = (
            "import rosearch, sys\n"
            "from transformers import AutoModelForSequenceClassification as Auto\n"
            "print(type(Auto.from_pretrained(sys.argv[1])).__name__)"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        assert out.stdout.strip() == "StudentForSequenceClassification"

    def test_configuration_is_readable(self, tmp_path: Path) -> None:
        make(templates.bigru(width=16, embedding_width=8)).save_pretrained(tmp_path)
        values = json.loads((tmp_path / "config.json").read_text())
        assert values["model_type"] == "rosearch"
        assert values["genome"]["nodes"][0]["operator"] == "bidirectional_gru"

    def test_bad_genome_in_a_configuration_is_refused(self) -> None:
        with pytest.raises(GenomeError, match="width is 0"):
            StudentConfig({"width": 0, "embedding_width": 8})


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

    def test_other_vocabulary_is_refused(self, tiny_bert: Any) -> None:
        with pytest.raises(ValueError, match="The student has 60 tokens, the teacher"):
            start_from_teacher(
                make(templates.bag_of_words(), vocab_size=60), compress_embedding(tiny_bert())
            )


class TestCost:
    def test_transformer_by_hand(self) -> None:
        w, e, vocab, length = 32, 16, 60, 10
        genome = templates.transformer(layers=1, width=w, embedding_width=e, expansion=4, heads=2)
        config = StudentConfig(genome, vocab_size=vocab, max_position_embeddings=32)
        cost = student_cost(config, length=length)
        embedding = (vocab + 32 + 2) * e + e * w + w + 2 * w
        attention = 2 * w + w + w * 3 * w + 3 * w + w * w + w
        feed_forward = 2 * w + w + w * 4 * w + 4 * w + 4 * w * w + w
        head = 2 * w + 2 * w + 2
        assert cost["parameters"] == embedding + attention + feed_forward + head
        matrices = e * w + 3 * w * w + w * w + 8 * w * w  # per token
        expected = 2 * length * matrices + 2 * 2 * length * length * w + 2 * w * 2
        student = make(genome, vocab_size=vocab)
        assert flops(student, length=length) == cost["flops"] == expected
        assert parameters(student) == cost["parameters"]

    def test_gru_by_hand(self) -> None:
        w, e, length = 32, 16, 10
        student = make(templates.bigru(width=w, embedding_width=e))
        gates = 2 * 3 * (w // 2) * (w + w // 2)  # two directions, three gates
        assert flops(student, length=length) == 2 * length * (e * w + gates) + 2 * w * 2

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_costs_without_memory_are_the_student_s(self, seed: int) -> None:
        genome = SPACE.sample(seed=seed)
        student = make(genome)
        expected = {"parameters": parameters(student), "flops": flops(student)}
        assert student_cost(student.config) == expected

    def test_latency_is_a_time_and_keeps_the_mode(self) -> None:
        student = make(templates.text_cnn(width=16, embedding_width=8)).train()
        assert 0 < latency(student, repeats=3) < 5
        assert student.training

    @pytest.mark.parametrize(
        "look", [flops, export_program, lambda student: latency(student, repeats=1)]
    )
    def test_every_module_keeps_its_own_mode(self, look: Any) -> None:
        student = make(templates.bag_of_words(width=16, embedding_width=8)).train()
        student.embedding.eval()  # as when a part is frozen
        before = [module.training for module in student.modules()]
        look(student)
        assert [module.training for module in student.modules()] == before
