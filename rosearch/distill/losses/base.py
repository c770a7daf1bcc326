"""The base class of losses, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from rosearch.registry import Registry

KINDS = ("logits", "pooled", "hidden_states", "values")
"""Outputs of teacher and student that a loss can read."""


@dataclass(frozen=True)
class Outputs:
    """The outputs of teacher or student for a batch; only those that losses read are set."""

    logits: torch.Tensor | None = None
    """``(batch, classes)``."""

    pooled: torch.Tensor | None = None
    """``(batch, width)``, one vector per text. The student's is the input of its classifier, before
    normalisation; the teacher's is its last hidden state at the classification token, or at the
    last token if texts do not begin with one."""

    hidden_states: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Layer or node number to ``(batch, length, width)``; 0 is the embedding."""

    values: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Layer or node number to its attention values, all heads concatenated,
    ``(batch, length, width)``."""


@dataclass(frozen=True)
class Wanted:
    """Which outputs of a teacher to compute or read."""

    logits: bool = True
    """The logits of every text; always stored in float32."""

    pooled: bool = False
    """The last hidden state of every text, at the classification token if the text begins with
    it, else at the last token, where causal models and XLNet classify."""

    hidden_states: tuple[int, ...] = ()
    """Layers whose hidden states are wanted, for every token; 0 is the embedding."""

    values: tuple[int, ...] = ()
    """Layers, from 1, whose attention values are wanted, for every token."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs: ``"logits"``, ``"pooled"``, ``"hidden-6"``, ``"values-12"``."""
        return (
            *(("logits",) if self.logits else ()),
            *(("pooled",) if self.pooled else ()),
            *(f"hidden-{layer}" for layer in self.hidden_states),
            *(f"values-{layer}" for layer in self.values),
        )


@dataclass(frozen=True)
class TeacherShape:
    """The sizes of a teacher."""

    layers: int
    """Layers above the embedding; hidden states are numbered from 0 to this."""

    width: int
    """Channels of a hidden state."""

    heads: int
    """Attention heads per layer."""


@dataclass(frozen=True)
class StudentShape:
    """The sizes of a student."""

    width: int
    """Channels of a hidden state."""

    depths: tuple[int, ...]
    """Longest path from the embedding to each hidden state: 0 for the embedding, then one per node
    in the order of the student's modules."""

    attention: tuple[int, ...] = ()
    """Numbers, from 1, of the self-attention nodes."""


class DistillationLoss(nn.Module, ABC):
    """Base class of losses between the outputs of student and teacher.

    Subclasses define :meth:`forward`, list the outputs that it reads in ``needs``, and are
    registered::

        @rosearch.distillation_losses.register("logit_error")
        class LogitError(rosearch.DistillationLoss):
            '''Mean squared difference of the logits.'''

            needs = ("logits",)

            def forward(self, student, teacher, *, mask, labels):
                return torch.nn.functional.mse_loss(student.logits, teacher.logits)

    Settings are keyword arguments of ``__init__`` after the two shapes; they must be JSON values.
    An instance belongs to one student. Its parameters (projections) are trained with the student's
    and discarded afterwards.

    Args:
        teacher: The teacher's sizes.
        student: The student's.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Outputs that are read from both sides, from :data:`KINDS`. The student's logits are always
    available."""

    needs_labels: ClassVar[bool] = False
    """Whether the loss reads true labels."""

    pairs: tuple[tuple[int, int], ...] = ()
    """Pairs to compare: a student's hidden state (0 is the embedding) or attention node, and a
    teacher's layer. Losses that need ``hidden_states`` or ``values`` set it in ``__init__``."""

    def __init__(self, teacher: TeacherShape, student: StudentShape) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = student

    @classmethod
    def teacher_layers(cls, teacher: TeacherShape, **settings: Any) -> tuple[int, ...]:
        """Return the teacher's layers whose hidden states or values are read.

        They are computed once for all students, so they must not depend on the student. Losses
        that need ``hidden_states`` or ``values`` override this method.

        Args:
            teacher: The teacher's sizes.
            settings: The keyword arguments of ``__init__``.

        Raises:
            ValueError: The teacher has no such layer.
        """
        return ()

    @abstractmethod
    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            student: The student's outputs.
            teacher: The teacher's outputs, without gradient.
            mask: bool ``(batch, length)``, true at real tokens.
            labels: int64 ``(batch,)`` if ``needs_labels`` is set.
        """


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, DistillationLoss)):
        return "expected a subclass of rosearch.DistillationLoss."
    unknown = [kind for kind in item.needs if kind not in KINDS]
    if unknown:
        return f"needs names {unknown[0]!r}; known: {', '.join(KINDS)}."
    return None


distillation_losses: Registry[type[DistillationLoss]] = Registry(
    "distillation loss", group="rosearch.distillation_losses", check=_check
)
"""The losses by name; add one with ``@distillation_losses.register("name")``."""
