"""A weighted sum of losses."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rosearch.checks import number, positive, refused
from rosearch.distill.losses.base import (
    DistillationLoss,
    StudentShape,
    TeacherShape,
    Wanted,
    distillation_losses,
)
from rosearch.errors import ArgumentError

Losses: TypeAlias = "Mapping[str, float | Mapping[str, Any]]"
"""Name of a loss to its weight, or to its ``weight`` and settings, as in
``{"soft_labels": 1.0, "hidden_states": {"weight": 0.5, "layers": (6, 12)}}``."""


@dataclass(frozen=True)
class LossMix:
    """Losses with their weights and settings; the weights need not add up to 1."""

    entries: tuple[tuple[str, float, Mapping[str, Any]], ...]
    """Name, weight above 0, and settings of each loss, sorted by name."""

    teacher: TeacherShape
    """The teacher's sizes."""

    @classmethod
    def of(
        cls,
        losses: Losses | None,
        *,
        teacher: TeacherShape,
        temperature: float = 2.0,
    ) -> LossMix:
        """Validate a user's losses.

        Args:
            losses: See :data:`Losses`. Default: ``soft_labels``.
            teacher: The teacher's sizes.
            temperature: Default for losses that have a setting of that name.

        Raises:
            ArgumentError: A weight is negative or not a number, all weights are 0, or a setting is
                unknown or out of range.
            RegistryError: A loss is not registered.
        """
        positive("temperature", temperature)
        if losses is None:
            losses = {"soft_labels": 1.0}
        if not isinstance(losses, Mapping):
            raise refused("losses", "a mapping of names to weights", losses)
        entries = []
        for name in sorted(losses):
            weight, settings = _entry(name, losses[name], temperature)
            if weight:
                loss = distillation_losses.get(name)
                if set(loss.needs) - {"logits"} and not (teacher.layers and teacher.width):
                    raise ArgumentError(
                        f"The loss {name!r} reads the teacher's {', '.join(loss.needs)}, but its "
                        f"configuration does not state its number of layers and width."
                    )
                loss.teacher_layers(teacher, **settings)
                entries.append((name, weight, settings))
        if not entries:
            raise ArgumentError(f"losses must have a weight above 0, got {dict(losses)!r}.")
        return cls(tuple(entries), teacher)

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values, equal for equal mixes."""
        return {name: {"weight": weight, **settings} for name, weight, settings in self.entries}

    @property
    def needs(self) -> frozenset[str]:
        """Kinds of outputs that are read, from :data:`~rosearch.distill.losses.base.KINDS`."""
        return frozenset(kind for cls, _ in self._classes() for kind in cls.needs)

    @property
    def needs_labels(self) -> tuple[str, ...]:
        """Names of the losses that read true labels."""
        names = (name for name, _, _ in self.entries)
        return tuple(name for name in names if distillation_losses.get(name).needs_labels)

    @property
    def wanted(self) -> Wanted:
        """The teacher outputs that are read, for any student."""
        layers: dict[str, set[int]] = {"hidden_states": set(), "values": set()}
        for cls, settings in self._classes():
            for kind in layers.keys() & set(cls.needs):
                layers[kind].update(cls.teacher_layers(self.teacher, **settings))
        return Wanted(
            logits="logits" in self.needs,
            pooled="pooled" in self.needs,
            hidden_states=tuple(sorted(layers["hidden_states"])),
            values=tuple(sorted(layers["values"])),
        )

    def build(self, student: StudentShape) -> list[DistillationLoss]:
        """Make the losses of one student, in the order of :attr:`entries`.

        Raises:
            EvaluationError: The student lacks what a loss compares.
        """
        return [cls(self.teacher, student, **settings) for cls, settings in self._classes()]

    def _classes(self) -> list[tuple[type[DistillationLoss], Mapping[str, Any]]]:
        return [(distillation_losses.get(name), settings) for name, _, settings in self.entries]


def _entry(name: str, given: Any, temperature: float) -> tuple[float, dict[str, Any]]:
    cls = distillation_losses.get(name)
    settings = dict(given) if isinstance(given, Mapping) else {"weight": given}
    weight = number(f"the weight of the loss {name!r}", settings.pop("weight", 1.0), 0.0)
    known = list(inspect.signature(cls).parameters)[2:]
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise ArgumentError(
            f"The loss {name!r} has no setting {unknown[0]!r}; known: {', '.join(known) or 'none'}."
        )
    if "temperature" in known:
        settings.setdefault("temperature", temperature)
    try:
        # Through JSON, so that settings compare equal after a study was stored and loaded.
        plain: dict[str, Any] = json.loads(json.dumps(settings))
    except TypeError as error:
        raise ArgumentError(
            f"losses[{name!r}]={given!r}: settings must be JSON values ({error})."
        ) from error
    return weight, plain
