"""Vocabularies of WordPiece, byte-level BPE and SentencePiece tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import rosearch.operators as ops
from tests.operators.inputs.examples import Near, make, words


@pytest.mark.parametrize(
    "name", ["character_embedding", "neighbour_smoothed_embedding", "synonym_code_embedding"]
)
def test_prepare_with_another_vocabulary_raises(name: str) -> None:
    made = make(name)
    with pytest.raises(ValueError, match="size=36"):
        made.prepare(words("good"), Near({}))


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
    def test_marks_before_words(self, mark: str) -> None:
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

    def test_every_token_is_a_word_without_marks(self) -> None:
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
