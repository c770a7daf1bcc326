"""Character n-grams of words and of their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

import rosearch.operators as ops
from rosearch.operators.inputs.characters import INSIDE, bucket
from tests.operators.inputs.examples import Near, make, words


def grams(made: Any, ids: Sequence[int]) -> list[list[int]]:
    """The rows that each token's word reads, sorted."""
    row = torch.tensor([list(ids)])
    found, linked = made.grams(row, torch.ones_like(row, dtype=torch.bool))
    out: list[list[int]] = []
    for own, goes_on in zip(found[0].tolist(), linked[0].tolist(), strict=True):
        own = [g for g in own if g]
        if goes_on:
            out[-1] += own
        else:
            out.append(own)
    return [sorted(word) for word in out]


class TestCharacters:
    PIECES = ("terrible", "te", "rri", "bel", "ble", "t", "e", "r", "i", "b", "l", ".", "a")

    def vocabulary(self) -> ops.Vocabulary:
        begins = ("terrible", "te", "t", ".", "a")
        texts = ("[PAD]", "[CLS]", *self.PIECES)
        return ops.Vocabulary(
            texts, tuple(t in begins for t in texts), tuple(t.startswith("[") for t in texts)
        )

    def made(self, *, split: str = "both", **parameters: Any) -> Any:
        made = make("character_embedding", self.vocabulary(), inner=32, split=split, **parameters)
        made.prepare(self.vocabulary(), Near({}))
        return made

    def ids(self, *texts: str) -> list[int]:
        return [self.vocabulary().texts.index(text) for text in texts]

    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_n_grams_by_hand(self, size: int) -> None:
        made = self.made(size=size)
        for word in ("terrible", "a", "."):
            marked = f"\x01{word}\x02"
            expected = sorted(
                int(bucket(torch.tensor([ord(c) for c in marked[k : k + size]]), 4000))
                for k in range(len(marked) - size + 1)
            )
            assert grams(made, self.ids(word)) == [expected]

    @pytest.mark.parametrize("size", [2, 3, 4])
    @pytest.mark.parametrize(
        "pieces", [("te", "rri", "ble"), ("te", "r", "r", "i", "ble"), tuple("terrible")]
    )
    def test_a_split_word_has_the_n_grams_of_the_whole(
        self, size: int, pieces: tuple[str, ...]
    ) -> None:
        made = self.made(size=size)
        whole, split = self.ids("terrible"), self.ids(*pieces)
        (expected,) = grams(made, whole)
        assert grams(made, split) == [expected]
        # Also between other words, and beside special tokens.
        framed = [*self.ids("[CLS]", "a"), *split, *self.ids(".", "a")]
        assert grams(made, framed)[2] == expected

    def test_each_piece_reads_the_mean_over_its_word(self) -> None:
        made = self.made()
        row = torch.tensor([self.ids("a", "te", "rri", "ble", ".")])
        mask = torch.ones_like(row, dtype=torch.bool)
        added = made.vectors(row, mask) - made.tokens(row)
        for place, word in zip(range(5), (0, 1, 1, 1, 2), strict=True):
            expected = made.ngrams.weight[grams(made, row[0].tolist())[word]].mean(dim=0)
            torch.testing.assert_close(added[0, place], expected)

    def test_split_spelling_omits_the_vectors_of_pieces(self) -> None:
        both, spelt = self.made(), self.made(split="spelling")
        row = torch.tensor([self.ids("[CLS]", "a", "te", "rri", "ble", ".", "terrible")])
        mask = torch.ones_like(row, dtype=torch.bool)
        own = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]).unsqueeze(1)
        expected = both.vectors(row, mask) - both.tokens(row) * (1 - own)
        torch.testing.assert_close(spelt.vectors(row, mask), expected)
        # All pieces of the word, and no other, read the same.
        assert (spelt.vectors(row, mask)[0, 2:4] == spelt.vectors(row, mask)[0, 4]).all()

    def test_a_typo_stays_near_its_word(self) -> None:
        made = self.made()

        def vector(*texts: str) -> torch.Tensor:
            row = torch.tensor([self.ids(*texts)])
            mask = torch.ones_like(row, dtype=torch.bool)
            out: torch.Tensor = (made.vectors(row, mask) - made.tokens(row))[0, 0]
            return out

        word, typo = vector("terrible"), vector("te", "rri", "bel")
        other = vector("t", "i", "l", "i", "b", "i", "bel")
        assert cosine_similarity(word, typo, dim=0) > 0.4
        assert cosine_similarity(word, typo, dim=0) > cosine_similarity(word, other, dim=0) + 0.2

    def test_capitals_and_long_tokens(self) -> None:
        long = "pneumonoultramicroscopic"
        vocabulary = words("good", "GOOD", long)
        made = make("character_embedding", vocabulary, size=3)
        made.prepare(vocabulary, Near({}))
        assert grams(made, [1]) == grams(made, [2])
        # What stands within is cut; the two ends are not.
        assert len(grams(made, [3])[0]) == INSIDE + 2

    def test_byte_level_pieces_do_not_join_punctuation(self) -> None:
        vocabulary = ops.Vocabulary(
            ("[PAD]", "good", ",", "ness"), (False, True, False, False), (True, False, False, False)
        )
        made = make("character_embedding", vocabulary)
        made.prepare(vocabulary, Near({}))
        assert len(grams(made, [1, 2])) == 2
        assert len(grams(made, [1, 3])) == 1
        assert len(grams(made, [1, 2, 3])) == 3

    def test_fit_is_a_regression_on_the_teacher(self) -> None:
        generator = torch.Generator().manual_seed(0)
        letters = [chr(97 + int(k)) for k in torch.randint(0, 26, (3000,), generator=generator)]
        texts = sorted({"".join(letters[k : k + 6]) for k in range(0, 3000, 6)})
        vocabulary = words(*texts)
        made = make("character_embedding", vocabulary, inner=16, size=2)
        made.prepare(vocabulary, Near({}))
        ids = torch.arange(1, len(texts) + 1).unsqueeze(1)
        mask = torch.ones_like(ids, dtype=torch.bool)
        with torch.no_grad():
            # A teacher whose vectors do follow from the spelling.
            made.ngrams.weight[1:] = torch.randn(made.ngrams.weight[1:].shape, generator=generator)
            true = (made.vectors(ids, mask) - made.tokens(ids))[:, 0]
            table = torch.cat([torch.zeros(1, 16), true])
            made.ngrams.weight.zero_()
            made.adopt(table)
            found = (made.vectors(ids, mask) - made.tokens(ids))[:, 0]
        assert cosine_similarity(found, true, dim=1).mean() > 0.8
        assert (made.ngrams.weight[0] == 0).all()

    def test_before_prepare_it_is_the_plain_input(self) -> None:
        made = make("character_embedding")
        ids = torch.arange(1, 9).unsqueeze(0)
        assert torch.equal(made.vectors(ids, ids.bool()), made.tokens(ids))
