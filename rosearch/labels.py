"""Labels as class indices."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NoReturn, SupportsIndex

import numpy as np

from rosearch.errors import DataError

_MAX_CLASSES = 1_000_000
"""Classes that labels may imply without names: beyond, a label is an identifier, no index."""
_MAX_DIGITS = 80
_WHOLE = re.compile(rf"([+-]?\d{{1,{_MAX_DIGITS}}})(\.0+)?")
_NO_LABEL = frozenset(("", "nan", "na", "n/a", "<na>", "nat", "none", "null"))
"""What programs write for a missing value, in small letters."""


def class_indices(labels: Iterable[Any], count: int, classes: Sequence[str] | None) -> np.ndarray:
    """Check labels, and look up those that are names.

    Args:
        labels: Class indices from 0, or names out of ``classes``.
        count: Number of texts.
        classes: Name of each class, if they are known.

    Returns:
        int64, shape ``(count,)``, read-only.

    Raises:
        DataError: The number of labels is not ``count``, or a label is missing, no index and no
            name, or out of range. The message names the first such example.
    """
    given = _items(labels)
    if len(given) != count:
        raise DataError(
            f"There must be one label a text, got {count} texts and labels of shape "
            f"{np.shape(given) if len(given) == 0 else (len(given), *np.shape(given[0]))}."
        )
    names = {name: k for k, name in enumerate(classes or ())}
    indices = _indices(given, names)
    end = _MAX_CLASSES if classes is None else len(classes)
    if indices and not (min(indices) >= 0 and max(indices) < end):
        bad = next(example for example, k in enumerate(indices) if not 0 <= k < end)
        named = f" ({len(classes)} classes: {', '.join(classes)})" if classes is not None else ""
        hidden = " If -1 means no label, pass labels=None." if indices[bad] == -1 else ""
        long = abs(indices[bad]) >= 10**_MAX_DIGITS  # Python writes no very long number
        label = f"of more than {_MAX_DIGITS} digits" if long else indices[bad]
        raise DataError(f"Label {label} of example {bad} is outside 0 to {end - 1}{named}.{hidden}")
    values = np.array(indices, np.int64)
    values.setflags(write=False)
    return values


def read_labels(cells: Sequence[tuple[str, Any]], classes: Sequence[str] | None) -> list[int]:
    """Class indices from the cells of a file, where numbers may be written as text.

    Text is read as names if every label in the file is one, so that names may be numbers, such as
    star ratings; a number of JSON is always an index. Whole numbers may end in ``.0``, as pandas
    writes a column with gaps.

    Args:
        cells: Place in the file and value of each label.
        classes: Name of each class, in the order of their indices; ``None`` if there are none.

    Raises:
        DataError: A label is missing, or neither an index nor a name; the message has its place.
    """
    names = {name: k for k, name in enumerate(classes or ())}
    written = {value.strip() for _, value in cells if isinstance(value, str)}
    all_named = written <= names.keys()
    indices = []
    for where, value in cells:
        text = str(value).strip()
        if is_missing(value) or (text not in names and text.lower() in _NO_LABEL):
            raise DataError(f"{where} has no label. Leave the line out, or add its class.")
        whole = _whole(value)
        if isinstance(value, str) and text in names and (all_named or whole is None):
            indices.append(names[text])
        elif whole is not None:
            indices.append(whole)
        elif classes is None and isinstance(value, str):
            raise DataError(
                f"{where}: the label {text!r:.80} is no class index. If labels are names, pass all "
                f"of them in the order of their indices, as in classes={sorted(written)[:9]!r}."
            )
        else:
            raise DataError(
                f"{where}: the label {text!r:.80} is neither a class index nor the name of a class"
                f"{', ' * bool(names)}{', '.join(names)}."
            )
    return indices


def is_missing(value: Any) -> bool:
    """Whether ``value`` stands for no value: ``None``, NaN, or pandas' NA and NaT."""
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _items(labels: Iterable[Any]) -> list[Any]:
    """The labels as plain values where an array, tensor or column holds them."""
    plain = getattr(labels, "tolist", None)
    items = plain() if plain else labels
    return list(items) if isinstance(items, Iterable) else [items]


def _indices(given: list[Any], names: dict[str, int]) -> list[int]:
    kinds = set(map(type, given))
    if kinds == {int}:  # the usual case; a million labels are not looked at one by one
        return given
    if kinds == {str} and names.keys() >= set(given):
        return [names[label] for label in given]
    gone = next((example for example, label in enumerate(given) if is_missing(label)), None)
    if gone is not None:
        raise DataError(
            f"Example {gone} has no label, got {given[gone]}. Leave it out, or pass labels=None if "
            f"all texts are to be unlabelled."
        )
    return [_class_index(label, example, names) for example, label in enumerate(given)]


def _class_index(label: Any, example: int, names: dict[str, int]) -> int:
    if isinstance(label, SupportsIndex) and not isinstance(label, (bool, np.bool_)):
        try:
            return index(label)
        except TypeError:  # an array of several numbers
            _refuse(label, example)
    if not isinstance(label, str):
        _refuse(label, example)
    if not names:
        raise DataError(
            f"labels must be class indices, got {label!r:.80} of example {example}. Map class "
            f"names to indices first, or pass all names in the order of their indices as classes=."
        )
    if label not in names:
        raise DataError(
            f"Label {label!r:.80} of example {example} is none of the classes {', '.join(names)}."
        )
    return names[label]


def _refuse(label: Any, example: int) -> NoReturn:
    whole = isinstance(label, (bool, np.bool_)) or _whole(label) is not None
    advice = " Convert them, as by map(int, labels)." if whole else ""
    raise DataError(
        f"labels must be class indices, or names out of classes=, got {label!r:.80} "
        f"({type(label).__name__}) of example {example}.{advice}"
    )


def _whole(value: Any) -> int | None:
    """The whole number that a cell holds; ``None`` if it holds something else."""
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value.strip())
        return int(match[1]) if match else None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    is_float = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return int(value) if is_float else None
