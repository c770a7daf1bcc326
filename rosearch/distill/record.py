"""What a student's record says of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rosearch.data import TextDataset
from rosearch.distill.teacher.teacher import Teacher
from rosearch.student.record import StudentRecord
from rosearch.versions import versions


def training_record(
    teacher: Teacher,
    texts: tuple[TextDataset, TextDataset],
    accuracies: tuple[float, float | None],
    *,
    seed: int,
    settings: Mapping[str, Any],
) -> StudentRecord:
    """Return the record of a student that has just been trained.

    Args:
        teacher: Its teacher.
        texts: Training texts and dev texts.
        accuracies: On dev, of the student and, if known, of the teacher.
        seed: Seed of the training.
        settings: The distiller's settings.
    """
    train, dev = texts
    own, of_teacher = accuracies
    known = {} if of_teacher is None else {"accuracy": of_teacher}
    names = {"name": teacher.name, "hub_name": teacher.hub_name}
    return StudentRecord(
        teacher={**names, "parameters": teacher.parameters, **known},
        training={
            "texts": len(train),
            "dev_texts": len(dev),
            "seed": seed,
            "settings": settings,
        },
        accuracy={"dev": own},
        versions=versions(),
    )
