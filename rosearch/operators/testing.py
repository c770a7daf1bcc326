"""Tests that every operator must pass, for plug-in authors to run on their own.

After ``optuna.testing``: subclass :class:`OperatorConformance` in a pytest module and name the
operator::

    from rosearch.testing import OperatorConformance

    class TestShift(OperatorConformance):
        name = "shift"
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save

from rosearch.operators.base import Operator, complete, registry
from rosearch.operators.cost import cost, counted_flops


class OperatorConformance:
    """Shapes, masks, reach, gradients, determinism, cost, files and bfloat16 of one registered
    operator.
    """

    name: ClassVar[str]
    """The operator's registered name."""

    widths: ClassVar[tuple[int, ...]] = (16, 24)
    """Channels to test with; those that the operator refuses are left out."""

    bfloat16_tolerance: ClassVar[float] = 0.03
    """How far outputs and gradients in bfloat16 may be from those in float32, root mean square
    over root mean square; bfloat16 has a relative precision of 0.004."""

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of the operator's choices."""
        choices = registry.get(self.name).choices
        for values in itertools.product(*(choice.values for choice in choices.values())):
            yield dict(zip(choices, values, strict=True))

    def fitting(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every combination of width and choices that the operator accepts."""
        cls = registry.get(self.name)
        for width, parameters in itertools.product(self.widths, self.settings()):
            if cls.complaint(width, parameters) is None:
                yield width, parameters

    def make(self, width: int, parameters: dict[str, Any], *, seed: int = 0) -> Operator:
        """An operator in eval mode, its weights drawn from the seed."""
        torch.manual_seed(seed)
        operator: Operator = registry.get(self.name)(width, **parameters)
        return operator.eval()

    def instances(self) -> Iterator[Operator]:
        """An operator in eval mode for every fitting combination of width and choices."""
        for width, parameters in self.fitting():
            yield self.make(width, parameters)

    def test_defaults_fit(self) -> None:
        """The default values make an operator at some width."""
        cls, defaults = registry.get(self.name), complete(self.name, {})
        assert any(cls.complaint(width, defaults) is None for width in self.widths)

    def test_keeps_shape(self) -> None:
        """Output has the input's shape and holds finite values, also for a single token."""
        for operator, length in itertools.product(self.instances(), (1, 2, 9)):
            hidden = torch.randn(3, length, operator.width)
            out = operator(hidden, torch.ones(3, length, dtype=torch.bool))
            assert out.shape == hidden.shape
            assert torch.isfinite(out).all()

    def test_padding_changes_nothing(self) -> None:
        """Rows give the same values alone and padded, before or behind, with any filling."""
        for operator in self.instances():
            hidden = torch.randn(1, 5, operator.width)
            alone = operator(hidden, torch.ones(1, 5, dtype=torch.bool))
            for before, behind in ((0, 1), (0, 4), (3, 0)):
                length = before + 5 + behind
                padded = torch.full((1, length, operator.width), 1e4)
                padded[:, before : before + 5] = hidden
                mask = torch.zeros(1, length, dtype=torch.bool)
                mask[:, before : before + 5] = True
                out = operator(padded, mask)[:, before : before + 5]
                torch.testing.assert_close(out, alone, rtol=1e-4, atol=1e-5)

    def test_texts_do_not_mix(self) -> None:
        """A text's result does not depend on what else is in the batch."""
        for operator in self.instances():
            hidden = torch.randn(3, 6, operator.width)
            mask = torch.ones(3, 6, dtype=torch.bool)
            together = operator(hidden, mask)
            for row in range(3):
                alone = operator(hidden[row : row + 1], mask[row : row + 1])
                torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)

    def test_gradients_reach_everything(self) -> None:
        """Parameters get gradients, finite and not all zero; real tokens do, and padding none."""
        for operator in self.instances():
            hidden = torch.randn(2, 6, operator.width, requires_grad=True)
            mask = torch.ones(2, 6, dtype=torch.bool)
            mask[1, 4:] = False
            weights = torch.randn(2, 6, operator.width) * mask.unsqueeze(-1)
            (operator(hidden, mask) * weights).sum().backward()
            assert hidden.grad is not None
            assert torch.isfinite(hidden.grad).all()
            assert hidden.grad[1, 4:].abs().max() == 0
            # Most tokens, though not each of their channels: a maximum takes one of several, and a
            # shift drops the last.
            reached = (hidden.grad.abs().sum(dim=-1) > 0)[mask].float().mean()
            assert reached > 0.5, f"gradients reach {reached:.0%} of the real tokens"
            for label, parameter in operator.named_parameters():
                assert parameter.grad is not None, label
                assert torch.isfinite(parameter.grad).all(), label
                assert (parameter.grad != 0).any(), label

    def test_same_input_same_output(self) -> None:
        """In eval mode an operator is a function."""
        for operator in self.instances():
            hidden = torch.randn(2, 5, operator.width)
            mask = torch.ones(2, 5, dtype=torch.bool)
            assert torch.equal(operator(hidden, mask), operator(hidden, mask))

    def test_full_rows_are_computed_as_padded_ones(self) -> None:
        """What is skipped where a batch has no padding makes no difference to its result."""
        for operator in self.instances():
            hidden = torch.randn(3, 6, operator.width)
            full = operator(hidden, torch.ones(3, 6, dtype=torch.bool))
            for before, behind in ((0, 3), (2, 0)):
                padded = torch.nn.functional.pad(hidden, (0, 0, before, behind))
                mask = torch.nn.functional.pad(torch.ones(3, 6, dtype=torch.bool), (before, behind))
                out = operator(padded, mask)[:, before : before + 6]
                torch.testing.assert_close(out, full, rtol=1e-4, atol=1e-5)

    def test_reach(self) -> None:
        """Tokens farther away than ``reach`` change nothing; those just as far away do."""
        for width, parameters in self.fitting():
            reach = registry.get(self.name).reach(parameters)
            assert reach >= 0
            if math.isinf(reach):
                continue
            assert reach == int(reach), "a finite reach is a whole number of tokens"
            operator, centre = self.make(width, parameters), int(reach) + 2
            hidden = torch.randn(8, 2 * centre + 1, width, requires_grad=True)
            mask = torch.ones(8, 2 * centre + 1, dtype=torch.bool)
            out = operator(hidden, mask)[:, centre]
            (gradient,) = torch.autograd.grad(out, hidden, torch.randn_like(out))
            seen = gradient.abs().sum(dim=(0, 2)) > 0
            assert seen[centre - int(reach)] or seen[centre + int(reach)], "reach is not reached"
            # By changing tokens too, because not every dependence has a gradient.
            far = (torch.arange(2 * centre + 1) - centre).abs() > reach
            assert not seen[far].any(), "an output depends on tokens beyond reach"
            changed = torch.where(far[:, None], torch.randn_like(hidden), hidden)
            again = operator(changed, mask)[:, centre]
            torch.testing.assert_close(again, out, rtol=1e-4, atol=1e-5)

    def test_cost(self) -> None:
        """:func:`rosearch.operators.cost` tells the parameters, and the FLOPs that torch counts."""
        for width, parameters in self.fitting():
            # In float64, which has no fused recurrence that the counter would not see into.
            operator, length = self.make(width, parameters).double(), 5
            expected = cost(self.name, width, length=length, **parameters)
            assert expected.parameters == sum(p.numel() for p in operator.parameters())
            hidden = torch.randn(1, length, width, dtype=torch.float64)
            mask = torch.ones(1, length, dtype=torch.bool)
            counted = counted_flops(partial(operator, hidden, mask))
            assert expected.flops_per_token * length == counted

    def test_saves_and_loads(self) -> None:
        """A safetensors file of the weights is all that it takes to compute the same."""
        for width, parameters in self.fitting():
            operator, other = (self.make(width, parameters, seed=seed) for seed in (0, 1))
            other.load_state_dict(load(save(operator.state_dict())))
            hidden = torch.randn(2, 5, width)
            mask = torch.ones(2, 5, dtype=torch.bool)
            assert torch.equal(other(hidden, mask), operator(hidden, mask))

    def test_bfloat16(self) -> None:
        """In bfloat16 outputs and gradients are finite and near those in float32."""
        for width, parameters in self.fitting():
            narrow = self.make(width, parameters).bfloat16()
            # The same rounded weights and inputs: only the arithmetic differs.
            exact = self.make(width, parameters)
            exact.load_state_dict(narrow.state_dict())
            hidden = torch.randn(2, 9, width).bfloat16()
            mask = torch.ones(2, 9, dtype=torch.bool)
            mask[1, 6:] = False
            weights = torch.randn(2, 9, width) * mask.unsqueeze(-1)
            results = []
            for operator, dtype in ((narrow, torch.bfloat16), (exact, torch.float32)):
                given = hidden.to(dtype, copy=True).requires_grad_()
                out = operator(given, mask)
                assert out.dtype == dtype
                (out * weights.to(dtype)).sum().backward()
                assert given.grad is not None
                gradients = [given.grad, *(p.grad for p in operator.parameters())]
                results.append([out.detach(), *(g for g in gradients if g is not None)])
            for ours, theirs in zip(*results, strict=True):
                assert torch.isfinite(ours).all()
                error = (ours.float() - theirs).square().mean().sqrt()
                # Beside sums that cancel, what counts is the size of what was summed.
                size = theirs.square().mean().sqrt() + 1e-3
                assert error <= self.bfloat16_tolerance * size, f"off by {error / size:.3f}"

    def test_exports(self) -> None:
        """With default values it is one graph for any batch and length, with the same results."""
        parameters = complete(self.name, {})
        width = next(w for w, p in self.fitting() if p == parameters)
        operator = self.make(width, parameters)

        def batch(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
            lengths = torch.linspace(length, 1, rows).long()
            mask = torch.arange(length) < lengths[:, None]
            return torch.randn(rows, length, width), mask

        open_sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
        program = torch.export.export(
            operator, batch(3, 7), dynamic_shapes=(open_sizes, open_sizes), strict=False
        )
        hidden, mask = batch(5, 40)
        torch.testing.assert_close(
            program.module()(hidden, mask), operator(hidden, mask), rtol=1e-4, atol=1e-5
        )
