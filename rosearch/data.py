"""Labelled texts, the input of distillation and attack."""

from __future__ import annotations

import hashlib
import operator
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np

from rosearch.checks import refused
from rosearch.errors import DataError
from rosearch.labels import class_indices, read_labels
from rosearch.seeding import Seed, generator
from rosearch.text_files import read_columns

Text: TypeAlias = "str | tuple[str, str]"
"""One example: a text, or a pair of texts such as premise and hypothesis."""


_PLACEHOLDER = re.compile(r"label_\d+|-?\d+")


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TextDataset:
    """Texts with class labels, validated and immutable.

    Args:
        texts: One ``str`` an example, or one ``(str, str)`` pair; not mixed.
        labels: Class indices from 0, or names out of ``classes``; ``None`` for unlabelled texts, on
            which only losses without labels can be trained, such as ``soft_labels``.
        classes: Names of the classes in the order of the labels. Default: ``"0"``, ``"1"``, ... up
            to the largest label. Required for unlabelled texts: the classes of the teacher.

    Raises:
        DataError: The lengths differ, texts and pairs are mixed, a label is missing or neither a
            whole number in ``range(len(classes))`` nor a name, there are neither labels nor
            classes, or class names are not distinct strings. The message names the first offending
            example.
    """

    texts: tuple[Text, ...]
    classes: tuple[str, ...]
    _labels: np.ndarray | None

    def __init__(
        self,
        texts: Iterable[Text],
        labels: Iterable[int | str] | None,
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        if isinstance(texts, str):
            raise DataError("texts must be a sequence of texts, got one str. Put it in a list.")
        checked = _checked_texts(texts)
        if len(checked) == 0:
            raise DataError("Expected at least one text, got none.")
        classes = None if classes is None else _checked_classes(classes)
        values = None if labels is None else class_indices(labels, len(checked), classes)
        if classes is None:
            if values is None:
                raise DataError(
                    "Unlabelled texts need classes=, the names of the teacher's classes, as in "
                    "classes=dev.classes."
                )
            classes = tuple(str(k) for k in range(max(int(values.max()) + 1, 2)))
        object.__setattr__(self, "texts", checked)
        object.__setattr__(self, "classes", classes)
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
            label: Name of the column of labels; ``None`` for no labels.
            classes: Names of the classes. Default: those of a ``ClassLabel`` column.

        Raises:
            DataError: ``dataset`` is not a single split, a column is missing, or its values are
                invalid.
        """
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
        names = getattr(getattr(dataset, "features", {}).get(label), "names", None)
        classes = names if classes is None else classes
        return cls._from_columns(dataset, present, text, label, classes)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        *,
        text: str | tuple[str, str] = "text",
        label: str | None = "label",
        classes: Sequence[str] | None = None,
    ) -> TextDataset:
        """Read a ``pandas.DataFrame``.

        Args:
            frame: One example a row.
            text: Name of the text column, or of the two columns of a pair.
            label: Name of the column of labels; ``None`` for no labels.
            classes: Names of the classes, in the order of their indices. Default: the categories of
                a categorical column of strings.

        Raises:
            DataError: ``frame`` is no data frame, a column is missing, or its values are invalid.
        """
        if not all(hasattr(frame, name) for name in ("columns", "iloc")):
            raise DataError(f"frame must be a pandas.DataFrame, got {type(frame).__name__}.")
        categories = getattr(getattr(frame.get(label), "dtype", None), "categories", ())
        named = [str(name) for name in categories if isinstance(name, str)]
        if classes is None and named and len(named) == len(categories):
            classes = named
        return cls._from_columns(frame, list(frame.columns), text, label, classes)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        text: str | tuple[str, str] = "text",
        label: str | None = "label",
        classes: Sequence[str] | None = None,
    ) -> TextDataset:
        """Read a ``.csv`` file, or a ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet`` file.

        All but ``.parquet`` may be compressed (``.csv.gz``, ``.bz2``, ``.xz``), and are UTF-8.

        Args:
            path: A file; its suffix says how it is written.
            text: Name of the text column, or of the two columns of a pair. The columns of a
                ``.csv`` or ``.tsv`` without a header are called ``"0"``, ``"1"`` and so on.
            label: Name of the column of labels, which are class indices or names out of
                ``classes``; ``None`` for no labels. A column of text is read as names if every
                value is one, so that names may be numbers.
            classes: Names of the classes, in the order of their indices.

        Raises:
            DataError: A line cannot be read, or lacks a text or a label; the message names it.
            OSError: The file cannot be opened.
        """
        columns = (text,) if isinstance(text, str) else tuple(text)
        wanted = columns if label is None else (*columns, label)
        places, rows = read_columns(Path(path), wanted)
        texts = [row[0] if len(columns) == 1 else tuple(row[:2]) for row in rows]
        if label is None:
            return cls(texts, None, classes=classes)
        cells = [(place, row[-1]) for place, row in zip(places, rows, strict=True)]
        labels = read_labels(cells, classes)
        try:
            return cls(texts, labels, classes=classes)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    @classmethod
    def _from_columns(
        cls,
        table: Any,
        present: Sequence[str],
        text: str | tuple[str, str],
        label: str | None,
        classes: Sequence[str] | None,
    ) -> TextDataset:
        columns = (text,) if isinstance(text, str) else tuple(text)
        needed = columns if label is None else (*columns, label)
        missing = [c for c in needed if c not in present]
        if missing:
            raise DataError(
                f"The data set has no column {missing[0]!r}, only {', '.join(map(str, present))}. "
                f"Name the columns with text= and label= (label=None for no labels)."
            )
        twice = [c for c in needed if list(present).count(c) > 1]
        if twice:
            raise DataError(f"The data set has the column {twice[0]!r} twice. Rename one.")
        values = [list(table[column]) for column in columns]
        texts = values[0] if len(columns) == 1 else list(zip(*values, strict=True))
        return cls(texts, None if label is None else list(table[label]), classes=classes)

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


def _checked_classes(classes: Sequence[Any]) -> tuple[str, ...]:
    named = tuple(classes)
    if not named or len(set(named)) < len(named) or not all(isinstance(c, str) for c in named):
        raise DataError(f"classes must be distinct strings, got {list(named)!r:.200}.")
    return named


def _checked_texts(texts: Iterable[Any]) -> tuple[Text, ...]:
    given = tuple(texts)
    if set(map(type, given)) == {str}:  # the usual case, a tenth of a second for a million texts
        return given
    checked = tuple(_check_text(text, index) for index, text in enumerate(given))
    pairs = sum(isinstance(text, tuple) for text in checked)
    if pairs and (single := len(checked) - pairs):
        raise DataError(f"Expected only texts or only pairs, got {single} texts and {pairs} pairs.")
    return checked


def _check_text(text: Any, index: int) -> Text:
    if isinstance(text, str):
        return text
    is_pair = isinstance(text, (tuple, list)) and len(text) == 2
    if is_pair and all(isinstance(part, str) for part in text):
        return (text[0], text[1])
    raise DataError(
        f"Text {index} must be a str or a pair of str, got {type(text).__name__} ({text!r:.80}). "
        f"Leave the example out if it has no text."
    )


def as_dataset(name: str, data: Any) -> TextDataset:
    """``data`` as a :class:`TextDataset`.

    Args:
        name: The argument's name, for the message.
        data: A :class:`TextDataset`; a ``datasets.Dataset`` or ``pandas.DataFrame`` with the
            columns ``text`` and ``label``; or a list of pairs of a text and its class index.

    Raises:
        ArgumentError: It is none of these.
        DataError: A text or label in it is invalid.
    """
    if isinstance(data, TextDataset):
        return data
    if hasattr(data, "column_names"):
        return TextDataset.from_hf(data)
    if all(hasattr(data, each) for each in ("columns", "iloc")):
        return TextDataset.from_pandas(data)
    if isinstance(data, (list, tuple)) and data and all(map(_is_labelled_text, data)):
        return TextDataset([text for text, _ in data], [label for _, label in data])
    raise refused(
        name,
        "a TextDataset, a datasets.Dataset or pandas.DataFrame with the columns text and label, or "
        "a list of pairs of a text and its class index; make one with TextDataset(texts, labels)",
        data,
    )


def _is_labelled_text(item: Any) -> bool:
    # Two strings are a pair of texts as well as a text and the name of its class.
    return isinstance(item, (tuple, list)) and len(item) == 2 and not isinstance(item[1], str)


def hashed_bytes(text: str) -> bytes:
    """Return what a hash reads of a text: its length in bytes, then its bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "big") + encoded


def check_class_order(config: Any, classes: Sequence[str], *, owner: str) -> None:
    """Refuse a model that has other classes than a data set, or its classes in another order.

    Only names that both sides have are compared, ignoring case. ``LABEL_0`` and plain numbers are
    no names, and a model may call its classes by other names than the data does.

    Args:
        config: Where the model's ``id2label`` is, if it has one.
        classes: The data's class names, in the order of its labels.
        owner: What the model is called, for the message.

    Raises:
        DataError: The model has more classes or fewer, or the same names in another order.
    """
    count = getattr(config, "num_labels", None)
    if isinstance(count, int) and count != len(classes):
        raise DataError(
            f"{owner} has {count} classes, the data {len(classes)}: {', '.join(classes)}. Use a "
            f"model fine-tuned on these classes, or name all of the model's with classes=."
        )
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
