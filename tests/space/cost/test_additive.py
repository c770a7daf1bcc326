"""The sum over the parts equals the cost of the measured student."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import rosearch.operators as ops
from rosearch.errors import ArgumentError
from rosearch.space import Embedding, Genome, Node, SearchSpace, Task, genome_cost, templates
from rosearch.student import StudentConfig, student_cost

SPACE = SearchSpace(widths=(64, 96), embedding_widths=(32, 48), nodes=(0, 10))
TASK = Task(vocabulary=700, positions=40, types=3, classes=5, length=19)


@pytest.mark.parametrize("name", [*SPACE.operators, *SPACE.embeddings, *templates.ALL, "random"])
def test_genome_cost_equals_the_measured_student(name: str) -> None:
    if name in SPACE.operators:
        genomes = [SearchSpace(operators=[name], widths=(64,), nodes=(2, 3)).sample(seed=0)]
    elif name in SPACE.embeddings:
        genomes = [SearchSpace(embeddings=[name], nodes=(0, 0)).sample(seed=k) for k in range(2)]
    elif name in templates.ALL:
        genomes = [templates.ALL[name](width=48, embedding_width=24)]
    else:
        genomes = [SPACE.sample(seed=seed) for seed in range(12)]
    for genome in genomes:
        config = StudentConfig(
            genome, vocab_size=700, max_position_embeddings=40, type_vocab_size=3, num_labels=5
        )
        assert asdict(genome_cost(genome, TASK)) == student_cost(config, length=19)


@contextmanager
def registered(name: str, plugin: type) -> Iterator[None]:
    ops.register(name)(plugin)
    try:
        yield
    finally:
        ops.registry.unregister(name)


def operator_with(values: int) -> type[ops.Operator]:
    class Plugin(ops.Operator):
        family, source = "other", "a test"

        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.scale = nn.Parameter(torch.ones(values))

        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return hidden * self.scale.mean()

    return Plugin


def embedding_with(values: int) -> type[ops.EmbeddingOperator]:
    class Plugin(ops.EmbeddingOperator):
        source = "a test"

        def __init__(self, shape: ops.InputShape) -> None:
            super().__init__(shape)
            self.scale = nn.Parameter(torch.ones(values))

        def vectors(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.tokens(input_ids) * self.scale.mean()

    return Plugin


def test_plugin_registered_again_is_measured_again() -> None:
    for kind, genes in (
        (operator_with, lambda: {"nodes": (Node("plugin"),)}),
        (embedding_with, lambda: {"embedding": Embedding("plugin")}),
    ):
        found = []
        for values in (5, 12):
            with registered("plugin", kind(values)):
                found.append(genome_cost(Genome(width=16, embedding_width=8, **genes()), TASK))
        assert found[1].parameters - found[0].parameters == 7


class TestTask:
    def test_from_a_teacher(self) -> None:
        class Tokenizer:
            def __call__(self, *_: object, **__: object) -> dict[str, list[list[int]]]:
                return {"input_ids": [[1, 2]], "token_type_ids": [[0, 2]]}

        teacher = SimpleNamespace(
            tokenizer=Tokenizer(),
            embedding=SimpleNamespace(tokens=np.zeros((50, 4)), types=np.zeros((0, 4))),
            max_length=30,
            num_labels=4,
            parameters=1234,
        )
        task = Task.of(teacher, length=8)
        assert (task.vocabulary, task.positions, task.classes, task.length) == (50, 30, 4, 8)
        assert (task.types, task.reference_parameters) == (3, 1234)
        assert Task.of(task) is task
        assert Task.of(asdict(task)) == task

    def test_invalid_sizes(self) -> None:
        with pytest.raises(ArgumentError, match=r"must be a Teacher or .*Task, got 5"):
            Task.of(5)
        with pytest.raises(ArgumentError, match="vocabulary must be a whole number from 1, got 0"):
            Task(vocabulary=0)
