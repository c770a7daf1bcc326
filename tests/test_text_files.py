from __future__ import annotations

import numpy as np
import pytest

from rosearch.errors import DataError
from rosearch.text_files import read_texts


def read(path, texts, label, classes):
    return read_texts(path, text_columns=texts, label_column=label, classes=classes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'x,y,c\n"a, b",c d,good\nq,r,0\n'),
        ("a.tsv", "x\ty\tc\na, b\tc d\tgood\nq\tr\t0\n"),
        (
            "a.jsonl",
            '{"x": "a, b", "y": "c d", "c": "good"}\n\n{"x": "q", "y": "r", "c": 0}\n',
        ),
    ],
)
def test_texts_and_pairs(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    pairs = read(path, ["x", "y"], "c", ["bad", "good"])
    assert pairs.texts == (("a, b", "c d"), ("q", "r"))
    assert np.array_equal(pairs.labels, [1, 0])
    assert pairs.classes == ("bad", "good")
    assert read(path, ["y"], "c", ["bad", "good"]).texts == ("c d", "r")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # Numbers of JSON are indices, also where the names of the classes are numbers.
        ("a.jsonl", '{"text": "x", "label": 0}\n{"text": "y", "label": 2}\n', [0, 2]),
        ("a.jsonl", '{"text": "x", "label": "1"}\n{"text": "y", "label": "3"}\n', [0, 2]),
        # A column is names or indices as a whole.
        ("a.csv", "text,label\nx,1\ny,3\n", [0, 2]),
        ("a.csv", "text,label\nx,0\ny,1\nz,2\n", [0, 1, 2]),
    ],
)
def test_class_names_that_are_numbers(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    found = read(path, ["text"], "label", ["1", "2", "3"])
    assert list(found.labels) == expected


def test_quotes_in_a_tsv_are_literal(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"odd\t1\nsay "so"\t0\n')
    assert read(path, ["text"], "label", ["0", "1"]).texts == ('"odd', 'say "so"')


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "sentence,label\nx,1\n", "line 2 has no column 'text', only sentence, label"),
        ("a.csv", "text,label\nx,fine\n", "line 2: the label 'fine' is neither"),
        ("a.csv", "text,label\n", "has no examples"),
        ("a.csv", "text,label\nonly\n", "line 2 has no value in the column 'label'"),
        ("a.jsonl", "{x}\n", "line 1 is not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1 must be a JSON object"),
        ("a.jsonl", '{"text": "x", "label": true}\n', "line 1: the label 'True' is neither"),
        ("a.csv", "text,label\nx,7\n", "Label 7 of example 0 is outside"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path, ["text"], "label", ["bad", "good"])
