"""Labelled texts, the input of distillation and attack."""

from __future__ import annotations

import hashlib
import operator
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, overload

import numpy as np

from rosearch.errors import DataError
from rosearch.seeding import Seed, generator

Text: TypeAlias = "str | tuple[str, str]"
"""One example: a text, or a pair of texts such as premise and hypothesis."""


_PLACEHOLDER = re.compile(r"label_\d+|-?\d+")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TextDataset:
    """Texts with class labels, validated and immutable.

    Args:
        texts: One ``str`` an example, or one ``(str, str)`` pair; not mixed.
        labels: Class indices from 0; ``None`` for unlabelled texts, on which only losses without
            labels can be trained, such as ``soft_labels``.
        classes: Names of the classes in the order of the labels. Default: ``"0"``, ``"1"``, ... up
            to the largest label. Required for unlabelled texts: the classes of the teacher.

    Raises:
        DataError: The lengths differ, texts and pairs are mixed, a label is not a whole number in
            ``range(len(classes))``, there are neither labels nor classes, or class names are not
            distinct strings. The message names the first offending example.
    """

    texts: tuple[Text, ...]
    classes: tuple[str, ...]
    _labels: np.ndarray | None

    def __init__(
        self,
        texts: Iterable[Text],
        labels: Iterable[int] | None,
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        if isinstance(texts, str):
            raise DataError("texts must be a sequence of texts, got one str. Put it in a list.")
        checked = tuple(_check_text(text, index) for index, text in enumerate(texts))
        if len(checked) == 0:
            raise DataError("Expected at least one text, got none.")
        pairs = sum(isinstance(text, tuple) for text in checked)
        if pairs not in (0, len(checked)):
            raise DataError(
                f"Expected only texts or only pairs, got {len(checked) - pairs} texts and "
                f"{pairs} pairs."
            )
        if classes is not None:
            _check_classes(classes)
        values = None if labels is None else _check_labels(labels, len(checked), classes)
        if classes is None:
            if values is None:
                raise DataError(
                    "Unlabelled texts need classes=, the names of the teacher's classes, as in "
                    "classes=dev.classes."
                )
            classes = tuple(str(k) for k in range(max(int(values.max()) + 1, 2)))
        object.__setattr__(self, "texts", checked)
        object.__setattr__(self, "classes", tuple(classes))
        object.__setattr__(self, "_labels", values)

    @classmethod
    def unlabelled(cls, texts: Iterable[Text], *, classes: Sequence[str]) -> TextDataset:
        """Texts without labels; ``classes`` are the names of the teacher's classes."""
        return cls(texts, None, classes=classes)

    @classmethod
    def from_hf(
        cls,
        dataset: Any,
        *,
        text: str | tuple[str, str] = "text",
        label: str | None = "label",
        classes: Sequence[str] | None = None,
    ) -> TextDataset:
        """Read a split of a Hugging Face ``datasets.Dataset``.

        Args:
            dataset: One split.
            text: Name of the text column, or of the two columns of a pair.
            label: Name of the column of class indices; ``None`` for no labels.
            classes: Names of the classes. Default: those of a ``ClassLabel`` column.

        Raises:
            DataError: ``dataset`` is not a single split, a column is missing, or its values are
                invalid.
        """
        columns = (text,) if isinstance(text, str) else tuple(text)
        present = getattr(dataset, "column_names", None)
        if isinstance(present, dict):
            raise DataError(
                f"dataset must be one split, got the splits {', '.join(present)}. Pass one, "
                f"as in TextDataset.from_hf(dataset['{next(iter(present), 'train')}'])."
            )
        if present is None:
            raise DataError(
                f"dataset must be a datasets.Dataset, got {type(dataset).__name__}. Load it "
                f"without streaming, or make a TextDataset from lists of texts and labels."
            )
        needed = columns if label is None else (*columns, label)
        missing = [c for c in needed if c not in present]
        if missing:
            raise DataError(
                f"The data set has no column {missing[0]!r}, only {', '.join(present)}. Name the "
                f"columns with text= and label= (label=None for no labels)."
            )
        values = [list(dataset[column]) for column in columns]
        texts = values[0] if len(columns) == 1 else list(zip(*values, strict=True))
        if label is None:
            return cls(texts, None, classes=classes)
        if classes is None:
            classes = getattr(getattr(dataset, "features", {}).get(label), "names", None)
        return cls(texts, list(dataset[label]), classes=classes)

    @property
    def labels(self) -> np.ndarray:
        """Class indices, int64 ``(examples,)``, read-only.

        Raises:
            DataError: The texts are unlabelled.
        """
        if self._labels is None:
            raise DataError(
                f"Labels are needed here, and these {len(self)} texts are unlabelled. Unlabelled "
                f"texts can only be trained on with losses such as 'soft_labels'."
            )
        return self._labels

    @property
    def is_labelled(self) -> bool:
        """Whether there are labels."""
        return self._labels is not None

    @property
    def is_pairs(self) -> bool:
        """Whether the examples are pairs of texts."""
        return isinstance(self.texts[0], tuple)

    @property
    def fingerprint(self) -> str:
        """Hash of texts, labels and class names; equal content has equal fingerprints."""
        # The counts separate equal strings of different kinds.
        layout = f"{len(self.classes)} classes, {len(self)} {'pairs' if self.is_pairs else 'texts'}"
        digest = hashlib.blake2b(layout.encode(), digest_size=16)
        for part in (*self.classes, *self.texts):
            for piece in (part,) if isinstance(part, str) else part:
                digest.update(hashed_bytes(piece))
        digest.update(b"no labels" if self._labels is None else self._labels.tobytes())
        return digest.hexdigest()

    @property
    def majority_share(self) -> float:
        """Share of the most frequent class: the accuracy of a constant classifier."""
        return float(np.bincount(self.labels).max() / len(self))

    def select(self, indices: Iterable[int]) -> TextDataset:
        """The examples at ``indices``, in that order, with the same classes.

        Raises:
            DataError: The indices are booleans, or there are none.
            IndexError: There is no such example.
        """
        chosen = list(indices)
        if any(isinstance(i, (bool, np.bool_)) for i in chosen):
            raise DataError(
                "indices must be whole numbers, got booleans; pass numpy.flatnonzero(mask)."
            )
        chosen = [operator.index(i) for i in chosen]
        labels = None if self._labels is None else self._labels[chosen]
        return TextDataset([self.texts[i] for i in chosen], labels, classes=self.classes)

    def with_texts(self, texts: Iterable[Text]) -> TextDataset:
        """Return other texts with the same labels and classes, example by example."""
        return TextDataset(texts, self._labels, classes=self.classes)

    def split(self, *sizes: int | float, seed: Seed = 0) -> tuple[TextDataset, ...]:
        """Split into disjoint random parts, stratified by class to within two examples.

        Unlabelled texts are split at random.

        Args:
            sizes: Size of each part: a number of examples (``int``) or a share (``float``).
            seed: Equal seeds give equal splits.

        Raises:
            DataError: The parts together exceed the data set, or one is empty.
        """
        # Shares are rounded at the borders between parts, so 0.5 and 0.5 of 11 give 6 and 5.
        is_share = np.array([isinstance(size, (float, np.floating)) for size in sizes], dtype=bool)
        given = np.array(sizes, dtype=float)
        borders = np.cumsum(np.append(0.0, np.where(is_share, given, 0.0)))
        rounded = np.diff(np.rint(borders * len(self)))
        counts = np.where(is_share, rounded, given).astype(int).tolist()
        if not counts or min(counts) < 1 or sum(counts) > len(self):
            raise DataError(
                f"Cannot split {len(self)} examples into parts of {', '.join(map(str, counts))}: "
                f"each part needs at least one, together at most {len(self)}."
            )
        rng = generator(seed, "split")
        # Each example gets its quantile within its class. In the order of quantiles every stretch
        # has the class shares of the whole, whatever the sizes of the parts.
        order = rng.permutation(len(self))
        position = np.empty(len(self))
        labels = np.zeros(len(self), dtype=np.int64) if self._labels is None else self._labels
        for k in range(len(self.classes)):
            members = order[labels[order] == k]
            position[members] = (np.arange(len(members)) + rng.random()) / max(len(members), 1)
        ranked = np.argsort(position, kind="stable")
        ends = np.cumsum([0, *counts])
        return tuple(self.select(rng.permutation(ranked[a:b])) for a, b in pairwise(ends))

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
        kind = f"{len(self)} {'pairs' if self.is_pairs else 'texts'}"
        if self._labels is None:
            return f"TextDataset({kind} without labels; {', '.join(self.classes)})"
        counts = np.bincount(self._labels, minlength=len(self.classes))
        shown = ", ".join(f"{c}: {n}" for c, n in zip(self.classes, counts, strict=True))
        return f"TextDataset({kind}; {shown})"


def _check_classes(classes: Sequence[Any]) -> None:
    named = list(classes)
    if not named or len(set(named)) < len(named) or not all(isinstance(c, str) for c in named):
        raise DataError(f"classes must be distinct strings, got {classes!r:.200}.")


def _check_labels(labels: Iterable[int], count: int, classes: Sequence[str] | None) -> np.ndarray:
    values = np.asarray(list(labels))
    if values.shape != (count,):
        raise DataError(
            f"There must be one label a text, got {count} texts and labels of shape {values.shape}."
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(
            f"labels must be class indices, got {values.dtype}. Map class names to indices first."
        )
    end = len(classes) if classes is not None else max(int(values.max()) + 1, 2)
    bad = np.flatnonzero((values < 0) | (values >= end))
    if bad.size:
        named = f" ({len(classes)} classes: {', '.join(classes)})" if classes is not None else ""
        hidden = " If -1 means no label, pass labels=None." if values[bad[0]] == -1 else ""
        raise DataError(
            f"Label {values[bad[0]]} of example {bad[0]} is outside 0 to {end - 1}{named}.{hidden}"
        )
    values = values.astype(np.int64)
    values.setflags(write=False)
    return values


def _check_text(text: Any, index: int) -> Text:
    if isinstance(text, str):
        return text
    is_pair = isinstance(text, (tuple, list)) and len(text) == 2
    if is_pair and all(isinstance(part, str) for part in text):
        return (text[0], text[1])
    raise DataError(
        f"Text {index} must be a str or a pair of str, got {type(text).__name__} ({text!r:.80})."
    )


def hashed_bytes(text: str) -> bytes:
    """Return what a hash reads of a text: its length in bytes, then its bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "big") + encoded


def check_class_order(config: Any, classes: Sequence[str], *, owner: str) -> None:
    """Refuse a model that has a data set's classes in another order.

    Only names that both sides have are compared, ignoring case. ``LABEL_0`` and plain numbers are
    no names, and a model may call its classes by other names than the data does.

    Args:
        config: Where the model's ``id2label`` is, if it has one.
        classes: The data's class names, in the order of its labels.
        owner: What the model is called, for the message.

    Raises:
        DataError: Both have the same names, in different orders.
    """
    own = list(_model_names(config, len(classes)))
    lowered, theirs = ([name.lower() for name in names] for names in (own, classes))
    if any(_PLACEHOLDER.fullmatch(name) for name in theirs):
        return
    if lowered != theirs and sorted(lowered) == sorted(theirs):
        raise DataError(
            f"{owner}'s classes are in the order {', '.join(own)}, the data's in the order "
            f"{', '.join(classes)}. Number the data's labels in the model's order, with "
            f"classes={own!r}; or correct model.config.id2label if it is wrong."
        )


def class_names(config: Any, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the data's class names; where they are only numbers, the model's.

    ``LABEL_0`` and plain numbers are no names of data. A model's count if it has a different one
    for each class, and no more.

    Args:
        config: Where the model's ``id2label`` is, if it has one.
        classes: The data's class names, in the order of its labels.
    """
    if not any(_PLACEHOLDER.fullmatch(name.lower()) for name in classes):
        return tuple(classes)
    own = _model_names(config, len(classes))
    fits = all(own) and len(set(own)) == len(own) == len(config.id2label)
    return own if fits else tuple(classes)


def _model_names(config: Any, count: int) -> tuple[str, ...]:
    """The names in ``id2label``, whose keys are strings in some files; "" for a missing one."""
    given = getattr(config, "id2label", None) or {}
    return tuple(str(given.get(k, given.get(str(k), ""))) for k in range(count))


def require_one_class(config: Any, *, owner: str) -> None:
    """Refuse a model that does not choose one of several classes.

    Args:
        config: The model's configuration, if it has one.
        owner: What the model is called, for the message.

    Raises:
        DataError: It has a head for several labels at once, for regression, or a single output.
    """
    kind, count = (getattr(config, name, None) for name in ("problem_type", "num_labels"))
    if kind in ("multi_label_classification", "regression"):
        reason = f"has problem_type={kind!r}"
    elif count == 1:
        reason = "has num_labels=1, which transformers takes for regression"
    else:
        return
    raise DataError(
        f"{owner} {reason}. rosearch attacks and distils classifiers that choose one of two or "
        f"more classes. Of several labels, take one at a time: a function from texts to the "
        f"probabilities (1 - p, p) of its label can be attacked. For a score, fine-tune a "
        f"classifier of its ranges. If the model does choose one class, set "
        f"config.problem_type = 'single_label_classification'."
    )


def warn_if_useless(accuracy: float, dataset: TextDataset, *, owner: str) -> None:
    """Warn where a classifier is no better than a constant answer.

    Args:
        accuracy: Its share of right answers on ``dataset``.
        dataset: Labelled texts.
        owner: What the classifier is called, for the message.
    """
    if accuracy <= dataset.majority_share:
        warnings.warn(
            f"{owner}'s accuracy is {accuracy:.3f}, and always answering the most frequent class "
            f"gives {dataset.majority_share:.3f}: it has learnt nothing that counts. Check that "
            f"labels and texts belong together, and that training was long enough.",
            UserWarning,
            stacklevel=3,
        )
