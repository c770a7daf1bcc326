"""Parameters, FLOPs and latency, compared with figures worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.space import Genome, SearchSpace, templates
from rosearch.student import (
    StudentConfig,
    StudentForSequenceClassification,
    export_program,
    flops,
    latency,
    parameters,
    student_cost,
)

SPACE = SearchSpace(nodes=(0, 5), widths=(16, 32), embedding_widths=(8, 16))


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    settings = {"vocab_size": 60, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


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
