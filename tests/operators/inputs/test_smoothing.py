"""Smoothing over nearest words."""

from __future__ import annotations

import torch

from rosearch.operators.inputs.testing import (
    SmallNearestWords,
    small_vocabulary,
)
from tests.operators.inputs.examples import Near, make, words


class TestSmoothing:
    def test_table_is_multiplied_by_a_stochastic_matrix(self) -> None:
        vocabulary = words("good", "great", "fine", "film")
        near = {
            "good": [("great", 0.9), ("fine", 0.3)],
            "great": [("good", 0.9)],
        }
        made = make("neighbour_smoothed_embedding", vocabulary, strength=0.5)
        made.prepare(vocabulary, Near(near))
        matrix = torch.eye(5)
        matrix[1] = torch.tensor([0.0, 0.5, 0.375, 0.125, 0.0])
        matrix[2] = torch.tensor([0.0, 0.5, 0.5, 0.0, 0.0])
        torch.testing.assert_close(made.tokens.table(), matrix @ made.tokens.weight)
        ids = torch.tensor([[1, 4, 2], [3, 0, 0]])
        out = made.vectors(ids, ids.bool())
        torch.testing.assert_close(out, (matrix @ made.tokens.weight)[ids])

    def test_prepared_again_it_forgets_the_words_before(self) -> None:
        vocabulary = words("good", "great", "fine", "film")
        made = make("neighbour_smoothed_embedding", vocabulary, strength=0.5)
        made.prepare(vocabulary, Near({"good": [("great", 0.9), ("fine", 0.3)]}))
        made.prepare(vocabulary, Near({"great": [("good", 0.9)]}))
        matrix = torch.eye(5)
        matrix[2] = torch.tensor([0.0, 0.5, 0.5, 0.0, 0.0])
        torch.testing.assert_close(made.tokens.table(), matrix @ made.tokens.weight)

    def test_synonyms_become_more_similar(self) -> None:
        made = make("neighbour_smoothed_embedding", strength=0.75)
        texts = small_vocabulary().texts
        good, great = texts.index("good"), texts.index("great")
        before = (made.tokens.table()[good] - made.tokens.table()[great]).norm()
        made.prepare(small_vocabulary(), SmallNearestWords())
        assert (made.tokens.table()[good] - made.tokens.table()[great]).norm() < before / 2

    def test_looks_up_as_many_neighbours_as_it_uses(self) -> None:
        nearest_words = Near({})
        made = make("neighbour_smoothed_embedding", neighbours=8)
        made.prepare(small_vocabulary(), nearest_words)
        assert nearest_words.asked == [8]
        assert torch.equal(made.tokens.table(), made.tokens.weight)
