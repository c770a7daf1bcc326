"""Small inputs, vocabularies and nearest words from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

import rosearch.operators as ops
from rosearch.operators.inputs.testing import (
    small_vocabulary,
)


def make(
    name: str, vocabulary: ops.Vocabulary | None = None, *, inner: int = 8, **parameters: Any
) -> Any:
    count = len(vocabulary or small_vocabulary())
    shape = ops.InputShape(
        vocabulary=count, positions=32, types=2, inner=inner, width=12, padding=0
    )
    torch.manual_seed(0)
    return ops.get(name)(shape, **ops.complete(name, parameters)).eval()


class Near:
    """Nearest words from a table."""

    settings: Mapping[str, object] = {}

    def __init__(self, table: Mapping[str, Sequence[tuple[str, float]]]) -> None:
        self.table = table
        self.asked: list[int] = []

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        self.asked.append(count)
        return [list(self.table.get(word, ()))[:count] for word in words]


def words(*texts: str) -> ops.Vocabulary:
    """[PAD] and words."""
    count = len(texts)
    return ops.Vocabulary(("[PAD]", *texts), (False, *[True] * count), (True, *[False] * count))
