from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.data import TextDataset
from rosearch.encode import TypoClusters, single_typos
from rosearch.errors import ArgumentError, GenomeError

TRAIN = TextDataset(
    ["table stone"] * 6 + ["cable store"] * 5 + ["fable stone"] * 2 + ["taxable a of"],
    [1] * 6 + [0] * 5 + [1] * 2 + [0],
    classes=("no", "yes"),
)


def clusters(encoding: TypoClusters) -> set[frozenset[str]]:
    words = encoding.learnt["words"]
    codes = [encoding(word) for word in words]
    return {frozenset(w for w, c in zip(words, codes, strict=True) if c == code) for code in codes}


def reached(words: list[str]) -> list[set[int]]:
    """By word, the words that it is read as with a typo, by the definition."""
    typos = [single_typos(word) for word in words]
    ranks = {word: rank for rank, word in enumerate(words)}
    return [
        {rank} | {ranks.get(t, next(r for r, have in enumerate(typos) if t in have)) for t in own}
        for rank, own in enumerate(typos)
    ]


def objective(
    parts: list[list[int]],
    owners: list[set[int]],
    weights: np.ndarray,
    vectors: np.ndarray,
    gamma: float,
) -> float:
    """The paper's objective by its definition."""
    code = {word: number for number, part in enumerate(parts) for word in part}
    codes = [len({code[owner] for owner in found}) for found in owners]
    far = 0.0
    for part in parts:
        mean = (weights[part, None] * vectors[part]).sum(0) / weights[part].sum()
        far += float((weights[part] * ((vectors[part] - mean) ** 2).sum(1)).sum())
    return gamma * far + (1 - gamma) * float(weights @ codes)


def test_words_that_share_typos_are_read_as_the_most_frequent() -> None:
    encoding = TypoClusters.fit(TRAIN, method="components")
    assert encoding("stone Store stoe") == "stone stone stone"
    # The first letter stays, so that these share no typo.
    assert encoding("table cable fable") == "table cable fable"


def test_the_weight_of_fidelity_keeps_words_of_other_classes_apart() -> None:
    assert TypoClusters.fit(TRAIN, gamma=0.0)("store stone") == "stone stone"
    assert TypoClusters.fit(TRAIN, gamma=1.0)("store stone") == "store stone"


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_no_merge_of_two_clusters_lowers_the_objective(gamma: float) -> None:
    words = "store shore stare stars state stone stony shone".split()
    texts = [word for number, word in enumerate(words) for _ in range(12 - number)]
    labels = [len(text) * number % 2 for number, text in enumerate(texts)]
    train = TextDataset(texts, labels, classes=("no", "yes"))
    encoding = TypoClusters.fit(train, gamma=gamma)
    order = encoding.learnt["words"]
    weights = np.array([texts.count(word) for word in order]) / len(texts)
    scores = np.zeros((len(order), 2))
    for text, label in zip(texts, labels, strict=True):
        scores[order.index(text), label] += 1
    share = np.bincount(labels) / len(texts)
    scores = (scores + share) / (scores.sum(1, keepdims=True) + 1)
    scores *= np.sqrt(10 / (2 * scores.var(axis=0).sum()))
    parts = [sorted(map(order.index, cluster)) for cluster in clusters(encoding)]
    owners = reached(order)
    found = objective(parts, owners, weights, scores, gamma)
    alone = [[rank] for rank in range(len(order))]
    assert found < objective(alone, owners, weights, scores, gamma)
    for a in parts:
        for b in parts:
            if a < b:
                merged = [part for part in parts if part not in (a, b)] + [a + b]
                assert objective(merged, owners, weights, scores, gamma) > found - 1e-12


def test_a_typo_is_read_as_the_most_frequent_word_that_has_it() -> None:
    encoding = TypoClusters.fit(TRAIN, gamma=1.0)
    assert "stoe" in single_typos("store") & single_typos("stone")
    assert encoding("stoe strore tabble TABLE") == "stone store table table"


def test_words_that_are_no_typo_stay_or_are_one_word() -> None:
    assert TypoClusters.fit(TRAIN)("Guitar x2 фильм") == "guitar x2 фильм"
    merged = TypoClusters.fit(TRAIN, unknown="unk")
    assert merged("Guitar violin x2 фильм stone unk") == "unk unk x2 фильм stone unk"


def test_only_the_most_frequent_words_have_codes() -> None:
    assert TypoClusters.fit(TRAIN, words=2).learnt["words"] == ["stone", "table"]


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"gamma": 1.5}, ArgumentError),
        ({"words": 0}, ArgumentError),
        ({"method": "x"}, GenomeError),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(setting))):
        TypoClusters.fit(TRAIN, **setting)


@settings(max_examples=100, deadline=None)
@given(st.text("abelortsxy-' ", max_size=14))
def test_canonical_texts_are_their_own(text: str) -> None:
    encoding = TypoClusters.fit(TRAIN, unknown="unk")
    assert encoding(encoding(text)) == encoding(text)
