"""The conformance suite: built-in operators pass it, and faulty ones fail."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import rosearch.operators as ops
from rosearch.operators.testing import OperatorConformance

BUILT_IN = (
    "attention",
    "average_pooling",
    "bidirectional_gru",
    "bidirectional_lstm",
    "convolution",
    "depthwise_convolution",
    "dilated_convolution",
    "dynamic_convolution",
    "feed_forward",
    "fourier_mixing",
    "gated_feed_forward",
    "gated_linear_unit",
    "identity",
    "lightweight_convolution",
    "linear_attention",
    "max_pooling",
    "minimal_gru",
    "relative_attention",
    "separable_convolution",
    "squeeze_excitation",
)


@pytest.mark.parametrize("name", BUILT_IN)
class TestConformance(OperatorConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name  # type: ignore[misc]


def test_all_built_in_operators_are_covered() -> None:
    ours = {n for n in ops.names() if ops.get(n).__module__.startswith("rosearch.")}
    assert ours == set(BUILT_IN)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_operators_with_random_shapes_and_masks(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(BUILT_IN))
    width = data.draw(st.sampled_from((8, 16, 40)))
    operator_class = ops.get(name)
    values = {k: data.draw(st.sampled_from(c.values)) for k, c in operator_class.choices.items()}
    assume(operator_class.complaint(width, values) is None)
    lengths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    torch.manual_seed(data.draw(st.integers(0, 2**16)))
    operator = operator_class(width, **values).eval()
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    hidden = torch.randn(len(lengths), longest, width, requires_grad=True)
    out = operator(hidden, mask)
    assert out.shape == hidden.shape
    for row, length in enumerate(lengths):
        alone = operator(hidden[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(out[row, :length], alone[0], rtol=1e-4, atol=1e-5)
    out[mask].square().sum().backward()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()
    assert (hidden.grad[~mask] == 0).all()


def test_conformance_catches_an_operator_that_reads_padding() -> None:
    @ops.register("leaky")
    class Leaky(ops.Operator):
        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return hidden - hidden.mean(dim=1, keepdim=True)

    try:
        suite = OperatorConformance()
        suite.name = "leaky"  # type: ignore[misc]
        with pytest.raises(AssertionError):
            suite.test_padding_changes_nothing()
    finally:
        ops.registry.unregister("leaky")


def test_conformance_catches_an_operator_that_mixes_texts() -> None:
    @ops.register("mixing")
    class Mixing(ops.Operator):
        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return hidden + hidden.mean(dim=0, keepdim=True)

    try:
        suite = OperatorConformance()
        suite.name = "mixing"  # type: ignore[misc]
        with pytest.raises(AssertionError):
            suite.test_texts_do_not_mix()
    finally:
        ops.registry.unregister("mixing")
