"""Base classes of operators, and the registry of their names."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import torch
from torch import nn

from rosearch.errors import GenomeError
from rosearch.parameters import Choice, Value
from rosearch.parameters import complete as complete_parameters
from rosearch.registry import Registry


def tracing() -> bool:
    """Return whether torch is recording a graph by compiling, exporting or tracing.

    Python branches on values and lengths would be frozen in such a graph.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return traced or torch.compiler.is_compiling()


def exporting() -> bool:
    """Return whether torch is recording a graph for another runtime."""
    # torch below 2.7 does not tell exporting from compiling.
    found: bool = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)()
    return found


def unpadded(mask: torch.Tensor) -> bool:
    """Return whether a batch is known to contain no padding, so that masking can be skipped.

    Always false on a GPU, where reading the mask would make the host wait, and in a traced graph,
    where the result would be frozen. On a CPU it saves a tenth of a forward pass.

    Args:
        mask: bool ``(batch, length)``, true at real tokens.
    """
    if tracing():
        return False
    return mask.device.type == "cpu" and bool(mask.all())


def blank(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Set padded positions to zero.

    By a product, which takes a tenth of ``masked_fill``'s time on a CPU; values at padded positions
    must be finite, as the hidden states of a student are.

    Args:
        hidden: ``(batch, length, ...)``.
        mask: bool ``(batch, length)``, true at real tokens.
    """
    return hidden * mask.view(*mask.shape, *[1] * (hidden.dim() - 2))


class Searchable(nn.Module, ABC):
    """Attributes of all operators that the search reads.

    Subclass :class:`Operator` or :class:`~rosearch.operators.inputs.base.EmbeddingOperator`
    instead.
    """

    choices: ClassVar[Mapping[str, Choice]] = {}
    """Values that the search may choose, by parameter; parameters are keyword arguments of
    ``__init__``."""

    family: ClassVar[str] = "other"
    """Kind of computation, for statistics: ``"attention"``, ``"convolution"``, ``"recurrence"``,
    ``"feed-forward"``, ``"mixing"``, ``"pooling"``, ``"embedding"`` or a word of your own."""

    source: ClassVar[str] = ""
    """Paper or library that the operator follows, for tables."""

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        """Return why width and parameters do not fit together, or ``None`` if they do.

        Override it for conditions such as heads that must divide the width. Each value is already
        known to be one of its choices.
        """
        return None


class Operator(Searchable):
    """The operator of a node, from ``(batch, length, width)`` to the same shape.

    Implement ``__init__`` (layers) and :meth:`compute`, and list the parameters that can be
    searched in ``choices``::

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

    :class:`rosearch.testing.OperatorConformance` holds the tests that every operator must pass.

    Args:
        width: Channels of input and output.
    """

    mixes_tokens: ClassVar[bool] = True
    """False if each token is computed on its own, so that padding needs no masking."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def reset_parameters(self) -> None:
        """Initialize the operator's own ``nn.Parameter`` objects; the default does nothing.

        Layers such as ``nn.Linear`` are initialized by the student, which calls this afterwards.
        An override should be called at the end of ``__init__`` and use ``torch.nn.init`` only,
        which leaves loaded weights alone.
        """

    @abstractmethod
    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Transform ``hidden`` so that outputs at real tokens do not depend on padded positions.

        Args:
            hidden: ``(batch, length, width)``; zero wherever ``mask`` is false, unless
                :attr:`mixes_tokens` is false.
            mask: bool ``(batch, length)``, true at real tokens. The real tokens of a row, at least
                one, are contiguous, with padding after (or before) them.

        Returns:
            ``(batch, length, width)``, finite and otherwise arbitrary at padded positions.
        """

    # nn.Module declares forward as an attribute, which mypy lets nothing make final.
    @final  # type: ignore[misc]
    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Zero the padding, :meth:`compute`, and zero the padding of the result.

        The result is zeroed for training: a huge value at a padded position affects no output, but
        gives NaN in the backward pass of the norm that follows.
        """
        if not self.mixes_tokens or unpadded(mask):
            return self.compute(hidden, mask)
        return blank(self.compute(blank(hidden, mask), mask), mask)

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        """Return how many tokens to either side an output depends on; ``math.inf``: all of them.

        The receptive field of a student is computed from it. The default is ``math.inf``, or 0 if
        :attr:`mixes_tokens` is false.
        """
        return math.inf if cls.mixes_tokens else 0.0


class LinearEnding(Operator):
    """An operator that ends in a linear map of each token.

    Implement :meth:`before_last` instead of :meth:`compute`, and name the map in ``last``. The mean
    over tokens commutes with a linear map, so a student that pools such a node applies the map once
    a text instead of once a token, see :meth:`pooled`.

    Args:
        width: Channels of input and output.
    """

    last: ClassVar[str]
    """Name of the attribute with the ``torch.nn.Linear``."""

    @abstractmethod
    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the input of the last map, ``(batch, length, any number of channels)``.

        The arguments are those of :meth:`compute`.
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
        """Compute ``pool(self(hidden, mask), mask)``, pooling before the last map.

        Args:
            hidden: ``(batch, length, width)``.
            mask: bool ``(batch, length)``, true at real tokens.
            pool: Weighted mean over the tokens of a text, with weights that do not depend on
                their values.

        Returns:
            ``(batch, width)``.
        """
        if self.mixes_tokens and not unpadded(mask):
            hidden = blank(hidden, mask)
        out: torch.Tensor = getattr(self, self.last)(pool(self.before_last(hidden, mask), mask))
        return out


def _check(item: object) -> str | None:
    if isinstance(item, type) and issubclass(item, Searchable):
        return None
    return "expected a subclass of rosearch.Operator or rosearch.EmbeddingOperator."


registry: Registry[type[Any]] = Registry("operator", group="rosearch.operators", check=_check)


def names(kind: type[Searchable] = Operator) -> tuple[str, ...]:
    """Return the registered names, sorted.

    Args:
        kind: :class:`Operator` for operators of nodes, ``EmbeddingOperator`` for inputs.
    """
    return tuple(name for name in registry.names() if issubclass(registry.get(name), kind))


def require(name: str, kind: type[Searchable]) -> type[Any]:
    """Return the class registered under ``name``.

    Raises:
        RegistryError: The name is unknown.
        GenomeError: The class is not a subclass of ``kind``.
    """
    found = registry.get(name, among=lambda: names(kind))
    if not issubclass(found, kind):
        allowed = ", ".join(names(kind))
        raise GenomeError(f"{name!r} is not an {kind.__name__}; choose one of {allowed}.")
    return found


def complete(name: str, parameters: Mapping[str, Any]) -> dict[str, Value]:
    """Return ``parameters`` with the operator's defaults filled in.

    Raises:
        RegistryError: The operator is unknown.
        GenomeError: A parameter is unknown, or its value is not among the operator's choices.
    """
    return complete_parameters(f"the operator {name!r}", registry.get(name).choices, parameters)
