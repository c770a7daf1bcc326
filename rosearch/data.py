"""Labelled texts, the one form of data that distillation and attack read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

import numpy as np

from rosearch.errors import DataError
from rosearch.seeding import Seed, generator

Text: TypeAlias = "str | tuple[str, str]"
"""One input: a text, or a pair of texts such as premise and hypothesis."""


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TextDataset:
    """Texts with class labels, checked once and immutable afterwards.

    Args:
        texts: One ``str`` an example, or one ``(str, str)`` pair; not mixed.
        labels: Class indices, whole numbers from 0.
        classes: Names of the classes in label order. Default: ``"0"``, ``"1"``, ... up to the
            largest label.

    Raises:
        DataError: The lengths differ, singles and pairs are mixed, or a
            label is not a whole number in ``range(len(classes))``. The message names the
            first offending example.
    """

    texts: tuple[Text, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def __init__(
        self,
        texts: Iterable[Text],
        labels: Iterable[int],
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        if isinstance(texts, str):
            raise DataError("Expected a sequence of texts, got one str. Put it in a list.")
        checked = tuple(_check_text(text, index) for index, text in enumerate(texts))
        values = np.asarray(list(labels))
        if len(checked) == 0:
            raise DataError("Expected at least one text, got none.")
        if values.shape != (len(checked),):
            raise DataError(
                f"Expected one label a text, got {len(checked)} texts and labels of shape "
                f"{values.shape}."
            )
        if not np.issubdtype(values.dtype, np.integer):
            raise DataError(
                f"Labels are whole numbers (class indices), got {values.dtype}. "
                f"Map class names to indices first."
            )
        pairs = sum(isinstance(text, tuple) for text in checked)
        if pairs not in (0, len(checked)):
            raise DataError(
                f"Expected only texts or only pairs, got {len(checked) - pairs} texts and "
                f"{pairs} pairs."
            )
        if classes is None:
            classes = tuple(str(k) for k in range(max(int(values.max()) + 1, 2)))
        bad = np.flatnonzero((values < 0) | (values >= len(classes)))
        if bad.size:
            raise DataError(
                f"Label {values[bad[0]]} of example {bad[0]} is outside 0 to "
                f"{len(classes) - 1} ({len(classes)} classes: {', '.join(classes)})."
            )
        values = values.astype(np.int64)
        values.setflags(write=False)
        object.__setattr__(self, "texts", checked)
        object.__setattr__(self, "labels", values)
        object.__setattr__(self, "classes", tuple(classes))

    @classmethod
    def from_hf(
        cls,
        dataset: Any,
        *,
        text: str | tuple[str, str] = "text",
        label: str = "label",
    ) -> TextDataset:
        """From a split of a Hugging Face ``datasets.Dataset``.

        Args:
            dataset: One split. Class names are taken from its ``ClassLabel`` feature where
                there is one. Examples labelled -1, the Hub's mark for a hidden label, are refused.
            text: Column of the texts, or the two columns of a pair task.
            label: Column of the labels.

        Raises:
            DataError: A column is missing; the message lists those there are.
        """
        columns = (text,) if isinstance(text, str) else tuple(text)
        missing = [c for c in (*columns, label) if c not in dataset.column_names]
        if missing:
            raise DataError(
                f"The data set has no column {missing[0]!r}; it has "
                f"{', '.join(dataset.column_names)}. Name the columns with text= and label=."
            )
        values = [dataset[column] for column in columns]
        texts = list(values[0]) if len(columns) == 1 else list(zip(*values, strict=True))
        names = getattr(getattr(dataset, "features", {}).get(label), "names", None)
        return cls(texts, dataset[label], classes=names)

    @property
    def is_pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return isinstance(self.texts[0], tuple)

    @property
    def fingerprint(self) -> str:
        """Hash of texts, labels and class names; equal content has equal fingerprints."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (*self.classes, "", *self.texts):
            for piece in (part,) if isinstance(part, str) else part:
                encoded = piece.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "big") + encoded)
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    @property
    def majority_share(self) -> float:
        """Share of the most frequent class: what a constant answer would score."""
        return float(np.bincount(self.labels).max() / len(self))

    def select(self, indices: Iterable[int]) -> TextDataset:
        """The examples at ``indices``, in that order, with the same classes."""
        chosen = [int(i) for i in indices]
        return TextDataset(
            [self.texts[i] for i in chosen], self.labels[chosen], classes=self.classes
        )

    def split(self, *sizes: int | float, seed: Seed = 0) -> tuple[TextDataset, ...]:
        """Disjoint random parts in which each class keeps its share.

        Args:
            sizes: One a part: examples (``int``) or a share of all (``float`` below 1).
            seed: Same seed, same split.

        Raises:
            DataError: The parts together are larger than the data set, or one is empty.
        """
        # Shares are rounded at the borders between parts, so 0.5 and 0.5 of 11 give 6 and 5.
        borders = np.cumsum([0.0, *(s if isinstance(s, float) else 0.0 for s in sizes)])
        rounded = np.diff(np.rint(borders * len(self))).astype(int)
        counts = [
            int(n) if isinstance(s, float) else int(s) for s, n in zip(sizes, rounded, strict=True)
        ]
        if not counts or min(counts) < 1 or sum(counts) > len(self):
            raise DataError(
                f"Cannot split {len(self)} examples into parts of {', '.join(map(str, counts))}: "
                f"each part needs at least one, together at most {len(self)}."
            )
        rng = generator(seed, "split")
        # Each example gets its quantile within its class. Taking examples in that order keeps the
        # shares of the classes in every stretch, whatever the sizes of the parts.
        order = rng.permutation(len(self))
        position = np.empty(len(self))
        for k in range(len(self.classes)):
            members = order[self.labels[order] == k]
            position[members] = (np.arange(len(members)) + rng.random()) / max(len(members), 1)
        ranked = np.argsort(position, kind="stable")
        ends = np.cumsum([0, *counts])
        return tuple(
            self.select(rng.permutation(ranked[a:b]))
            for a, b in zip(ends[:-1], ends[1:], strict=True)
        )

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> tuple[Text, int]: ...
    @overload
    def __getitem__(self, index: slice) -> TextDataset: ...
    def __getitem__(self, index: int | slice) -> tuple[Text, int] | TextDataset:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        return self.texts[index], int(self.labels[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextDataset) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        counts = np.bincount(self.labels, minlength=len(self.classes))
        shown = ", ".join(f"{c}: {n}" for c, n in zip(self.classes, counts, strict=True))
        return f"TextDataset({len(self)} {'pairs' if self.is_pairs else 'texts'}; {shown})"


def _check_text(text: Any, index: int) -> Text:
    if isinstance(text, str):
        parts: tuple[str, ...] = (text,)
    elif isinstance(text, (tuple, list)) and len(text) == 2:
        parts = tuple(text)
    else:
        raise DataError(
            f"Text {index} is {type(text).__name__} ({text!r:.80}); expected a str or a pair "
            f"of str."
        )
    for part in parts:
        if not isinstance(part, str):
            raise DataError(
                f"Text {index} holds {type(part).__name__} ({part!r:.80}); expected str."
            )
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])
