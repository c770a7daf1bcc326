"""The replacements chosen in a batch: lengths, truncation, types, and texts without any."""

from __future__ import annotations

import numpy as np
import torch

from rosearch.tokens import Truncation
from tests.distill.robust.test_word_perturbation import ROWS, SLOTS, Scored, Slots, at_work


def test_scores_of_words_that_truncation_hides() -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        rows = [(1, 5, 6, 7, 8)]
        slots: list[Slots] = [[(1, 2, [(10, 11, 12, 13)]), (4, 5, [(14,)])]]
        cut = Truncation(np.array([5]), np.array([0, 0]), np.array([], dtype=np.int32))
        _, passes, _ = at_work(
            rows, slots, model=Scored(), max_length=5, truncation=cut, steps=3, seed=seed
        )
        assert all(one["input_ids"].shape[1] == 5 for one in passes)


def test_replacements_of_other_lengths_and_a_row_that_is_full() -> None:
    slots: list[Slots] = [[(1, 3, [(20,), (21, 22, 23)]), (3, 4, [(24, 25, 26)])], []]
    seen = set()
    for longest in (5, 6, 7, 8):
        for seed in range(30):
            _, passes, _ = at_work(ROWS, slots, max_length=longest, seed=seed, steps=3)
            for one in passes:
                lengths = one["attention_mask"].sum(1).tolist()
                assert max(lengths) <= longest
                ids = [row[:n] for row, n in zip(one["input_ids"].tolist(), lengths, strict=True)]
                assert tuple(ids[1]) == ROWS[1]
                seen.add(tuple(ids[0]))
    assert seen == {
        (1, *first, *second, 2)
        for first in ((5, 6), (20,), (21, 22, 23))
        for second in ((7,), (24, 25, 26))
    }


def test_types_follow_the_words_they_stand_for() -> None:
    slots: list[Slots] = [[(1, 3, [(20,)]), (3, 4, [(24, 25)])]]
    seen = {}
    for seed in range(20):
        _, passes, _ = at_work(ROWS[:1], slots, types=True, seed=seed)
        one = passes[1]
        seen[tuple(one["input_ids"][0].tolist())] = one["token_type_ids"][0].tolist()
    assert seen[1, 20, 24, 25, 2] == [0, 1, 3, 3, 4]
    assert seen[1, 20, 7, 2] == [0, 1, 3, 4]


def test_extra_texts_are_not_perturbed() -> None:
    rows = [ROWS[0], (1, 4, 2), ROWS[1]]
    _, passes, _ = at_work(rows, [SLOTS[0]], numbers=[0, 1, 7])
    assert passes[1]["input_ids"][1:].tolist() == passes[0]["input_ids"][1:].tolist()
