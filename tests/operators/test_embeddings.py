"""Every registered input under the conformance suite, and against its definition."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

import rosearch.operators as ops
from rosearch.operators.inputs.characters import INSIDE, bucket
from rosearch.operators.inputs.testing import (
    EmbeddingConformance,
    SmallNearestWords,
    small_vocabulary,
)

BUILT_IN = (
    "character_embedding",
    "neighbour_smoothed_embedding",
    "subword_embedding",
    "synonym_code_embedding",
)


@pytest.mark.parametrize("name", BUILT_IN)
class TestConformance(EmbeddingConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name  # type: ignore[misc]


def test_all_built_in_inputs_are_covered() -> None:
    found = ops.names(ops.EmbeddingOperator)
    assert {n for n in found if ops.get(n).__module__.startswith("rosearch.")} == set(BUILT_IN)
    for name in BUILT_IN:
        assert ops.get(name).family == "embedding"
        assert ops.get(name).source


def make(
    name: str, vocabulary: ops.Vocabulary | None = None, *, inner: int = 8, **parameters: Any
) -> Any:
    count = len(vocabulary or small_vocabulary())
    shape = ops.InputShape(
        vocabulary=count, positions=32, types=2, inner=inner, width=12, padding=0
    )
    torch.manual_seed(0)
    return ops.get(name)(shape, **ops.complete(name, parameters)).eval()


class Near:
    """A lexicon from a table."""

    settings: Mapping[str, object] = {}

    def __init__(self, table: Mapping[str, Sequence[tuple[str, float]]]) -> None:
        self.table = table
        self.asked: list[int] = []

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        self.asked.append(count)
        return [list(self.table.get(word, ()))[:count] for word in words]


def words(*texts: str) -> ops.Vocabulary:
    """[PAD] and words."""
    count = len(texts)
    return ops.Vocabulary(("[PAD]", *texts), (False, *[True] * count), (True, *[False] * count))


class TestSmoothing:
    def test_is_a_product_with_a_stochastic_matrix(self) -> None:
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

    def test_synonyms_come_nearer(self) -> None:
        made = make("neighbour_smoothed_embedding", strength=0.75)
        texts = small_vocabulary().texts
        good, great = texts.index("good"), texts.index("great")
        before = (made.tokens.table()[good] - made.tokens.table()[great]).norm()
        made.prepare(small_vocabulary(), SmallNearestWords())
        assert (made.tokens.table()[good] - made.tokens.table()[great]).norm() < before / 2

    def test_asks_for_as_many_as_it_uses(self) -> None:
        lexicon = Near({})
        made = make("neighbour_smoothed_embedding", neighbours=8)
        made.prepare(small_vocabulary(), lexicon)
        assert lexicon.asked == [8]
        assert torch.equal(made.tokens.table(), made.tokens.weight)


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

    def test_the_nearest_synonym_with_a_code_wins(self) -> None:
        vocabulary = words("good", "movie", "pleasant")
        near = {"pleasant": [("movie", 0.9), ("good", 0.8)]}
        made = make("synonym_code_embedding", vocabulary)
        made.prepare(vocabulary, Near(near))
        assert made.tokens.codes.tolist() == [0, 1, 2, 2]

    def test_synonyms_cannot_be_told_apart_and_others_can(self) -> None:
        made = make("synonym_code_embedding")
        made.prepare(small_vocabulary(), SmallNearestWords())
        place = small_vocabulary().texts.index
        ids = torch.tensor([[place("good")], [place("fine")], [place("bad")]])
        good, fine, bad = made(ids, ids.bool(), None)
        assert torch.equal(good, fine)
        assert not torch.allclose(good, bad)


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

    def test_every_piece_gets_the_mean_over_its_word(self) -> None:
        made = self.made()
        row = torch.tensor([self.ids("a", "te", "rri", "ble", ".")])
        mask = torch.ones_like(row, dtype=torch.bool)
        added = made.vectors(row, mask) - made.tokens(row)
        for place, word in zip(range(5), (0, 1, 1, 1, 2), strict=True):
            expected = made.ngrams.weight[grams(made, row[0].tolist())[word]].mean(dim=0)
            torch.testing.assert_close(added[0, place], expected)

    def test_pieces_may_be_spelt_alone(self) -> None:
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

    def test_the_start_is_a_regression_on_the_teacher(self) -> None:
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


@pytest.mark.parametrize("name", BUILT_IN[:2] + BUILT_IN[3:])
def test_another_vocabulary_is_refused(name: str) -> None:
    made = make(name)
    with pytest.raises(ValueError, match=r"size=36"):
        made.prepare(words("good"), Near({}))


def test_vocabulary_counts_its_parts() -> None:
    with pytest.raises(ValueError, match="as many"):
        dataclasses.replace(small_vocabulary(), begins=(True,))


class TestVocabulary:
    def test_word_piece(self, tokenizer: Any) -> None:
        vocabulary = ops.Vocabulary.of(tokenizer, size=len(tokenizer) + 2)
        assert len(vocabulary) == len(tokenizer) + 2
        good, piece = tokenizer.convert_tokens_to_ids(["good", "##g"])
        assert (vocabulary.texts[good], vocabulary.begins[good]) == ("good", True)
        assert (vocabulary.texts[piece], vocabulary.begins[piece]) == ("g", False)
        special = [k for k, skip in enumerate(vocabulary.special) if skip]
        assert special == [*sorted(tokenizer.all_special_ids), len(tokenizer), len(tokenizer) + 1]
        found = vocabulary.words()
        assert found["good"] == good
        assert not {"g", ".", "[CLS]", ""} & set(found)

    @pytest.mark.parametrize("mark", ["Ġ", "▁"])
    def test_marks_in_front(self, mark: str) -> None:
        made = byte_level() if mark == "Ġ" else sentence_piece()
        vocabulary = ops.Vocabulary.of(made)
        ids = made("a café café", add_special_tokens=False)["input_ids"]
        assert [vocabulary.texts[k] for k in ids[-2:]] == ["caf", "é"] or "café" in [
            vocabulary.texts[k] for k in ids
        ]
        begins = [k for k in ids if vocabulary.begins[k]]
        assert 2 <= len(begins) <= 3
        assert all(made.convert_ids_to_tokens(k).startswith(mark) for k in begins)
        assert vocabulary.special[made.unk_token_id]

    def test_without_marks_each_token_is_a_word(self) -> None:
        class Plain:
            all_special_ids = [0]

            def __len__(self) -> int:
                return 3

            def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
                return [("<unk>", "good", "film")[k] for k in ids]

        vocabulary = ops.Vocabulary.of(Plain())
        assert vocabulary.begins == (True, True, True)
        assert vocabulary.words() == {"good": 1, "film": 2}


def trained(pre_tokenizer: Any, decoder: Any, alphabet: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, models, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer, backend.decoder = pre_tokenizer, decoder
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<unk>"],
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(["a café with a good café film"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


def byte_level() -> Any:
    from tokenizers import decoders, pre_tokenizers

    before = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return trained(before, decoders.ByteLevel(), pre_tokenizers.ByteLevel.alphabet())


def sentence_piece() -> Any:
    from tokenizers import decoders, pre_tokenizers

    return trained(pre_tokenizers.Metaspace(), decoders.Metaspace(), [])
