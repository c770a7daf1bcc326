"""Tests that every operator must pass, for plug-in authors to run on their own.

After ``optuna.testing``: subclass :class:`OperatorConformance` in a pytest module and name the
operator::

    from rosearch.testing import OperatorConformance

    class TestShift(OperatorConformance):
        name = "shift"
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import torch

from rosearch.operators.base import Operator, complete, registry


class OperatorConformance:
    """Shapes, masks, gradients and determinism of one registered operator."""

    name: ClassVar[str]
    """The operator's registered name."""

    widths: ClassVar[tuple[int, ...]] = (16, 24)

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of the operator's choices."""
        choices = registry.get(self.name).choices
        for values in itertools.product(*(choice.values for choice in choices.values())):
            yield dict(zip(choices, values, strict=True))

    def instances(self) -> Iterator[Operator]:
        """An evaluated instance for every fitting combination of choices and width."""
        cls = registry.get(self.name)
        for width, parameters in itertools.product(self.widths, self.settings()):
            if cls.complaint(width, parameters) is None:
                torch.manual_seed(0)
                yield cls(width, **parameters).eval()

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
            # Each token, though not each of its channels: a maximum takes one of several.
            assert (hidden.grad.abs().sum(dim=-1) > 0)[mask].all()
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
