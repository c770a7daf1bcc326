"""Labels as class indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rosearch.data import TextDataset
from rosearch.errors import DataError
from rosearch.labels import class_indices, is_missing, read_labels

NAMES = ("sour", "sweet", "salty")


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        np.array([2, 0, 1], dtype=np.uint8),
        torch.tensor([2, 0, 1]),
        [np.int32(2), 0, torch.tensor(1)],
        (label for label in (2, 0, 1)),
        ["salty", "sour", "sweet"],
        np.array(["salty", "sour", "sweet"]),
        [2, "sour", 1],
    ],
)
def test_indices_of_any_integer_type_and_names(labels: object) -> None:
    found = class_indices(labels, 3, NAMES)  # type: ignore[arg-type]
    assert found.dtype == np.int64
    assert found.tolist() == [2, 0, 1]
    assert not found.flags.writeable


def test_names_may_look_like_numbers() -> None:
    assert class_indices(["5", "1"], 2, ["1", "5"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, None], "Example 2 has no label, got None"),
        ([0.0, float("nan"), 1.0], "Example 1 has no label, got nan"),
        (["sour", "sweet", np.nan], "Example 2 has no label"),
        (np.array([np.nan, 1, 2]), "Example 0 has no label"),
        ([0, 1.0, 2], r"must be class indices.* got 1\.0 \(float\) of example 1.*Convert"),
        ([True, False, 1], r"must be class indices.* got True \(bool\) of example 0"),
        ([0, np.bool_(True), 1], r"must be class indices.*of example 1.*Convert"),
        ([0, 0.5, 1], r"got 0\.5 \(float\) of example 1\.$"),
        (np.ma.array([0, 1, 2], mask=[0, 0, 1]), "Example 2 has no label"),
        (torch.tensor([1.0, float("nan"), 0.0]), "Example 1 has no label"),
        ([0, 1, 2**70], f"Label {2**70} of example 2 is outside 0 to 2"),
        (["sour", "bitter", "sweet"], "'bitter' of example 1 is none of the classes sour, sweet"),
        (["0", "1", "2"], "'0' of example 0 is none of the classes"),
        ([0, 3, 1], "Label 3 of example 1 is outside 0 to 2"),
        ([0, [1, 0], 1], r"got \[1, 0\] \(list\) of example 1"),
        (np.eye(3, dtype=int), "must be class indices"),
        ([0, b"sour", 1], r"\(bytes\) of example 1"),
        ([0, 1], "3 texts and labels of shape"),
    ],
)
def test_the_first_bad_example_is_named(labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_indices(labels, 3, NAMES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (2**70, str(2**70)),
        (-(2**70), str(-(2**70))),
        (np.uint64(2**63), str(2**63)),
        (10**7, "10000000"),
        pytest.param(10**5000, "of more than 80 digits", id="10**5000"),
        (-1, "-1 of example 1 is outside .*If -1 means no label"),
    ],
)
def test_a_label_that_can_be_no_index_is_named_without_classes(label: object, told: str) -> None:
    with pytest.raises(DataError, match=f"Label {told}"):
        class_indices([0, label, 1], 3, None)
    with pytest.raises(DataError, match="example 1 is outside 0 to 999999"):
        TextDataset(["sour", "sweet", "salty"], [0, label, 1])  # type: ignore[list-item]


@pytest.mark.parametrize("cell", [str(2**70), f"{2**70}.0", "9" * 80, 2**70, 2**1100, 1e30])
def test_such_a_label_in_a_file_is_named(cell: object) -> None:
    labels = read_labels([("line 2", 0), ("line 3", cell)], None)
    with pytest.raises(DataError, match="of example 1 is outside 0 to 999999"):
        class_indices(labels, 2, None)


@pytest.mark.parametrize("cell", ["9" * 81, "1" * 5000, "1e400"])
def test_a_number_without_end_is_no_class_index(cell: str) -> None:
    with pytest.raises(DataError, match="line 3: the label '"):
        read_labels([("line 2", "0"), ("line 3", cell)], None)


def test_long_indices_are_read_exactly() -> None:
    assert read_labels([("line 2", "9007199254740993")], None) == [9007199254740993]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_files_and_tables_with_such_a_label_are_refused(suffix: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    lines = {
        "csv": f"text,label\na,0\nb,{2**70}\n",
        "jsonl": f'{{"text": "a", "label": 0}}\n{{"text": "b", "label": {2**70}}}\n',
    }
    path = tmp_path / f"dev.{suffix}"
    path.write_text(lines[suffix])
    with pytest.raises(DataError, match=f"dev.{suffix}: Label {2**70} of example 1 is outside"):
        TextDataset.from_csv(path)
    with pytest.raises(DataError, match=f"Label {2**70} of example 1 is outside"):
        TextDataset.from_pandas(pandas.DataFrame({"text": ["a", "b"], "label": [0, 2**70]}))


def test_missing_values_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    gaps = pandas.Series(pandas.array([1, None, 0], dtype="Int64"))
    with pytest.raises(DataError, match="Example 1 has no label, got <NA>"):
        class_indices(gaps, 3, None)
    assert class_indices(gaps.dropna(), 2, None).tolist() == [1, 0]
    assert is_missing(pandas.NaT)
    assert not is_missing("nan")
