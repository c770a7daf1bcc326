"""Pooling before the last linear map without gradients, which does not change logits."""

from __future__ import annotations

import pytest
import torch

import rosearch.operators as ops
from rosearch.space import Genome, Node
from rosearch.student import StudentConfig, StudentForSequenceClassification, student_cost

LINEAR = [name for name in ops.names() if issubclass(ops.get(name), ops.LinearEnding)]


def make(genome: Genome) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    config = StudentConfig(genome, vocab_size=60, max_position_embeddings=32)
    student = StudentForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return student


def genome(name: str, pooling: str, *, residual: bool = True) -> Genome:
    """The operator three times: read by another, and twice by the output alone."""
    node = {"operator": name, "residual": residual}
    nodes = (Node(**node), Node(**node, inputs=(0, 1)), Node(**node, inputs=(1,)))
    return Genome(width=16, embedding_width=8, pooling=pooling, nodes=nodes, outputs=(1, 2, 3))


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    ids = torch.randint(1, 60, (5, 9))
    behind = torch.arange(9) < torch.tensor([[9], [6], [3], [1], [0]])
    return [(ids, torch.ones_like(ids)), (ids, behind.long()), (ids, behind.flip(1).long())]


def shapes_of_last_maps(student: StudentForSequenceClassification) -> list[int]:
    """Dimensions of what the operators' last maps read in the following calls."""
    seen: list[int] = []
    for node in student.nodes:
        last = getattr(node.operator, node.operator.last)
        last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dim()))
    return seen


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("pooling", ops.POOLINGS)
@pytest.mark.parametrize("name", LINEAR)
def test_logits_are_equal(name: str, pooling: str, residual: bool) -> None:
    student = make(genome(name, pooling, residual=residual))
    seen = shapes_of_last_maps(student)
    for ids, mask in batches():
        seen.clear()
        expected = student(ids, attention_mask=mask).logits
        assert seen == [3, 3, 3]
        seen.clear()
        with torch.no_grad():
            found = student(ids, attention_mask=mask).logits
        # The first node is read by others, which need all of its tokens.
        assert sorted(seen) == ([2, 2, 3] if pooling in ("mean", "first") else [3, 3, 3])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_hidden_states_are_complete() -> None:
    student = make(genome("feed_forward", "mean"))
    ids, mask = batches()[1]
    with torch.no_grad():
        out = student(ids, attention_mask=mask, output_hidden_states=True)
        plain = student(ids, attention_mask=mask)
    assert [state.shape for state in out.hidden_states] == [(5, 9, 16)] * 4
    torch.testing.assert_close(out.logits, plain.logits, rtol=1e-5, atol=1e-5)


def test_training_pools_after_the_last_map() -> None:
    student = make(genome("feed_forward", "mean")).train()
    seen = shapes_of_last_maps(student)
    ids, mask = batches()[1]
    with torch.no_grad():
        student(ids, attention_mask=mask)
    assert seen == [3, 3, 3]


def test_flops_do_not_depend_on_pooling() -> None:
    width, length = 16, 10
    linear = genome("feed_forward", "mean")
    other = genome("feed_forward", "max")
    cost = [student_cost(make(g).config, length=length)["flops"] for g in (linear, other)]
    assert cost[0] == cost[1]
    assert cost[0] >= 3 * 2 * length * 4 * width * width
