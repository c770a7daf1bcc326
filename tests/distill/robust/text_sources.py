"""A small augmentation and a small adversary, without any attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rosearch.data import Text, TextDataset
from rosearch.tokens import predict, tokenize

OPPOSITES = dict(
    zip(
        "good great wonderful brilliant funny charming moving clever lovely superb".split(),
        "bad awful terrible boring dull stupid clumsy tedious weak horrible".split(),
        strict=True,
    )
)
OPPOSITES |= {bad: good for good, bad in OPPOSITES.items()}


def turned(text: Text) -> Text:
    """The text with every adjective's opposite; of a pair, the second."""
    if isinstance(text, tuple):
        return text[0], str(turned(text[1]))
    return " ".join(OPPOSITES.get(word, word) for word in text.split())


class Turning:
    """An augmentation: the first texts turned, others in each epoch where ``redraw`` is set."""

    def __init__(
        self, *, count: int = 20, redraw: bool = False, answers: Any = "perturbed"
    ) -> None:
        self.count = count
        self.redraw = redraw
        self.answers = answers
        self.epochs: list[int] = []

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"count": self.count, "redraw": self.redraw, "answers": self.answers}

    def texts(self, dataset: TextDataset, *, epoch: int) -> list[tuple[int, Text]]:
        self.epochs.append(epoch)
        start = (epoch - 1) * self.count
        return [(i, turned(dataset.texts[i])) for i in range(start, start + self.count)]


class Doubters:
    """An adversary: the texts that the student is least sure of, turned."""

    def __init__(
        self,
        *,
        count: int = 15,
        first: int = 2,
        every: int = 1,
        keep: bool = False,
        answers: Any = "original",
    ) -> None:
        self.count = count
        self.first = first
        self.every = every
        self.keep = keep
        self.answers = answers
        self.rounds: list[list[tuple[int, Text]]] = []
        self.labels: list[list[int]] = []

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"count": self.count, "first": self.first, "every": self.every}

    def texts(self, student: Any, dataset: TextDataset, *, seed: int) -> list[tuple[int, Text]]:
        rows = tokenize(student.tokenizer, dataset.texts, max_length=64)
        logits = predict(student, rows, pad_id=0)
        unsure = abs(logits[:, 0] - logits[:, 1]).argsort(kind="stable")[: self.count]
        found = [(int(i), turned(dataset.texts[i])) for i in unsure]
        self.rounds.append(found)
        self.labels.append(dataset.labels.tolist())
        return found
