"""Labels as class indices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rosearch.errors import DataError
from rosearch.labels import class_indices, is_missing

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


def test_missing_values_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    gaps = pandas.Series(pandas.array([1, None, 0], dtype="Int64"))
    with pytest.raises(DataError, match="Example 1 has no label, got <NA>"):
        class_indices(gaps, 3, None)
    assert class_indices(gaps.dropna(), 2, None).tolist() == [1, 0]
    assert is_missing(pandas.NaT)
    assert not is_missing("nan")
