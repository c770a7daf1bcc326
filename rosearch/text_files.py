"""Labelled texts read from .csv, .tsv and .jsonl files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rosearch.data import TextDataset
from rosearch.errors import DataError

SUFFIXES = (".csv", ".tsv", ".jsonl")
_LONGEST_CELL = 10_000_000
"""Characters of a cell; the csv module's default limit is below the length of documents."""


def read_texts(
    path: Path, *, text_columns: Sequence[str], label_column: str, classes: Sequence[str]
) -> TextDataset:
    """Read a data set from a file; its suffix says how it is written.

    Args:
        path: A .csv file with a header, a .tsv file (quotes are literal), or a .jsonl file with one
            object a line.
        text_columns: The column of the texts, or the two columns of pairs.
        label_column: The column of the labels: class indices, or names out of ``classes``. Text is
            read as names if every label in the file is one, so that names may be numbers, such as
            star ratings; an integer of JSON is always an index.
        classes: Name of each class, in the order of their indices.

    Raises:
        DataError: A line cannot be read, a column is missing, or a label is unknown; the message
            names the line.
        OSError: The file cannot be opened.
    """
    texts: list[Any] = []
    labels: list[tuple[str, Any]] = []
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        for column in (*text_columns, label_column):
            if column not in row:
                raise DataError(
                    f"{where} has no column {column!r}, only {', '.join(map(str, row))}."
                )
            if row[column] is None:
                raise DataError(f"{where} has no value in the column {column!r}.")
        values = [row[column] for column in text_columns]
        texts.append(values[0] if len(values) == 1 else tuple(values))
        labels.append((where, row[label_column]))
    if not texts:
        raise DataError(f"{path} has no examples.")
    return TextDataset(texts, _class_indices(labels, classes), classes=classes)


def _class_indices(labels: Sequence[tuple[str, Any]], classes: Sequence[str]) -> list[int]:
    """Class indices from pairs of a place in the file and a value."""
    names = {name: index for index, name in enumerate(classes)}
    texts = {str(value).strip() for _, value in labels if not _is_integer(value)}
    all_named = texts <= names.keys()
    indices = []
    for where, value in labels:
        text = str(value).strip()
        if not _is_integer(value) and text in names and (all_named or not text.isdecimal()):
            indices.append(names[text])
        elif text.isdecimal():
            indices.append(int(text))
        else:
            raise DataError(
                f"{where}: the label {text!r} is neither a class index nor one of the classes, "
                f"{', '.join(classes)}."
            )
    return indices


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each row's last line, and its values by column."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _json_object(line, f"{path}, line {number}")
            return
        csv.field_size_limit(_LONGEST_CELL)
        if path.suffix.lower() == ".tsv":
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            reader = csv.DictReader(file)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}.") from error


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} must be a JSON object, got {line.strip():.80}.")
    return found
