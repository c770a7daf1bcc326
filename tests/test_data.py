from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch import TextDataset
from rosearch.data import as_dataset
from rosearch.errors import ArgumentError, DataError


def make(n: int = 10, classes: int = 2) -> TextDataset:
    return TextDataset([f"text {i}" for i in range(n)], [i % classes for i in range(n)])


class Split:
    """What ``from_hf`` reads of a ``datasets.Dataset``."""

    def __init__(self, names=None, **columns):
        self.columns = columns
        self.column_names = list(columns)
        label = SimpleNamespace(names=names) if names else SimpleNamespace()
        self.features = {name: SimpleNamespace() for name in columns} | {"label": label}

    def __getitem__(self, column):
        return self.columns[column]


def test_a_data_set_is_a_checked_immutable_sequence():
    data = make(5)
    assert len(data) == 5
    assert data[1] == ("text 1", 1)
    assert data[1:3] == TextDataset(["text 1", "text 2"], [1, 0])
    assert data.classes == ("0", "1")
    assert data.labels.dtype == np.int64
    assert repr(data) == "TextDataset(5 texts; 0: 3, 1: 2)"
    assert [text for text, _ in data] == list(data.texts)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.texts = ()
    with pytest.raises(ValueError, match="read-only"):
        data.labels[0] = 1
    again = pickle.loads(pickle.dumps(data))
    assert again == data
    assert hash(again) == hash(data)


def test_the_callers_labels_stay_the_callers():
    labels = np.array([0, 1])
    TextDataset(["a", "b"], labels)
    labels[0] = 1  # still writeable


def test_pairs():
    data = TextDataset([("a", "b"), ["c", "d"]], [0, 2])
    assert data.is_pairs
    assert data.texts[1] == ("c", "d")
    assert data.classes == ("0", "1", "2")
    assert "2 pairs" in repr(data)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ("abc", [0, 0, 0], "got one str"),
        ([], [], "at least one text"),
        (["a"], [0, 1], "1 texts and labels of shape"),
        (["a", "b"], [0.0, 1.0], "must be class indices"),
        (["a", "b"], ["x", "y"], "Map class names"),
        (["a", "b"], [0, -1], "Label -1 of example 1 is outside 0 to 0"),
        (["a", ("b", "c")], [0, 0], "1 texts and 1 pairs"),
        (["a", None], [0, 0], "Text 1 must be a str or a pair of str, got NoneType"),
        (["a", ("b", 3)], [0, 0], "pair of str, got tuple .*b', 3"),
        (["a", ("b", "c", "d")], [0, 0], "pair of str, got tuple"),
    ],
)
def test_bad_input_is_refused_with_the_example_named(texts, labels, message):
    with pytest.raises(DataError, match=message):
        TextDataset(texts, labels, classes=None if "outside" not in message else ["only"])


def test_empty_texts_are_texts():
    assert TextDataset(["a", "", " \n"], [0, 1, 0]).texts == ("a", "", " \n")
    assert TextDataset([("a", ""), ("b", "c")], [0, 1]).texts[0] == ("a", "")


def test_a_label_outside_the_classes_is_refused():
    with pytest.raises(DataError, match=r"Label 2 of example 1 is outside 0 to 1 .*: bad, good\)"):
        TextDataset(["a", "b"], [0, 2], classes=["bad", "good"])


def test_fingerprint_depends_on_all_content_and_nothing_else():
    data = make()
    others = [
        make(9),
        TextDataset(data.texts, 1 - data.labels),
        TextDataset(data.texts, data.labels, classes=["no", "yes"]),
        TextDataset(["text 0 ", *data.texts[1:]], data.labels),
        TextDataset([(text, "x") for text in data.texts], data.labels),
    ]
    prints = {d.fingerprint for d in [data, *others]}
    assert len(prints) == 6
    assert make().fingerprint == data.fingerprint
    # The borders between texts count, not only their letters.
    assert TextDataset(["ab", "c"], [0, 1]) != TextDataset(["a", "bc"], [0, 1])
    # So do where class names end, and whether two texts are a pair.
    single = TextDataset.unlabelled(["a", "b"], classes=["x"])
    assert single != TextDataset.unlabelled([("a", "b")], classes=["x"])
    assert TextDataset.unlabelled(["b", "", "c"], classes=["a"]) != TextDataset.unlabelled(
        ["c"], classes=["a", "", "b"]
    )
    assert isinstance(TextDataset(["lone surrogate \ud800"], [0]).fingerprint, str)


@given(
    labels=st.lists(st.integers(0, 3), min_size=8, max_size=80),
    shares=st.sampled_from([(0.5, 0.5), (0.7, 0.1, 0.2), (4, 2), (1, 1, 1), (0.25,)]),
    seed=st.integers(0, 5),
)
def test_split_is_disjoint_stratified_and_repeatable(labels, shares, seed):
    data = TextDataset([f"t{i}" for i in range(len(labels))], labels, classes="abcd")
    parts = data.split(*shares, seed=seed)
    wanted = [s * len(data) if isinstance(s, float) else s for s in shares]
    assert all(abs(len(part) - n) <= 1 for part, n in zip(parts, wanted, strict=True))
    texts = [text for part in parts for text in part.texts]
    assert len(set(texts)) == len(texts)
    assert parts == data.split(*shares, seed=seed)
    counts = np.bincount(data.labels, minlength=4)
    for part in parts:
        expected = counts * len(part) / len(data)
        assert (np.abs(np.bincount(part.labels, minlength=4) - expected) < 2).all()
        assert part.classes == data.classes
        for text, label in part:
            assert data[data.texts.index(text)][1] == label


def test_split_with_other_seeds_differs():
    data = make(100)
    assert data.split(0.5, seed=0) != data.split(0.5, seed=1)


@pytest.mark.parametrize("sizes", [(), (0,), (8, 3), (0.01,), (0.9, 0.2), (-1,)])
def test_impossible_splits_are_refused(sizes):
    with pytest.raises(DataError, match="Cannot split 10 examples"):
        make().split(*sizes)


def test_majority_share():
    assert TextDataset("a b c d".split(), [0, 1, 1, 1]).majority_share == 0.75


def test_from_hf_reads_columns_and_class_names():
    split = Split(names=["bad", "good"], text=["a", "b"], label=[0, 1])
    assert TextDataset.from_hf(split) == TextDataset(["a", "b"], [0, 1], classes=["bad", "good"])
    pair = Split(premise=["a"], hypothesis=["b"], label=[0])
    data = TextDataset.from_hf(pair, text=("premise", "hypothesis"))
    assert data.texts == (("a", "b"),)


def test_from_hf_names_a_missing_column_and_refuses_hidden_labels():
    split = Split(sentence=["a"], label=[-1])
    with pytest.raises(DataError, match="no column 'text', only sentence, label"):
        TextDataset.from_hf(split)
    with pytest.raises(DataError, match="Label -1"):
        TextDataset.from_hf(split, text="sentence")


class TestWithoutLabels:
    def test_all_but_the_labels_is_there(self):
        data = TextDataset.unlabelled(["a", "b", "c"], classes=("no", "yes"))
        assert not data.is_labelled
        assert data == TextDataset(["a", "b", "c"], None, classes=("no", "yes"))
        assert data.texts == ("a", "b", "c")
        assert repr(data) == "TextDataset(3 texts without labels; no, yes)"
        assert data[1:].texts == ("b", "c")
        assert pickle.loads(pickle.dumps(data)) == data
        assert make().is_labelled

    @pytest.mark.parametrize(
        "use",
        [lambda d: d.labels, lambda d: d[0], list, lambda d: d.majority_share],
        ids=["labels", "item", "iteration", "majority"],
    )
    def test_labels_are_refused(self, use):
        with pytest.raises(
            DataError, match="Labels are needed here, and these 2 texts are unlabelled"
        ):
            use(TextDataset.unlabelled(["a", "b"], classes="xy"))

    def test_they_are_other_data_than_labelled_ones(self):
        labelled = TextDataset(["a", "b"], [0, 1])
        prints = {
            labelled.fingerprint,
            TextDataset(["a", "b"], [1, 0]).fingerprint,
            TextDataset.unlabelled(["a", "b"], classes=labelled.classes).fingerprint,
            TextDataset.unlabelled(["b", "a"], classes=labelled.classes).fingerprint,
        }
        assert len(prints) == 4

    def test_classes_must_be_named(self):
        with pytest.raises(DataError, match="Unlabelled texts need classes="):
            TextDataset(["a"], None)

    def test_splits_are_random(self):
        data = TextDataset.unlabelled([f"t{i}" for i in range(50)], classes="xyz")
        first, second = data.split(20, 30, seed=1)
        assert sorted(first.texts + second.texts) == sorted(data.texts)
        assert first == data.split(20, 30, seed=1)[0]
        assert first != data.split(20, 30, seed=2)[0]
        assert not first.is_labelled


class TestHuggingFace:
    """With the objects of the package itself."""

    @pytest.fixture(autouse=True)
    def _package(self):
        self.package = pytest.importorskip("datasets")

    def split(self, names=("bad", "good"), **columns):
        features = self.package.Features(
            {
                name: self.package.ClassLabel(names=list(names))
                if name == "label" and names
                else self.package.Value("int64" if name == "label" else "string")
                for name in columns
            }
        )
        return self.package.Dataset.from_dict(columns, features=features)

    def test_texts_labels_and_names(self):
        split = self.split(text=["a", "b", "c"], label=[0, 1, 1])
        assert TextDataset.from_hf(split) == TextDataset(
            ["a", "b", "c"], [0, 1, 1], classes=("bad", "good")
        )
        shuffled = split.shuffle(seed=0).select([0, 1])
        assert TextDataset.from_hf(shuffled).texts == tuple(shuffled["text"])

    def test_pairs_and_three_classes(self):
        names = ("entailment", "neutral", "contradiction")
        split = self.split(names, premise=["a", "b"], hypothesis=["c", "d"], label=[2, 0])
        data = TextDataset.from_hf(split, text=("premise", "hypothesis"))
        assert data.texts == (("a", "c"), ("b", "d"))
        assert data.classes == names
        assert data.labels.tolist() == [2, 0]

    def test_plain_numbers_and_own_names(self):
        split = self.split(None, text=["a", "b"], label=[0, 1])
        assert TextDataset.from_hf(split).classes == ("0", "1")
        assert TextDataset.from_hf(split, classes=("no", "yes")).classes == ("no", "yes")

    def test_hidden_labels_of_a_test_split(self):
        split = self.split(text=["a", "b"], label=[-1, -1])
        with pytest.raises(DataError, match=r"Label -1 of example 0 .* pass labels=None"):
            TextDataset.from_hf(split)
        data = TextDataset.from_hf(split, label=None, classes=("bad", "good"))
        assert data == TextDataset.unlabelled(["a", "b"], classes=("bad", "good"))

    def test_a_streamed_split(self):
        split = self.split(text=["a", "b"], label=[0, 1]).to_iterable_dataset()
        assert TextDataset.from_hf(split) == TextDataset(
            ["a", "b"], [0, 1], classes=("bad", "good")
        )

    def test_what_is_no_split_or_holds_no_texts(self):
        split = self.split(text=["a", "b"], label=[0, 1])
        whole = self.package.DatasetDict({"train": split, "test": split})
        with pytest.raises(DataError, match=r"got the splits train, test.*dataset\['train'\]"):
            TextDataset.from_hf(whole)
        with pytest.raises(DataError, match="no column 'sentence', only text, label"):
            TextDataset.from_hf(split, text="sentence")
        with pytest.raises(DataError, match=r"must be a datasets.Dataset, got list"):
            TextDataset.from_hf([{"text": "a", "label": 0}])
        names = self.package.Dataset.from_dict({"text": ["a"], "label": ["good"]})
        with pytest.raises(DataError, match="labels must be class indices"):
            TextDataset.from_hf(names)
        missing = self.package.Dataset.from_dict({"text": ["a", None], "label": [0, 1]})
        with pytest.raises(DataError, match="Text 1 must be a str or a pair of str, got NoneType"):
            TextDataset.from_hf(missing)


@pytest.mark.parametrize("classes", [[], ["a", "a"], [0, 1], [None, "a"]])
def test_class_names_are_distinct_strings(classes: Any) -> None:
    with pytest.raises(DataError, match="distinct str"):
        TextDataset(["x", "y"], [0, 1], classes=classes)


def test_truth_values_are_no_indices() -> None:
    data = TextDataset(["x", "y", "z"], [0, 1, 0])
    mask = data.labels == 0
    with pytest.raises(DataError, match="flatnonzero"):
        data.select(mask)
    assert data.select(np.flatnonzero(mask)).texts == ("x", "z")
    with pytest.raises(IndexError):
        data.select([3])


def test_shares_may_be_numbers_of_numpy() -> None:
    data = TextDataset([f"t{k}" for k in range(10)], [k % 2 for k in range(10)])
    parts = data.split(np.float32(0.5), np.float64(0.5))
    assert [len(part) for part in parts] == [5, 5]
    assert parts == data.split(0.5, 0.5)


class TestPandas:
    @pytest.fixture(autouse=True)
    def _package(self):
        self.pandas = pytest.importorskip("pandas")

    def test_texts_labels_and_pairs(self):
        frame = self.pandas.DataFrame({"q": ["u", "v"], "a": ["w", "x"], "y": [1, 0]}, index=[7, 3])
        found = TextDataset.from_pandas(frame, text=("q", "a"), label="y")
        assert found == TextDataset([("u", "w"), ("v", "x")], [1, 0])
        named = TextDataset.from_pandas(frame, text="q", label=None, classes=["no", "yes"])
        assert named == TextDataset.unlabelled(["u", "v"], classes=["no", "yes"])

    def test_names_and_categories(self):
        frame = self.pandas.DataFrame({"text": ["u", "v"], "label": ["yes", "no"]})
        expected = TextDataset(["u", "v"], [1, 0], classes=["no", "yes"])
        assert TextDataset.from_pandas(frame, classes=["no", "yes"]) == expected
        frame["label"] = self.pandas.Categorical(frame.label, categories=["no", "yes"])
        assert TextDataset.from_pandas(frame) == expected

    def test_what_is_missing_is_named(self):
        frame = self.pandas.DataFrame({"text": ["u", None, "w"], "label": [1, 0, None]})
        with pytest.raises(DataError, match="no column 'sentence', only text, label"):
            TextDataset.from_pandas(frame, text="sentence")
        with pytest.raises(DataError, match="Text 1 must be a str or a pair of str"):
            TextDataset.from_pandas(frame)
        with pytest.raises(DataError, match="Example 2 has no label"):
            TextDataset.from_pandas(frame.fillna({"text": "v"}))
        with pytest.raises(DataError, match="has the column 'text' twice"):
            TextDataset.from_pandas(frame[["text", "text", "label"]])
        with pytest.raises(DataError, match=r"must be a pandas\.DataFrame, got dict"):
            TextDataset.from_pandas({"text": ["u"]})


def test_names_of_classes_are_labels_where_classes_are_given() -> None:
    named = TextDataset(["u", "v"], ["yes", "no"], classes=["no", "yes"])
    assert named == TextDataset(["u", "v"], [1, 0], classes=["no", "yes"])
    assert (
        TextDataset(["u", "v"], np.array(["yes", "no"]), classes=np.array(["no", "yes"])) == named
    )
    with pytest.raises(DataError, match="pass all names in the order of their indices as classes="):
        TextDataset(["u", "v"], ["yes", "no"])


class TestAsDataset:
    def test_lists_of_texts_and_labels(self):
        expected = TextDataset(["u", "v"], [1, 0])
        assert as_dataset("dev", expected) is expected
        assert as_dataset("dev", [("u", 1), ("v", 0)]) == expected
        assert as_dataset("dev", [["u", np.int64(1)], ["v", 0]]) == expected
        assert as_dataset("dev", [(("u", "v"), 1)]).is_pairs

    def test_tables(self):
        expected = TextDataset(["u", "v"], [1, 0])
        assert as_dataset("dev", Split(text=["u", "v"], label=[1, 0])) == expected
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"text": ["u", "v"], "label": [1, 0]})
        assert as_dataset("dev", frame) == expected

    @pytest.mark.parametrize(
        "data", [["u", "v"], [("u", "v")], [], "u", None, {"text": ["u"]}, [("u", 1), ("v",)]]
    )
    def test_anything_else_is_refused(self, data):
        with pytest.raises(ArgumentError, match=r"dev must be a TextDataset, .*list of pairs"):
            as_dataset("dev", data)

    def test_a_bad_label_is_named(self):
        with pytest.raises(DataError, match="Example 1 has no label"):
            as_dataset("dev", [("u", 1), ("v", None)])
