"""Tokenizers that read canonical texts."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BertConfig, BertTokenizerFast, PreTrainedTokenizerFast

import rosearch as rs
from rosearch.encode import EncodedTokenizer, encoding_of, plain_tokenizer
from rosearch.errors import ArgumentError, DataError, RegistryError
from tests.encode.samples import registered
from tests.encode.table import Table, table

ENCODING = table(goood="good", fi_lm="film", movi="very good movie", um="")
IDENTITY = table()
TEXT = "A goood fi lm, um, movi!"
CANONICAL = "A good film, , very good movie!"

words = st.sampled_from([*"A goood good fi lm film movi um , ! \t é 🙂".split(" "), "  "])
texts = st.lists(words, max_size=9).map(" ".join)


def byte_level() -> PreTrainedTokenizerFast:
    """A tokenizer as RoBERTa's, whose mask takes the space before it."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([CANONICAL] * 9, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokens = dict(zip("bos_token pad_token eos_token unk_token".split(), special, strict=True))
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **tokens,
        model_max_length=30,
        padding_side="left",
        truncation_side="left",
        add_prefix_space=True,
        model_input_names=["input_ids", "attention_mask"],
    )
    made.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, special=True)})
    made.add_tokens(["movie!"])
    return made


@pytest.fixture(params=["wordpiece", "byte level"])
def plain(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    return tokenizer if request.param == "wordpiece" else byte_level()


@pytest.fixture
def encoded(plain: Any) -> EncodedTokenizer:
    return EncodedTokenizer.wrap(plain, ENCODING)


@pytest.fixture
def _registered() -> Iterator[None]:
    with registered(table=Table):
        yield


def shown(text: str, offsets: Any) -> list[str]:
    return [text[start:end] for start, end in offsets]


def places(found: Any, row: int, given_texts: Sequence[str]) -> list[Any]:
    """Where a row's tokens, words and characters are."""
    answers: list[Any] = [found.word_ids(row), found.sequence_ids(row)]
    answers += [found.token_to_chars(row, n) for n in range(len(found["input_ids"][row]))]
    for side, text in enumerate(given_texts):
        known = zip(found.word_ids(row), found.sequence_ids(row), strict=True)
        for number in sorted({word for word, place in known if place == side}):
            answers.append(found.word_to_chars(row, number, sequence_index=side))
        for n in range(len(text)):
            answers.append(found.char_to_token(row, n, sequence_index=side))
            if answers[-1] is not None:
                answers.append(found.char_to_word(row, n, sequence_index=side))
    return answers


class TestTokens:
    def test_every_call_reads_canonical_texts(self, plain: Any, encoded: Any) -> None:
        pad: dict[str, Any] = {"padding": True, "truncation": True, "max_length": 9}
        assert ENCODING(TEXT) == CANONICAL
        assert encoded.tokenize(TEXT) == plain.tokenize(CANONICAL)
        assert encoded.encode(TEXT) == plain.encode(CANONICAL)
        assert encoded.backend_tokenizer.encode(TEXT).ids == plain(CANONICAL)["input_ids"]
        assert encoded(TEXT).data == plain(CANONICAL).data
        assert encoded(TEXT, "a um").data == plain(CANONICAL, "a ").data
        assert encoded([TEXT, "um"], **pad).data == plain([CANONICAL, ""], **pad).data
        ids = encoded([TEXT], [TEXT], return_tensors="pt")["input_ids"]
        assert ids.equal(plain([CANONICAL], [CANONICAL], return_tensors="pt")["input_ids"])
        assert encoded([(TEXT, "a")]).data == plain([(CANONICAL, "a")]).data
        split = {"is_split_into_words": True}
        assert encoded(["a", "movi"], **split).data == plain(["a", ENCODING("movi")], **split).data
        pairs = [["a", "movi"]], [["um"], ["goood"]]
        canonical = [["a", ENCODING("movi")]], [[""], ["good"]]
        for one, other in zip(pairs, canonical, strict=True):
            assert encoded(one, one, **split).data == plain(other, other, **split).data

    def test_offsets_of_canonical_texts_stay(self, plain: Any) -> None:
        same = EncodedTokenizer.wrap(plain, IDENTITY)
        cut = {"truncation": True, "max_length": 8, "stride": 2, "return_overflowing_tokens": True}

        @given(st.tuples(texts, texts))
        def check(both: tuple[str, str]) -> None:
            for given_texts, settings in ((both[:1], cut), (both, {})):
                expected = plain(*[[text] for text in given_texts], **settings)
                found = same(*[[text] for text in given_texts], **settings)
                assert found.data == expected.data
                for row in range(len(expected["input_ids"])):
                    assert places(found, row, given_texts) == places(expected, row, given_texts)

        check()

    def test_offsets_refer_to_the_original(self, tokenizer: Any) -> None:
        encoded = EncodedTokenizer.wrap(tokenizer, ENCODING)
        found = encoded(TEXT, return_offsets_mapping=True)
        movi = ["movi"] * 3
        assert found.tokens()[1:4] == ["a", "good", "film"]
        expected = ["", "A", "goood", "fi lm", ",", ",", *movi, "!", ""]
        assert shown(TEXT, found["offset_mapping"]) == expected
        lm, mo = TEXT.index("lm"), TEXT.index("movi")
        assert found.char_to_token(lm) == found.char_to_token(lm - 1) == 3
        assert found.char_to_token(TEXT.index("um")) is None  # of which nothing is read
        assert shown(TEXT, [found.token_to_chars(7)]) == ["movi"]
        assert found.char_to_word(mo) == found.word_ids()[6]
        assert shown(TEXT, [found.word_to_chars(found.char_to_word(lm))]) == ["fi lm"]
        assert found.token_to_chars(0) is None

    def test_offsets_of_pairs_and_overflow(self, tokenizer: Any) -> None:
        encoded = EncodedTokenizer.wrap(tokenizer, ENCODING)
        pair = "goood", "a movi and a fi lm"
        found = encoded(
            *pair, truncation="only_second", max_length=8, return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )  # fmt: skip
        assert len(found["input_ids"]) > 1
        for row, offsets in enumerate(found["offset_mapping"]):
            for token, side, span in zip(
                found.tokens(row), found.sequence_ids(row), offsets, strict=True
            ):
                canonical = "" if side is None else ENCODING(pair[side][slice(*span)])
                assert token in canonical or side is None
        assert found.char_to_token(0, 0, sequence_index=0) == 1
        assert found.char_to_token(0, 2, sequence_index=1) == 4

    def test_offsets_of_words_count_within_each_word(self, tokenizer: Any) -> None:
        encoded = EncodedTokenizer.wrap(tokenizer, ENCODING)
        given_words = ["a", "movi", "goood!"]
        found = encoded(given_words, is_split_into_words=True, return_offsets_mapping=True)
        places = zip(found.word_ids(), found["offset_mapping"], strict=True)
        spans = [given_words[n][slice(*span)] for n, span in places if n is not None]
        assert spans == ["a", "movi", "movi", "movi", "goood", "!"]
        assert found.word_ids()[1:-1] == [0, 1, 1, 1, 2, 2]

    def test_one_pass_of_encoding_without_offsets(
        self, encoded: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Table, "encode", None)
        assert encoded([TEXT, "um"], padding=True)["input_ids"]
        with pytest.raises(TypeError):
            encoded(TEXT, return_offsets_mapping=True)

    def test_copies_encode_too(self, encoded: Any) -> None:
        found = encoded(TEXT, return_offsets_mapping=True)
        for other in (copy.deepcopy(encoded), pickle.loads(pickle.dumps(encoded))):
            assert other(TEXT, return_offsets_mapping=True) == found
            assert other.encoding == ENCODING
        again = pickle.loads(pickle.dumps(found))
        assert again.token_to_chars(2) == found.token_to_chars(2)
        assert b"Table" not in pickle.dumps(found)  # its tables may be large


class TestWrap:
    def test_nothing_else_changes(self, plain: Any) -> None:
        encoded = EncodedTokenizer.wrap(plain, ENCODING)
        back = encoded.plain
        for other in (encoded, back):
            assert other.backend_tokenizer.to_str() == plain.backend_tokenizer.to_str()
            assert other.special_tokens_map == plain.special_tokens_map
            assert other.all_special_ids == plain.all_special_ids
            assert len(other) == len(plain)
            for name in (
                "model_max_length padding_side truncation_side model_input_names name_or_path "
                "clean_up_tokenization_spaces"
            ).split():
                assert getattr(other, name) == getattr(plain, name), name
        assert back("a goood film").data == plain("a goood film").data
        assert type(back) is PreTrainedTokenizerFast
        assert plain("a goood film <mask>").data == back("a goood film <mask>").data

    def test_changes_of_the_original_do_not_reach_the_copy(self, tokenizer: Any) -> None:
        original = copy.deepcopy(tokenizer)
        encoded = EncodedTokenizer.wrap(original, ENCODING)
        original.add_tokens(["goood"])
        assert encoded.encode("goood") == tokenizer.encode("good")

    def test_encoding_of(self, tokenizer: Any, encoded: Any) -> None:
        assert encoding_of(encoded) is encoded.encoding is ENCODING
        assert encoding_of(tokenizer) is None
        assert plain_tokenizer(tokenizer) is tokenizer
        assert encoding_of(plain_tokenizer(encoded)) is None

    def test_what_cannot_be_wrapped_is_refused(self, tokenizer: Any, encoded: Any) -> None:
        with pytest.raises(DataError, match=r"Table\(\) already\. Pass its attribute plain"):
            EncodedTokenizer.wrap(encoded, ENCODING)
        with pytest.raises(ArgumentError, match="encoding must be an Encoding, got 'spelling'"):
            EncodedTokenizer.wrap(tokenizer, "spelling")  # type: ignore[arg-type]

        class Slow:
            is_fast = False

        with pytest.raises(DataError, match=r"Slow is not one\. Load it with use_fast=True"):
            EncodedTokenizer.wrap(Slow(), ENCODING)


@pytest.mark.usefixtures("_registered")
class TestFiles:
    @pytest.fixture(params=["bert", "rosearch", "none"])
    def folder(self, request: pytest.FixtureRequest, encoded: Any, tmp_path: Path) -> Path:
        encoded.save_pretrained(tmp_path)
        if request.param == "rosearch":
            genome = rs.templates.bigru(width=16, embedding_width=8)
            rs.StudentConfig(genome, vocab_size=9).save_pretrained(tmp_path)
        elif request.param == "bert":
            BertConfig().save_pretrained(tmp_path)
        return tmp_path

    def test_loaded_tokenizer_is_equal(self, folder: Path, encoded: Any) -> None:
        loaded = AutoTokenizer.from_pretrained(folder)
        assert type(loaded) is EncodedTokenizer
        again = folder / "again"
        loaded.save_pretrained(again)
        for name in ("tokenizer.json", "encoding.json"):
            assert (again / name).read_bytes() == (folder / name).read_bytes()
        assert loaded.encoding.to_dict() == ENCODING.to_dict()
        settings = {"return_offsets_mapping": True, "truncation": True}
        for text in (TEXT, "<mask> um", TEXT * 9):
            assert loaded(text, **settings).data == encoded(text, **settings).data
        assert loaded.backend_tokenizer.to_str() == encoded.backend_tokenizer.to_str()
        assert loaded.special_tokens_map == encoded.special_tokens_map

    def test_other_tokenizers_refuse_the_folder(self, folder: Path) -> None:
        """AutoTokenizer of transformers 5 takes the first where rosearch is not imported."""
        for kind in (PreTrainedTokenizerFast, BertTokenizerFast):
            with pytest.raises(Exception, match="import rosearch before loading"):
                kind.from_pretrained(folder)

    def test_missing_encoding_is_named(self, folder: Path) -> None:
        (folder / "encoding.json").unlink()
        with pytest.raises(DataError, match=r"has no encoding\.json") as error:
            AutoTokenizer.from_pretrained(folder)
        assert str(folder) in str(error.value)

    def test_unknown_encoding_is_named(self, folder: Path) -> None:
        path = folder / "encoding.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "name": "their_encoding"}))
        with pytest.raises(RegistryError, match="'their_encoding', which is missing"):
            AutoTokenizer.from_pretrained(folder)

    def test_copies_of_the_class_are_refused(self, folder: Path) -> None:
        """As transformers makes one of the code in a student's folder."""
        ours = AutoTokenizer.from_pretrained(folder)
        place = {"__module__": "transformers_modules.best.modeling_student"}
        copied = object.__new__(type("EncodedTokenizer", (PreTrainedTokenizerFast,), place))
        copied.__dict__.update(ours.__dict__, encoding=ours.encoding)
        for function in (encoding_of, plain_tokenizer):
            with pytest.raises(ArgumentError, match="without trust_remote_code"):
                function(copied)
