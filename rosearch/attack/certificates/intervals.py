"""Interval arithmetic through PyTorch code: what a network may compute from intervals of inputs.

Interval bound propagation (Gowal et al. 2018; for texts Jia et al. 2019 and Huang et al. 2019):
called with an :class:`Interval` instead of a tensor, the functions of torch that have a rule in
``interval_rules.py`` return intervals that hold every result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch


class NoRuleError(AttributeError):
    """There is no rule for a function of torch, or not for how it was called."""


Rule = TypeVar("Rule", bound=Callable[..., Any])
_rules: dict[str, Callable[..., Any]] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of the functions and methods of torch that have these names.

    It gets their arguments, of which at least one is an :class:`Interval` or holds some.
    """

    def register(function: Rule) -> Rule:
        _rules.update(dict.fromkeys(names, function))
        return function

    return register


class Interval:
    """Two tensors of one shape, float64, between which every element of another lies.

    It stands for a tensor in calls of torch.

    Args:
        low: Lower ends.
        high: Upper ends.
    """

    def __init__(self, low: torch.Tensor, high: torch.Tensor) -> None:
        self.low = low.double()
        self.high = high.double()

    @classmethod
    def of(cls, value: Any) -> Interval:
        """Return an interval, or a tensor or number as one that holds nothing else."""
        if isinstance(value, Interval):
            return value
        point = torch.as_tensor(value).double()
        return cls(point, point)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name: str = function.__name__
        if name.startswith("__") and name.endswith("__"):
            name = name[2:-2]
        return _called(name, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name not in _rules:
            raise NoRuleError(f"torch's {name} has no rule for intervals")
        return lambda *args, **kwargs: _called(name, self, *args, **kwargs)

    @property
    def shape(self) -> torch.Size:
        """That of each end."""
        return self.low.shape

    @property
    def dtype(self) -> torch.dtype:
        """``torch.float64``."""
        return self.low.dtype

    @property
    def device(self) -> torch.device:
        """That of each end."""
        return self.low.device

    @property
    def is_cuda(self) -> bool:
        """Whether it is on a GPU of Nvidia's or AMD's."""
        return self.low.is_cuda

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.low.ndim

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.low.ndim

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one of its numbers."""
        return self.shape if dim is None else self.shape[dim]

    def new_zeros(self, *shape: int) -> torch.Tensor:
        """Return zeros, float64."""
        return self.low.new_zeros(*shape)

    def __getitem__(self, key: Any) -> Any:
        return Interval(self.low[key], self.high[key])

    def __neg__(self) -> Any:
        return _called("neg", self)

    def __add__(self, other: Any) -> Any:
        return _called("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _called("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _called("rsub", self, other)

    def __mul__(self, other: Any) -> Any:
        return _called("mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return _called("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _called("div", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _called("matmul", self, other)


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise NoRuleError(f"Python's {name} has no rule for intervals")

    return refuse


# Else Python would compare and branch by identity, or count in a loop without an end.
for _name in (
    "bool eq ne lt le gt ge float int len iter setitem pow rpow abs mod floordiv "
    "iadd isub imul itruediv"
).split():
    setattr(Interval, f"__{_name}__", _refusing(_name))


def _called(name: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a rule; in-place functions, whose names end in ``_``, have none."""
    if name not in _rules:
        raise NoRuleError(f"torch's {name} has no rule for intervals")
    try:
        return _rules[name](*args, **kwargs)
    except TypeError as error:
        raise NoRuleError(f"torch's {name} has no rule for these arguments: {error}") from error
