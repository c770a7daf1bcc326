"""Answers to what searches ask besides the victim's opinion, pooled over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rosearch.attack.base import AskGradients
from rosearch.attack.resources.oracles import Ask
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.victim import Victim


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What one search asks."""

    asking: Ask | AskGradients
    attacked: AttackedInput
    label: int


def consult(questions: Sequence[Question], victim: Victim) -> list[list[Any] | Exception]:
    """Answer each question, or say what went wrong with it.

    All that is asked of one oracle goes to it at once, and so do all gradients of the victim.
    """
    groups: dict[int, list[int]] = {}
    for place, question in enumerate(questions):
        # None has an id too: that of the gradients' group.
        oracle = getattr(question.asking, "oracle", None)
        groups.setdefault(id(oracle), []).append(place)
    answers: list[list[Any] | Exception] = [[] for _ in questions]
    for places in groups.values():
        found = _answer([questions[place] for place in places], victim)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def _answer(group: Sequence[Question], victim: Victim) -> list[list[Any] | Exception]:
    try:
        flat, sizes = _ask_all(group, victim)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - one bad question must not end the run
        if len(group) == 1:
            return [error]
        return [answer for question in group for answer in _answer([question], victim)]
    answers: list[list[Any] | Exception] = []
    start = 0
    for size in sizes:
        answers.append(flat[start : start + size])
        start += size
    return answers


def _ask_all(group: Sequence[Question], victim: Victim) -> tuple[list[Any], list[int]]:
    if isinstance(group[0].asking, Ask):
        parts = [question.asking.questions for question in group]  # type: ignore[union-attr]
        return group[0].asking.oracle.answer([q for part in parts for q in part]), [
            len(part) for part in parts
        ]
    inputs = [
        [question.attacked.whole(text.text) for text in question.asking.texts]  # type: ignore[union-attr]
        for question in group
    ]
    labels = [q.label for q, part in zip(group, inputs, strict=True) for _ in part]
    side = group[0].attacked.side
    flat: list[Any] = list(victim.gradients([t for part in inputs for t in part], labels, side))
    return flat, [len(part) for part in inputs]
