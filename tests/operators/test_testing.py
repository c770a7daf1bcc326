"""Every registered operator under the conformance suite, and under hypothesis."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import rosearch.operators as ops
from rosearch.errors import GenomeError, RegistryError
from rosearch.operators.testing import OperatorConformance
from rosearch.space import SearchSpace

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
def test_any_shape_and_mask(data: st.DataObject) -> None:
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


def test_convolution_agrees_with_its_definition() -> None:
    operator = ops.get("convolution")(4, kernel_size=3)
    hidden = torch.randn(1, 6, 4)
    out = operator(hidden, torch.ones(1, 6, dtype=torch.bool))
    window = hidden[0, 1:4]
    weight, bias = operator.convolution.weight, operator.convolution.bias
    expected = torch.nn.functional.gelu(torch.einsum("kc,ock->o", window, weight) + bias)
    torch.testing.assert_close(out[0, 2], expected)


def test_average_pooling_divides_by_real_tokens_only() -> None:
    operator = ops.get("average_pooling")(2, window=3)
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    out = operator(hidden, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(out[0, :2], torch.tensor([[2.0, 3.0], [2.0, 3.0]]))


def test_gru_reads_in_both_directions() -> None:
    operator = ops.get("bidirectional_gru")(8).eval()
    mask = torch.tensor([[True] * 5 + [False] * 2])
    hidden = torch.randn(1, 7, 8, requires_grad=True)
    out = operator(hidden, mask)
    (ahead,) = torch.autograd.grad(out[0, 2, :4].sum(), hidden, retain_graph=True)
    (back,) = torch.autograd.grad(out[0, 2, 4:].sum(), hidden)
    assert (ahead[0, 3:] == 0).all()
    assert (ahead[0, :3].abs().sum(-1) > 0).all()
    assert (back[0, :2] == 0).all()
    assert (back[0, 2:5].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("kind", ops.MERGES)
def test_merges_are_symmetric_and_agree_on_one_input(kind: str) -> None:
    merge = ops.Merge(kind, width=4, inputs=3)
    inputs = [torch.randn(2, 5, 4) for _ in range(3)]
    torch.testing.assert_close(merge(inputs), merge(inputs[::-1]))
    alone = ops.Merge(kind, width=4, inputs=1)
    assert torch.equal(alone(inputs[:1]), inputs[0])


def test_gated_merge_weighs_its_inputs() -> None:
    merge = ops.Merge("gated", width=2, inputs=2)
    a, b = torch.ones(1, 1, 2), torch.zeros(1, 1, 2)
    torch.testing.assert_close(merge([a, b]), torch.full((1, 1, 2), 0.5))
    with torch.no_grad():
        merge.scores[0] = 50.0
    torch.testing.assert_close(merge([a, b]), a)


@pytest.mark.parametrize("kind", ops.POOLINGS)
def test_pooling_ignores_padding(kind: str) -> None:
    hidden = torch.randn(1, 3, 4)
    padded = torch.cat([torch.full((1, 2, 4), 1e3), hidden, torch.full((1, 1, 4), 1e3)], dim=1)
    mask = torch.tensor([[False, False, True, True, True, False]])
    pool = ops.Pool(kind, width=4)
    if kind == "attention":
        nn.init.normal_(pool.scores)
    alone = pool(hidden, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(pool(padded, mask), alone)


@pytest.mark.parametrize("kind", ops.POOLINGS)
def test_a_text_without_tokens_becomes_zeros(kind: str) -> None:
    hidden = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    pool = ops.Pool(kind, width=4)
    pooled = pool(hidden, mask)
    assert torch.equal(pooled[1], torch.zeros(4))
    torch.testing.assert_close(pooled[:1], pool(hidden[:1, :2], mask[:1, :2]))
    pooled.square().sum().backward()
    assert torch.isfinite(hidden.grad).all()


def test_attention_pooling_weighs_tokens() -> None:
    pool = ops.Pool("attention", width=2)
    hidden, mask = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(pool(hidden, mask), torch.full((1, 2), 0.5))
    with torch.no_grad():
        pool.scores[0] = 50.0
    torch.testing.assert_close(pool(hidden, mask), hidden[:, 0])


def test_unknown_pooling_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown pooling 'median'; choose one of mean"):
        ops.Pool("median", width=3)


class TestComplete:
    def test_fills_defaults(self) -> None:
        assert ops.complete("attention", {}) == {"heads": 4}
        assert ops.complete("attention", {"heads": 2}) == {"heads": 2}

    def test_names_unknown_parameter(self) -> None:
        with pytest.raises(GenomeError, match="'attention' has no parameter 'head'; known: heads"):
            ops.complete("attention", {"head": 2})

    @pytest.mark.parametrize("value", [5, True, 2.0, "2"])
    def test_names_wrong_value(self, value: object) -> None:
        with pytest.raises(GenomeError, match="is no choice of the operator 'attention'"):
            ops.complete("attention", {"heads": value})

    def test_names_unknown_operator(self) -> None:
        with pytest.raises(RegistryError, match="Did you mean 'attention'"):
            ops.complete("atention", {})


def test_choice_refuses_a_default_that_is_no_value() -> None:
    with pytest.raises(ValueError, match="default 5 is not among"):
        ops.Choice(1, 2, default=5)


def test_plug_in_operator_is_found_and_removed() -> None:
    @ops.register("shift")
    class Shift(ops.Operator):
        choices = {"distance": ops.Choice(1, 2, 30)}

        def __init__(self, width: int, *, distance: int) -> None:
            super().__init__(width)
            self.distance = distance

        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            shifted = torch.nn.functional.pad(hidden, (0, 0, self.distance, 0))
            return shifted[:, : hidden.shape[1]]

    try:
        assert ops.get("shift") is Shift
        suite = OperatorConformance()
        suite.name = "shift"  # type: ignore[misc]
        suite.test_keeps_shape()
        suite.test_padding_changes_nothing()
        space = SearchSpace(operators=["shift"], nodes=(1, 2))
        assert space.sample(seed=0).nodes[0].parameters["distance"] in (1, 2, 30)
    finally:
        ops.registry.unregister("shift")
    assert "shift" not in ops.names()


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


def test_registry_refuses_what_is_no_operator() -> None:
    with pytest.raises(RegistryError, match=r"expected a subclass of rosearch\.Operator"):
        ops.register("number")(int)
