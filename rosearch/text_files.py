"""Rows of .csv, .tsv, .json, .jsonl and .parquet files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

from rosearch.errors import DataError
from rosearch.optional import try_import

Rows: TypeAlias = "Iterator[tuple[str, dict[str, Any]]]"
"""Where each row is, such as "line 3", and its values by column."""

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
_DECOMPRESS = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
_LONGEST_CELL = 10_000_000
"""Characters of a cell; the csv module's default limit is below the length of documents."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LINE_END = re.compile(r"\r\n|\r|\n")
# Cells that are quoted as a whole, with quotes inside doubled, or have no quote at all.
_WELL_QUOTED = re.compile(r'(?:(?:"[^"]*(?:""[^"]*)*"|[^"\t\r\n]*)(?:[\t\r\n]|\Z))*')


def file_type(path: Path) -> str | None:
    """The one of :data:`SUFFIXES` that a file has, perhaps before ``.gz``, ``.bz2`` or ``.xz``."""
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in _DECOMPRESS:
        endings.pop()
    return endings[-1] if endings and endings[-1] in SUFFIXES else None


def rows(path: Path, columns: Collection[str] = ()) -> Rows:
    """Read a file; its suffix says how it is written.

    Quotes in a .tsv are read as pandas and spreadsheets write them if all of them fit that, and are
    literal otherwise. Text is UTF-8, or UTF-16 with a byte order mark.

    Args:
        path: A .csv or .tsv file, .jsonl (an object a line), .json (objects in a list or one a
            line, or an object of columns), or .parquet; those of text perhaps compressed.
        columns: The columns that are wanted. If they are numbers that are not all in the first row
            of a .csv or .tsv, it has no header, and they count its columns from 0.

    Raises:
        DataError: The file is none of these, or a line of it cannot be read; the message names it.
        MissingResourceError: pyarrow, which reads .parquet, is not installed.
        OSError: The file cannot be opened.
    """
    kind = file_type(path)
    if kind is None:
        raise DataError(
            f"{path} must end in {', '.join(SUFFIXES)}, which says how it is written, perhaps with "
            f"{', '.join(_DECOMPRESS)} after it. Rename or convert the file."
        )
    if kind == ".parquet":
        parquet = try_import("pyarrow.parquet", f"Reading {path}", "hub")
        try:
            found = parquet.read_table(path).to_pylist()
        except ValueError as error:  # ArrowInvalid is one
            raise DataError(f"{path} is not a Parquet file: {error}") from error
        return ((f"row {number}", row) for number, row in enumerate(found))
    text = _text(path)
    if kind == ".json":
        return _json_rows(text, path)
    if kind == ".jsonl":
        return _json_lines(text, path)
    return _table_rows(text, path, "\t" if kind == ".tsv" else ",", columns)


def read_columns(path: Path, columns: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Place of each row with its file, and its values in ``columns``.

    Raises:
        DataError: As :func:`rows`; or there is no row, or one has not all columns.
    """
    places, values = [], []
    for place, row in rows(path, columns):
        where = f"{path}, {place}"
        for column in columns:
            if column not in row:
                raise DataError(
                    f"{where} has no column {column!r}, only {', '.join(map(str, row))}. Name the "
                    f"columns of texts and labels; in a file without a header, which has names in "
                    f"its first line, by their numbers from 0."
                )
            if row[column] is None:
                raise DataError(f"{where} has no value in the column {column!r}.")
        places.append(where)
        values.append([row[column] for column in columns])
    if not places:
        raise DataError(f"{path} has no examples.")
    return places, values


def _text(path: Path) -> str:
    data = path.read_bytes()
    decompress = _DECOMPRESS.get(path.suffix.lower())
    try:
        data = decompress(data) if decompress else data
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is not a whole {path.suffix} file: {error}.") from error
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: encoding error, byte 0x{data[error.start]:02x} is not "
            f"{error.encoding.upper()}. Convert the file to UTF-8, from Latin-1 by: iconv -f "
            f"LATIN1 -t UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(
            f"{path}: encoding error, it holds null characters, as UTF-32 and UTF-16 without a "
            f"byte order mark do. Convert the file to UTF-8, as by: iconv -f UTF-16LE -t UTF-8."
        )
    return text


def _table_rows(text: str, path: Path, delimiter: str, columns: Collection[str]) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    literal = delimiter == "\t" and not _is_quoted(text)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL,
        strict=True,
    )
    header: list[str] = []
    try:
        for cells in reader:
            place = f"line {reader.line_num}"
            if not cells:
                continue
            if not header:
                unnamed = all(c.isdecimal() for c in columns) and not set(columns) <= set(cells)
                header = [str(k) for k in range(len(cells))] if columns and unnamed else cells
                twice = [name for name in columns if header.count(name) > 1]
                if twice:
                    raise DataError(f"{path} has the column {twice[0]!r} twice.")
                if header is cells:
                    continue
            if any(cells[len(header) :]):
                raise DataError(
                    f"{path}, {place} has {len(cells)} cells, more than the first line, which has "
                    f"{len(header)}. Quote cells that hold the separator {delimiter!r}."
                )
            yield place, dict(zip_longest(header, cells[: len(header)]))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.") from error


def _is_quoted(text: str) -> bool:
    """Whether quotes in tab-separated text enclose cells; otherwise they are part of the texts."""
    if not _WELL_QUOTED.fullmatch(text):
        return False
    quoted = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    plain = [line.split("\t") for line in _LINE_END.split(text)]
    # Texts may be in quotes of their own, so there must be a sign that these are not theirs: one
    # that is doubled, a header that is quoted too, or a tab or line end in a cell.
    doubled = any('"' in cell for row in quoted for cell in row)
    header = all(cell.startswith('"') for cell in plain[0])
    return _is_even(quoted) and (doubled or header or not _is_even(plain))


def _is_even(table: Sequence[Sequence[str]]) -> bool:
    """Whether all rows that are not empty have as many cells as the first."""
    return len({len(row) for row in table if row not in ([], [""])}) <= 1


def _json_rows(text: str, path: Path) -> Rows:
    try:
        found = json.loads(text)
    except ValueError as error:
        if "Extra data" in str(error):  # several values: one a line
            return _json_lines(text, path)
        raise DataError(f"{path} is not valid JSON: {error}.") from error
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    if isinstance(found, dict):
        columns = [list(c.values()) if isinstance(c, dict) else c for c in found.values()]
        if not any(isinstance(column, list) for column in columns):
            found = [found]  # a single line
        elif all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
            found = [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(
            f"{path} must be a list of JSON objects, one object a line, or an object of columns "
            f"of equal length, got {text.strip():.80}. pandas writes the first by "
            f"to_json(path, orient='records')."
        )
    return ((f"object {number}", row) for number, row in enumerate(found))


def _json_lines(text: str, path: Path) -> Rows:
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.strip():
            yield f"line {number}", _json_object(line, f"{path}, line {number}")


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} must be a JSON object, got {line.strip():.80}.")
    return found
