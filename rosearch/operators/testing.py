"""Tests that every operator must pass, for authors of plug-ins.

Subclass :class:`OperatorConformance` in a pytest module and name the operator::

    from rosearch.testing import OperatorConformance

    class TestShift(OperatorConformance):
        name = "shift"
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Operator, complete, registry
from rosearch.operators.cost import cost, counted_flops

Batch = tuple[torch.Tensor, ...]
"""Arguments of ``forward``."""

close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)


def pad(arguments: Batch, before: int, behind: int, filling: float) -> Batch:
    """Pad a batch.

    Args:
        arguments: Hidden states or ids, mask, and optionally token types.
        before: Padded positions before each row.
        behind: Padded positions behind each row.
        filling: Value of hidden states or ids there.
    """
    values = (filling, False, 0)
    return tuple(
        functional.pad(x, (0, 0) * (x.dim() - 2) + (before, behind), value=value)
        for x, value in zip(arguments, values, strict=False)
    )


def assert_gradients(module: nn.Module) -> None:
    """Assert that each parameter has a finite gradient that is not all zero."""
    for label, parameter in module.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        assert (parameter.grad != 0).any(), label


class ModuleConformance(ABC):
    """Tests that operators of nodes and inputs share."""

    name: ClassVar[str]
    """Registered name of the operator."""

    widths: ClassVar[tuple[int, ...]] = (16, 24)
    """Channels to test with; widths that do not fit the operator are skipped."""

    max_length: ClassVar[int | None] = None
    """Maximum number of tokens, if there is one."""

    fillings: ClassVar[tuple[float, ...]]
    """Values at padded positions."""

    bfloat16_tolerance: ClassVar[float] = 0.03
    """Maximum error of outputs and gradients in bfloat16 against float32, root mean square over
    root mean square; bfloat16 has a relative precision of 0.004."""

    @abstractmethod
    def make(
        self, width: int, parameters: dict[str, Any], *, seed: int = 0, prepared: bool = True
    ) -> nn.Module:
        """Return an operator in eval mode.

        Args:
            width: Channels.
            parameters: Parameters of the operator.
            seed: Seed of the weights.
            prepared: Whether to fill the buffers of an input.
        """

    @abstractmethod
    def batch(self, width: int, rows: int, length: int, *, seed: int = 0) -> Batch:
        """Return random arguments of ``forward`` without padding."""

    def fitting(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield every combination of width and parameters that the operator accepts."""
        cls = registry.get(self.name)
        values = [choice.values for choice in cls.choices.values()]
        for width, *chosen in itertools.product(self.widths, *values):
            parameters = dict(zip(cls.choices, chosen, strict=True))
            if cls.complaint(width, parameters) is None:
                yield width, parameters

    def instances(self) -> Iterator[tuple[int, Any]]:
        """Yield a width and an operator for every combination of :meth:`fitting`."""
        for width, parameters in self.fitting():
            yield width, self.make(width, parameters)

    def test_defaults_fit(self) -> None:
        """The default parameters fit some width."""
        cls, defaults = registry.get(self.name), complete(self.name, {})
        assert any(cls.complaint(width, defaults) is None for width in self.widths)

    def test_output_shape(self) -> None:
        """Outputs are finite, ``(batch, length, width)``, for a single token too."""
        for (width, module), length in itertools.product(self.instances(), (1, 2, 9)):
            out = module(*self.batch(width, 3, length))
            assert out.shape == (3, length, width)
            assert torch.isfinite(out).all()

    def test_padding_changes_nothing(self) -> None:
        """Outputs do not depend on padding, on either side and with any values."""
        for width, module in self.instances():
            given = self.batch(width, 3, 5)
            alone = module(*given)
            sides = ((0, 1), (0, 4), (3, 0))
            for (before, behind), filling in itertools.product(sides, self.fillings):
                out = module(*pad(given, before, behind, filling))
                close(out[:, before : before + 5], alone)

    def test_texts_do_not_mix(self) -> None:
        """The output for a text does not depend on other texts of the batch."""
        for width, module in self.instances():
            given = self.batch(width, 3, 6)
            together = module(*given)
            for row in range(3):
                close(module(*(x[row : row + 1] for x in given)), together[row : row + 1])

    def test_saves_and_loads(self) -> None:
        """A safetensors file of the state dict restores the operator, to the last bit."""
        for width, parameters in self.fitting():
            module = self.make(width, parameters)
            other = self.make(width, parameters, seed=1, prepared=False)
            other.load_state_dict(load(save(module.state_dict())))
            given = self.batch(width, 2, 5)
            assert torch.equal(other(*given), module(*given))

    def test_bfloat16(self) -> None:
        """In bfloat16, outputs and gradients are finite and close to those in float32."""
        for width, parameters in self.fitting():
            narrow = self.make(width, parameters).bfloat16()
            # The same rounded weights and inputs: only the arithmetic differs.
            exact = self.make(width, parameters)
            exact.load_state_dict(narrow.state_dict())
            tokens, mask, *types = self.batch(width, 2, 9)
            mask[1, 6:] = False
            weights = torch.randn(2, 9, width) * mask.unsqueeze(-1)
            results = []
            for module in (narrow, exact):
                dtype = torch.bfloat16 if module is narrow else torch.float32
                given = tokens
                leaves: list[torch.Tensor] = list(module.parameters())
                if tokens.is_floating_point():
                    given = tokens.bfloat16().to(dtype, copy=True).requires_grad_()
                    leaves.append(given)
                out = module(given, mask, *types)
                assert out.dtype == dtype
                gradients = torch.autograd.grad((out * weights.to(dtype)).sum(), leaves)
                results.append([out.detach(), *gradients])
            for ours, theirs in zip(*results, strict=True):
                assert torch.isfinite(ours).all()
                error = (ours.float() - theirs).square().mean().sqrt()
                # Where sums cancel, the error follows from the size of the summands.
                size = theirs.square().mean().sqrt() + 1e-3
                assert error <= self.bfloat16_tolerance * size, f"off by {error / size:.3f}"

    def test_exports(self) -> None:
        """With default parameters, ``torch.export`` gives one graph for any batch and length."""
        parameters = complete(self.name, {})
        width = next(w for w, p in self.fitting() if p == parameters)
        module = self.make(width, parameters)
        sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=self.max_length)}
        given = pad(self.batch(width, 3, 7), 0, 1, 0)
        shapes = (sizes,) * len(given)
        program = torch.export.export(module, given, dynamic_shapes=shapes, strict=False)
        for rows, length in ((3, 8), (5, 21)):
            given = pad(self.batch(width, rows, length, seed=1), 0, 2, 0)
            close(program.module()(*given), module(*given))


class OperatorConformance(ModuleConformance):
    """Shapes, padding, reach, gradients, determinism, cost, files, bfloat16 and export of an
    operator.
    """

    fillings = (0.0, 1e4)

    def make(
        self, width: int, parameters: dict[str, Any], *, seed: int = 0, prepared: bool = True
    ) -> Operator:
        """Return an operator in eval mode."""
        torch.manual_seed(seed)
        operator: Operator = registry.get(self.name)(width, **parameters)
        return operator.eval()

    def batch(self, width: int, rows: int, length: int, *, seed: int = 0) -> Batch:
        """Return random hidden states and a mask."""
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.randn(rows, length, width, generator=generator)
        return hidden, torch.ones(rows, length, dtype=torch.bool)

    def test_gradients_reach_everything(self) -> None:
        """Parameters and most real tokens get finite gradients; padding gets none."""
        for width, operator in self.instances():
            # Several texts, because a unit with a ReLU may be inactive for some.
            hidden, mask = self.batch(width, 6, 6)
            hidden.requires_grad_()
            mask[1, 4:] = False
            weights = torch.randn(6, 6, width) * mask.unsqueeze(-1)
            (operator(hidden, mask) * weights).sum().backward()
            assert hidden.grad is not None
            assert torch.isfinite(hidden.grad).all()
            assert hidden.grad[1, 4:].abs().max() == 0
            # Most tokens, though not each of their channels: a maximum takes one of several, and a
            # shift drops the last.
            reached = (hidden.grad.abs().sum(dim=-1) > 0)[mask].float().mean()
            assert reached > 0.5, f"gradients reach {reached:.0%} of the real tokens"
            assert_gradients(operator)

    def test_reach(self) -> None:
        """Outputs depend on tokens at the distance ``reach``, and on none beyond."""
        for width, parameters in self.fitting():
            reach = registry.get(self.name).reach(parameters)
            assert reach >= 0
            if math.isinf(reach):
                continue
            assert reach == int(reach), "a finite reach is a whole number of tokens"
            operator, centre = self.make(width, parameters), int(reach) + 2
            hidden, mask = self.batch(width, 8, 2 * centre + 1)
            hidden.requires_grad_()
            out = operator(hidden, mask)[:, centre]
            (gradient,) = torch.autograd.grad(out, hidden, torch.randn_like(out))
            seen = gradient.abs().sum(dim=(0, 2)) > 0
            assert seen[centre - int(reach)] or seen[centre + int(reach)], "reach is not reached"
            # By changing tokens too, because not every dependence has a gradient.
            far = (torch.arange(2 * centre + 1) - centre).abs() > reach
            assert not seen[far].any(), "an output depends on tokens beyond reach"
            changed = torch.where(far[:, None], torch.randn_like(hidden), hidden)
            close(operator(changed, mask)[:, centre], out)

    def test_cost(self) -> None:
        """:func:`rosearch.operators.cost` gives the parameters, and the FLOPs that torch counts."""
        for width, parameters in self.fitting():
            # In float64, which has no fused recurrence that the counter would not see into.
            operator, length = self.make(width, parameters).double(), 5
            expected = cost(self.name, width, length=length, **parameters)
            assert expected.parameters == sum(p.numel() for p in operator.parameters())
            hidden, mask = self.batch(width, 1, length)
            counted = counted_flops(partial(operator, hidden.double(), mask))
            assert expected.flops_per_token * length == counted
