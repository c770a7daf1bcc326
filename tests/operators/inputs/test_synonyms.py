"""Synonym codes."""

from __future__ import annotations

import torch

from rosearch.operators.inputs.testing import (
    SmallNearestWords,
    small_vocabulary,
)
from tests.operators.inputs.examples import Near, make, words


class TestCodes:
    def test_algorithm_1_by_hand(self) -> None:
        vocabulary = words("good", "fine", "nice", "great", "grand", "film", "lone")
        near = {
            "good": [("great", 0.9), ("fine", 0.8)],
            "nice": [("grand", 0.9), ("fine", 0.7)],  # takes over the code of "fine"
            "great": [("film", 0.95)],  # has a code, and hands it on
            "film": [("lone", 0.1)],  # too far
        }
        made = make("synonym_code_embedding", vocabulary, threshold=0.6)
        made.prepare(vocabulary, Near(near))
        assert made.tokens.codes.tolist() == [0, 1, 1, 1, 1, 1, 1, 7]

    def test_code_is_that_of_the_nearest_synonym_with_one(self) -> None:
        vocabulary = words("good", "movie", "pleasant")
        near = {"pleasant": [("movie", 0.9), ("good", 0.8)]}
        made = make("synonym_code_embedding", vocabulary)
        made.prepare(vocabulary, Near(near))
        assert made.tokens.codes.tolist() == [0, 1, 2, 2]

    def test_synonyms_share_a_vector_and_other_words_do_not(self) -> None:
        made = make("synonym_code_embedding")
        made.prepare(small_vocabulary(), SmallNearestWords())
        place = small_vocabulary().texts.index
        ids = torch.tensor([[place("good")], [place("fine")], [place("bad")]])
        good, fine, bad = made(ids, ids.bool(), None)
        assert torch.equal(good, fine)
        assert not torch.allclose(good, bad)
