"""The base class of losses, and the registry of their names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from rosearch.registry import Registry

KINDS = ("logits", "pooled", "hidden_states", "values")
"""What a loss can ask of teacher and student."""


@dataclass(frozen=True)
class Outputs:
    """What one side says about a batch; only what was asked for is there."""

    logits: torch.Tensor | None = None
    """``(batch, classes)``."""

    pooled: torch.Tensor | None = None
    """``(batch, width)``: one vector a text. The student's is what its classifier normalises and
    reads; the teacher's is its last hidden state at the classification token, or at the last token
    where texts do not begin with one."""

    hidden_states: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Layer or node number to ``(batch, length, width)``; 0 is the embedding."""

    values: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Layer or node number to the values of its attention, all heads side by side,
    ``(batch, length, width)``."""


@dataclass(frozen=True)
class TeacherShape:
    """The sizes of a teacher."""

    layers: int
    """Layers above the embedding; hidden states are numbered from 0 to this."""

    width: int
    """Channels of a hidden state."""

    heads: int
    """Attention heads of a layer."""


@dataclass(frozen=True)
class StudentShape:
    """The sizes of a student."""

    width: int
    """Channels of a hidden state."""

    depths: tuple[int, ...]
    """Longest path from the embedding to each hidden state: the embedding's 0, then one a node in
    the order of the student's modules."""

    attention: tuple[int, ...] = ()
    """Numbers, from 1, of the nodes that are self-attention."""


class DistillationLoss(nn.Module, ABC):
    """One thing that a student is trained to match.

    Authors write :meth:`forward`, name what it reads in ``needs``, and register the class::

        @rosearch.distillation_losses.register("logit_error")
        class LogitError(rosearch.DistillationLoss):
            '''Mean squared difference of the logits.'''

            needs = ("logits",)

            def forward(self, student, teacher, *, mask, labels):
                return torch.nn.functional.mse_loss(student.logits, teacher.logits)

    Settings are keyword arguments of ``__init__`` after the two shapes, plain values that JSON
    holds. An instance belongs to one student. Its parameters (projections) are trained beside the
    student's and thrown away afterwards.

    Args:
        teacher: The teacher's sizes.
        student: The student's.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Of :data:`KINDS`, what is read of the teacher and, the same, of the student. The student's
    logits are there in any case."""

    needs_labels: ClassVar[bool] = False
    """Whether the true labels are read."""

    def __init__(self, teacher: TeacherShape, student: StudentShape) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = student

    @classmethod
    def teacher_layers(cls, teacher: TeacherShape, **settings: Any) -> tuple[int, ...]:
        """The teacher's layers whose hidden states or values are read, by any student.

        They are computed once for all students, so they depend on nothing of a student. Override
        it in losses that need ``hidden_states`` or ``values``.

        Args:
            teacher: The teacher's sizes.
            settings: As for ``__init__``.

        Raises:
            ValueError: The teacher has no such layer.
        """
        return ()

    def student_layers(self) -> tuple[int, ...]:
        """The student's hidden states (0 is the embedding) or attention nodes that are read."""
        return ()

    @abstractmethod
    def forward(
        self,
        student: Outputs,
        teacher: Outputs,
        *,
        mask: torch.Tensor,
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        """The batch's mean loss, a scalar.

        Args:
            student: What the student says.
            teacher: What the teacher said; without gradient.
            mask: bool ``(batch, length)``, true at real tokens.
            labels: int64 ``(batch,)``, where ``needs_labels`` is set.
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
