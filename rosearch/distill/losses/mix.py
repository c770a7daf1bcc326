"""Several losses with their weights."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rosearch.distill.losses.base import (
    DistillationLoss,
    StudentShape,
    TeacherShape,
    distillation_losses,
)

Losses: TypeAlias = "Mapping[str, float | Mapping[str, Any]]"
"""Name of a loss to its weight, or to ``weight`` and the loss's settings together, as in
``{"soft_labels": 1.0, "hidden_states": {"weight": 0.5, "layers": (6, 12)}}``."""


@dataclass(frozen=True)
class LossMix:
    """Which losses are added up, with which weights and settings.

    The total is the weighted sum as it stands: weights need not add up to 1.
    """

    entries: tuple[tuple[str, float, Mapping[str, Any]], ...]
    """Name, weight above 0, and settings of each loss, sorted by name."""

    teacher: TeacherShape
    """The sizes of the teacher that they are for."""

    @classmethod
    def of(
        cls,
        losses: Losses | None,
        *,
        teacher: TeacherShape,
        temperature: float = 2.0,
        label_weight: float = 0.0,
    ) -> LossMix:
        """Check what a user asks for.

        Args:
            losses: See :data:`Losses`. Default: ``soft_labels`` with the weight
                ``1 - label_weight`` and ``hard_labels`` with the weight ``label_weight``.
            teacher: The teacher's sizes.
            temperature: For every loss that has a setting of that name and is not given one.
            label_weight: 0 to 1; see ``losses``.

        Raises:
            RegistryError: There is no loss of that name.
            ValueError: A weight is negative or not a number, all are 0, a setting is unknown or out
                of range, or both ``losses`` and ``label_weight`` are given.
        """
        if not temperature > 0:
            raise ValueError(f"temperature={temperature!r}: expected a number above 0.")
        if not 0 <= label_weight <= 1:
            raise ValueError(f"label_weight={label_weight!r}: expected a share from 0 to 1.")
        if losses is not None and not isinstance(losses, Mapping):
            raise ValueError(
                f"losses={losses!r}: expected names and weights, such as {{'soft_labels': 1.0}}."
            )
        if losses is None:
            losses = {"soft_labels": 1.0 - label_weight, "hard_labels": label_weight}
        elif label_weight:
            raise ValueError(
                f"label_weight={label_weight!r} is short for losses={{'soft_labels': "
                f"{1 - label_weight:g}, 'hard_labels': {label_weight:g}}}; with losses= name "
                f"'hard_labels' there."
            )
        entries = []
        for name in sorted(losses):
            weight, settings = _entry(name, losses[name], temperature)
            if weight:
                loss = distillation_losses.get(name)
                if set(loss.needs) - {"logits"} and not (teacher.layers and teacher.width):
                    raise ValueError(
                        f"The loss {name!r} reads the teacher's {', '.join(loss.needs)}, and its "
                        f"configuration does not tell its layers and width."
                    )
                loss.teacher_layers(teacher, **settings)
                entries.append((name, weight, settings))
        if not entries:
            raise ValueError(f"losses={dict(losses)!r}: expected at least one weight above 0.")
        return cls(tuple(entries), teacher)

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values, equal for equal mixes."""
        return {name: {"weight": weight, **settings} for name, weight, settings in self.entries}

    @property
    def needs(self) -> frozenset[str]:
        """What is read of the teacher; of :data:`~rosearch.distill.losses.base.KINDS`."""
        return frozenset(kind for cls, _ in self._classes() for kind in cls.needs)

    @property
    def needs_labels(self) -> tuple[str, ...]:
        """The losses that read true labels."""
        names = (name for name, _, _ in self.entries)
        return tuple(name for name in names if distillation_losses.get(name).needs_labels)

    def layers(self, kind: str) -> tuple[int, ...]:
        """The teacher's layers that are read.

        Args:
            kind: ``"hidden_states"`` or ``"values"``.
        """
        named = {
            layer
            for cls, settings in self._classes()
            if kind in cls.needs
            for layer in cls.teacher_layers(self.teacher, **settings)
        }
        return tuple(sorted(named))

    def build(self, student: StudentShape) -> list[DistillationLoss]:
        """New losses for one student, in the order of :attr:`entries`.

        Raises:
            EvaluationError: The student lacks what a loss compares.
        """
        return [cls(self.teacher, student, **settings) for cls, settings in self._classes()]

    def _classes(self) -> list[tuple[type[DistillationLoss], Mapping[str, Any]]]:
        return [(distillation_losses.get(name), settings) for name, _, settings in self.entries]


def _entry(name: str, given: Any, temperature: float) -> tuple[float, dict[str, Any]]:
    cls = distillation_losses.get(name)
    settings = dict(given) if isinstance(given, Mapping) else {"weight": given}
    weight = settings.pop("weight", 1.0)
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:
        raise ValueError(
            f"losses[{name!r}]={given!r}: expected a weight of at least 0, or a mapping with "
            f"'weight' and the loss's settings."
        )
    known = list(inspect.signature(cls).parameters)[2:]
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise ValueError(
            f"The loss {name!r} has no setting {unknown[0]!r}; known: {', '.join(known) or 'none'}."
        )
    if "temperature" in known:
        settings.setdefault("temperature", temperature)
    try:
        # As JSON keeps them, so that settings compare equal after a study was stored.
        plain: dict[str, Any] = json.loads(json.dumps(settings))
    except TypeError as error:
        raise ValueError(
            f"losses[{name!r}]={given!r}: settings are plain values that JSON holds ({error})."
        ) from error
    return float(weight), plain
