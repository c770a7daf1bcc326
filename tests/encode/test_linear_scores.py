"""Scores of words by a linear model of bags of words."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.data import TextDataset
from rosearch.encode.linear_scores import linear_scores
from rosearch.seeding import generator

TEXTS = ["A good film", "a GOOD, good plot", "a dull film", "a dull plot", "so so"]
TARGETS = np.array([[0.0, 1.0], [0.2, 0.8], [0.9, 0.1], [1.0, 0.0], [0.5, 0.5]])


def gradients(texts: list[str], targets: np.ndarray, l2: float) -> np.ndarray:
    """Gradients at the scores found and the bias that suits them, which must be 0."""
    scores = linear_scores(texts, targets, l2=l2)
    bags = np.array([[word in text.lower().split() for word in scores] for text in texts], float)
    margins = bags @ np.array([scores[word][0] for word in scores])
    bias = 0.0
    for _ in range(50):
        chances = 1 / (1 + np.exp(-margins - bias))
        bias -= (chances - targets[:, 1]).sum() / (chances * (1 - chances)).sum()
    chances = 1 / (1 + np.exp(-margins - bias))
    own = np.array([scores[word][0] for word in scores])
    found: np.ndarray = bags.T @ (chances - targets[:, 1]) + l2 * own
    return found


@pytest.mark.parametrize("l2", [0.1, 1.0, 10.0])
def test_scores_of_two_classes_are_those_of_logistic_regression(l2: float) -> None:
    texts = [text.replace(",", "") for text in TEXTS]
    assert gradients(texts, TARGETS, l2) == pytest.approx(np.zeros(6), abs=2e-3)


def test_case_and_repetition_of_a_word_do_not_count() -> None:
    plain = linear_scores(["a good film", "a good plot", *TEXTS[2:]], TARGETS)
    found = linear_scores(TEXTS, TARGETS)
    assert found.keys() == plain.keys()
    assert all(np.array_equal(found[word], plain[word]) for word in plain)


def test_scores_of_several_classes_do_not_depend_on_their_order() -> None:
    rng = generator(0, "scores")
    texts = [" ".join(rng.choice(list("abcdefgh"), 4)) for _ in range(60)]
    targets = np.eye(3)[rng.integers(0, 3, 60)]
    plain = linear_scores(texts, targets)
    turned = linear_scores(texts, targets[:, [2, 0, 1]])
    for one in plain:
        assert plain[one].shape == (2,)
        for other in plain:
            distances = [np.linalg.norm(s[one] - s[other]) for s in (plain, turned)]
            assert distances[0] == pytest.approx(distances[1], abs=1e-3)


def test_both_texts_of_a_pair_count() -> None:
    found = linear_scores([("one", "good"), ("two", "bad")], np.eye(2))
    assert found.keys() == {"one", "good", "two", "bad"}
    assert found["bad"][0] > 0 > found["good"][0]


def test_scores_are_the_same_in_every_run(dataset: TextDataset) -> None:
    targets = np.eye(2)[dataset.labels]
    first, second = (linear_scores(dataset.texts, targets) for _ in range(2))
    assert all(np.array_equal(first[word], second[word]) for word in first)
