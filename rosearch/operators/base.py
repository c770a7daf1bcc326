"""The base classes of what a genome's parts compute, and the registry of their names."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import nn

from rosearch.errors import GenomeError
from rosearch.registry import Registry

Value = int | float | bool | str
"""What a parameter of an operator can be: a plain value that JSON holds."""


@dataclass(frozen=True)
class Choice:
    """The values that the search may give to one parameter of an operator.

    Args:
        values: All of them, in a meaningful order where there is one.
        default: What a node gets that does not name the parameter; the first value if omitted.
    """

    values: tuple[Value, ...]
    default: Value

    def __init__(self, *values: Value, default: Value | None = None) -> None:
        if not values:
            raise ValueError("A Choice needs at least one value.")
        default = values[0] if default is None else default
        if default not in values:
            raise ValueError(f"The default {default!r} is not among the values {values}.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "default", default)


def tracing() -> bool:
    """Whether torch records a graph (compiling, exporting or tracing), in which Python decisions
    about values and lengths would be frozen.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return traced or torch.compiler.is_compiling()


def unpadded(mask: torch.Tensor) -> bool:
    """Whether a batch is known to hold no padding, so that masking can be left out.

    Asked on a CPU in eager mode only, where it costs microseconds and saves a tenth of a forward
    pass. On a GPU the answer would make the host wait, and in a traced graph it would be frozen.

    Args:
        mask: bool ``(batch, length)``, true at real tokens.
    """
    if tracing():
        return False
    return mask.device.type == "cpu" and bool(mask.all())


def blank(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Zero at padding.

    By a product, which takes a tenth of ``masked_fill``'s time on a CPU; so what stands at
    padding has to be finite, as the hidden states of a student are.

    Args:
        hidden: ``(batch, length, ...)``.
        mask: bool ``(batch, length)``, true at real tokens.
    """
    return hidden * mask.view(*mask.shape, *[1] * (hidden.dim() - 2))


class Searchable(nn.Module, ABC):
    """What operators of both kinds say to the search; subclass :class:`Operator` or
    :class:`~rosearch.operators.inputs.base.EmbeddingOperator`.
    """

    choices: ClassVar[Mapping[str, Choice]] = {}
    """Parameter name to the values that the search may give it; all are keyword arguments of
    ``__init__``."""

    family: ClassVar[str] = "other"
    """What kind of computation this is, for statistics: ``"attention"``, ``"convolution"``,
    ``"recurrence"``, ``"feed-forward"``, ``"mixing"``, ``"pooling"``, ``"embedding"`` or a word of
    your own."""

    source: ClassVar[str] = ""
    """The paper or library that it follows, for tables."""

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        """Why these values do not fit together, or ``None``.

        Override it for conditions between width and parameters, such as heads that must
        divide the width. Each value is already known to be one of its choices.
        """
        return None


class Operator(Searchable):
    """What a node computes, from ``(batch, length, width)`` to the same shape.

    Authors write ``__init__`` (layers) and :meth:`compute`, and name what can be searched in
    ``choices``::

        @rosearch.operators.register("shift")
        class Shift(rosearch.Operator):
            '''Each token sees the one ``distance`` before it.'''

            choices = {"distance": Choice(1, 2, 3)}

            def __init__(self, width, *, distance):
                super().__init__(width)
                self.distance = distance

            def compute(self, hidden, mask):
                shifted = torch.nn.functional.pad(hidden, (0, 0, self.distance, 0))
                return shifted[:, : hidden.shape[1]]

    :class:`rosearch.testing.OperatorConformance` holds the tests that every operator
    must pass, for authors to run on their own.

    Args:
        width: Channels of input and output.
    """

    mixes_tokens: ClassVar[bool] = True
    """False for an operator that treats every token by itself, so that padding needs no care."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def reset_parameters(self) -> None:
        """Set what the operator's own parameters start from; by default there is nothing.

        Layers inside start by their own rules: a student initialises those first and calls this
        afterwards. Override it for plain ``nn.Parameter``, call it at the end of ``__init__``, and
        write values with ``torch.nn.init`` only, which leaves loaded weights alone.
        """

    @abstractmethod
    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Transform ``hidden``; no value at a padded position may reach a real one.

        Args:
            hidden: ``(batch, length, width)``; zero wherever ``mask`` is false, unless
                :attr:`mixes_tokens` is false.
            mask: bool ``(batch, length)``, true at real tokens. The real tokens of a row are
                one stretch, with padding after it (or before it).

        Returns:
            ``(batch, length, width)``; what it holds at padded positions does not matter, as long
            as it is finite.
        """

    # nn.Module declares forward as an attribute, which mypy lets nothing make final.
    @final  # type: ignore[misc]
    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Zero the padding, :meth:`compute`, and zero the padding of the result.

        The second time is for training: a huge value that an operator leaves at a padded position
        counts in no answer, but gives NaN in the backward pass of the norm that follows.
        """
        if not self.mixes_tokens or unpadded(mask):
            return self.compute(hidden, mask)
        return blank(self.compute(blank(hidden, mask), mask), mask)

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        """How many tokens to either side an output may depend on; ``math.inf`` for the whole text.

        Override it: the default claims the most, and the receptive field of a student follows
        from it.
        """
        return math.inf


class LinearEnding(Operator):
    """An operator that ends in a linear map of each token.

    Authors write :meth:`before_last` instead of :meth:`compute`, and name the map in ``last``.
    A mean over tokens commutes with a linear map, so a student that pools such a node applies the
    map to one vector a text instead of one a token, see :meth:`pooled`.

    Args:
        width: Channels of input and output.
    """

    last: ClassVar[str]
    """Attribute that holds the ``torch.nn.Linear``."""

    @abstractmethod
    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the last map reads, ``(batch, length, any number of channels)``.

        Args:
            hidden: As for :meth:`compute`.
            mask: As for :meth:`compute`.
        """

    @final
    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = getattr(self, self.last)(self.before_last(hidden, mask))
        return out

    def pooled(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        pool: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """``pool(self(hidden, mask), mask)``, pooled before the last map.

        Args:
            hidden: ``(batch, length, width)``.
            mask: bool ``(batch, length)``, true at real tokens.
            pool: Weighs the tokens of a text with weights that sum to one and do not depend on
                their values, such as the mean.

        Returns:
            ``(batch, width)``.
        """
        if self.mixes_tokens and not unpadded(mask):
            hidden = blank(hidden, mask)
        out: torch.Tensor = getattr(self, self.last)(pool(self.before_last(hidden, mask), mask))
        return out


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Searchable)):
        return (
            "expected a subclass of rosearch.Operator, or of rosearch.operators.EmbeddingOperator."
        )
    return None


registry: Registry[type[Any]] = Registry("operator", group="rosearch.operators", check=_check)


def names(kind: type[Searchable] = Operator) -> tuple[str, ...]:
    """Registered names, sorted.

    Args:
        kind: :class:`Operator` for what nodes compute, ``EmbeddingOperator`` for inputs.
    """
    return tuple(name for name in registry.names() if issubclass(registry.get(name), kind))


def require(name: str, kind: type[Searchable]) -> type[Any]:
    """The registered class of that name and kind.

    Raises:
        RegistryError: Nothing has that name.
        GenomeError: What has that name is of the other kind.
    """
    found = registry.get(name, among=lambda: names(kind))
    if not issubclass(found, kind):
        other = "Operator" if issubclass(found, Operator) else "EmbeddingOperator"
        raise GenomeError(
            f"{name!r} is no {kind.__name__} but an {other}; choose one of "
            f"{', '.join(names(kind))}."
        )
    return found


def complete(name: str, parameters: Mapping[str, Any]) -> dict[str, Value]:
    """``parameters`` with the operator's defaults filled in.

    Raises:
        RegistryError: No operator has that name.
        GenomeError: A parameter is unknown, or its value is no choice of the operator.
    """
    choices = registry.get(name).choices
    for key, value in parameters.items():
        if key not in choices:
            known = ", ".join(choices) or "none"
            raise GenomeError(f"The operator {name!r} has no parameter {key!r}; known: {known}.")
        # 1 == True == 1.0 in Python; a genome's JSON must not depend on which was written.
        allowed = choices[key].values
        if not any(type(value) is type(v) and value == v for v in allowed):
            raise GenomeError(
                f"{key}={value!r} is no choice of the operator {name!r}; choose one of "
                f"{', '.join(map(repr, allowed))}."
            )
    return {key: parameters.get(key, choice.default) for key, choice in choices.items()}
