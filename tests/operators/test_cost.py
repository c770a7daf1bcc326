"""What operators cost, against figures worked out by hand."""

from __future__ import annotations

import pytest
import torch

import rosearch.operators as ops
from rosearch.errors import GenomeError, RegistryError

W, L = 48, 10


def linear(inside: int, outside: int) -> int:
    """Parameters of a linear map with biases."""
    return inside * outside + outside


# Multiplications and additions of matrix products per token: 2 * inside * outside.
BY_HAND = {
    "attention": (linear(W, 3 * W) + linear(W, W), 2 * 4 * W * W + 2 * 2 * L * W),
    "relative_attention": (
        linear(W, 3 * W) + linear(W, W) + 16 * 4,
        2 * 4 * W * W + 2 * 2 * L * W,
    ),
    # phi(K)^T V, phi(Q) times it, and phi(Q) times the sum of phi(K), with 4 heads of W / 4.
    "linear_attention": (
        linear(W, 3 * W) + linear(W, W),
        2 * 4 * W * W + 2 * 2 * W * (W // 4) + 2 * W,
    ),
    "convolution": (3 * W * W + W, 2 * 3 * W * W),
    "dilated_convolution": (3 * W * W + W, 2 * 3 * W * W),
    "depthwise_convolution": (3 * W + W, 2 * 3 * W),
    "separable_convolution": (3 * W + W + linear(W, W), 2 * 3 * W + 2 * W * W),
    "lightweight_convolution": (
        linear(W, 2 * W) + linear(W, W) + 4 * 7,
        2 * 3 * W * W + 2 * 7 * W,
    ),
    "dynamic_convolution": (
        linear(W, 2 * W) + linear(W, W) + W * 4 * 7,
        2 * 3 * W * W + 2 * W * 4 * 7,
    ),
    "feed_forward": (linear(W, 2 * W) + linear(2 * W, W), 2 * 4 * W * W),
    "gated_feed_forward": (linear(W, 4 * W) + linear(2 * W, W), 2 * 6 * W * W),
    "gated_linear_unit": (linear(W, 2 * W) + linear(W, W), 2 * 3 * W * W),
    # Each direction: gates from the token (W) and from the state (W / 2), with two biases.
    "bidirectional_gru": (
        2 * 3 * (linear(W, W // 2) + linear(W // 2, W // 2)),
        2 * 2 * 3 * (W + W // 2) * (W // 2),
    ),
    "bidirectional_lstm": (
        2 * 4 * (linear(W, W // 2) + linear(W // 2, W // 2)),
        2 * 2 * 4 * (W + W // 2) * (W // 2),
    ),
    "minimal_gru": (linear(W, 2 * W), 2 * 2 * W * W),
    # Cosines and sines over channels, then over tokens.
    "fourier_mixing": (0, 2 * 2 * W * W + 2 * 2 * L * W),
    # Once a text.
    "squeeze_excitation": (linear(W, W // 4) + linear(W // 4, W), 2 * 2 * W * (W // 4) / L),
    "average_pooling": (0, 0),
    "max_pooling": (0, 0),
    "identity": (0, 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_cost_equals_figures_worked_out_by_hand(name: str) -> None:
    parameters, flops = BY_HAND[name]
    found = ops.cost(name, W, length=L)
    assert found.parameters == parameters
    assert found.flops_per_token == pytest.approx(flops, rel=1e-12)


def test_all_built_in_operators_are_covered() -> None:
    ours = {n for n in ops.names() if ops.get(n).__module__.startswith("rosearch.")}
    assert ours == set(BY_HAND)


def test_cost_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    small = ops.cost("feed_forward", 16, expansion=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert ops.cost("feed_forward", 16, expansion=4).flops_per_token == 4 * small.flops_per_token


def test_cost_follows_the_registered_class() -> None:
    for width in (3, 5):

        class Wide(ops.Operator):
            inner = width

            def __init__(self, width: int) -> None:
                super().__init__(width)
                self.map = torch.nn.Linear(width, self.inner)

            def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                return hidden

        ops.register("wide")(Wide)
        try:
            assert ops.cost("wide", 4).parameters == 5 * width
        finally:
            ops.registry.unregister("wide")


def test_error_messages() -> None:
    with pytest.raises(GenomeError, match="'attention' does not fit: 4 heads do not divide"):
        ops.cost("attention", 10)
    with pytest.raises(GenomeError, match="no parameter 'size'"):
        ops.cost("convolution", 8, size=3)
    with pytest.raises(RegistryError, match="nothing"):
        ops.cost("nothing", 8)
    with pytest.raises(GenomeError, match="'subword_embedding' is not an Operator"):
        ops.cost("subword_embedding", 8)
    with pytest.raises(GenomeError, match="'attention' is not an EmbeddingOperator"):
        ops.require("attention", ops.EmbeddingOperator)
    # What is offered is what fits there.
    with pytest.raises(RegistryError, match="Did you mean 'subword_embedding'") as error:
        ops.require("subword_embeding", ops.EmbeddingOperator)
    assert "character_embedding" in str(error.value)
    assert "attention" not in str(error.value)
    with pytest.raises(RegistryError, match="Known: attention, ") as error:
        ops.require("subword_embeding", ops.Operator)
    assert "Did you mean" not in str(error.value)
    assert "character_embedding" not in str(error.value)
    with pytest.raises(ValueError, match="length must be a whole number from 1, got 0"):
        ops.cost("identity", 8, length=0)
