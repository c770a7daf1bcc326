"""Incremental tokenization equals whole tokenization, or is turned off."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from rosearch.attack.victim.tokenization import IncrementalTokenizer
from rosearch.encode import EncodedTokenizer
from rosearch.tokens import tokenize
from tests.encode.table import table

SENTENCES = [
    "The Rock is destined to be the 21st Century's new ''Conan''.",
    "a gorgeously elaborate  continuation -- so huge that words can't describe it!",
    "  Effective but too-tepid biopic, with a well-made opening ",
    "It's so laddish and juvenile, only teenage boys could possibly find it funny ...",
    "naïve café, naïve cafe\u0301 and Ελλάς ΣΊΣΥΦΟΣ 🙂🙂 中文 字 x\u00a0y\tz\n\n end",
]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]

text = st.one_of(
    st.text(max_size=60),
    st.text(st.sampled_from("ab'. \t\n\u00a0\u0301\x1cΣ中-<>[UNKMASK]"), max_size=40),
    st.lists(st.sampled_from(SENTENCES), max_size=2).map(" ".join),
    st.lists(st.sampled_from("good [UNK] [MASK] <mask> film, \n '' a\u0301".split(" "))).map(
        " ".join
    ),
)


def wrapped(backend: Tokenizer, **kwargs: Any) -> PreTrainedTokenizerFast:
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(t, backend.token_to_id(t)) for t in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
        model_max_length=24,
        **kwargs,
    )


def byte_level(*, prefix: bool = False, use_regex: bool = True) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    return wrapped(backend)


def unigram(scheme: str, *, normalizer: Any = None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    return wrapped(backend)


MAKERS = {
    "byte-level": byte_level,
    "byte-level with prefix": lambda: byte_level(prefix=True),
    "metaspace always": lambda: unigram("always"),
    "metaspace first": lambda: unigram("first"),
    "metaspace with NFKC": lambda: unigram("always", normalizer=normalizers.NFKC()),
}


@pytest.fixture(scope="module", params=["wordpiece", *MAKERS])
def any_tokenizer(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    return tokenizer if request.param == "wordpiece" else MAKERS[request.param]()


def test_supported_tokenizers_use_chunks(any_tokenizer: Any) -> None:
    assert IncrementalTokenizer(any_tokenizer).in_chunks


def test_single_texts_get_the_same_tokens(any_tokenizer: Any) -> None:
    fast = IncrementalTokenizer(any_tokenizer, max_length=20)

    @given(st.lists(text, max_size=4))
    def check(texts: list[str]) -> None:
        assert fast.encode(texts) == tokenize(any_tokenizer, texts, max_length=20)
        assert fast.encode(texts) == tokenize(any_tokenizer, texts, max_length=20)  # from memory

    check()
    assert fast.in_chunks


def test_pairs_get_the_same_tokens(any_tokenizer: Any) -> None:
    fast = IncrementalTokenizer(any_tokenizer, max_length=20)

    @given(st.lists(st.tuples(text, text), min_size=1, max_size=3))
    def check(texts: list[tuple[str, str]]) -> None:
        assert fast.encode(texts) == tokenize(any_tokenizer, texts, max_length=20)

    check()
    assert fast.in_chunks


def test_encoded_texts_get_the_same_tokens(any_tokenizer: Any) -> None:
    encoding = table(a="b", a_a="very good film", b="", film="[MASK] movie")
    encoded = EncodedTokenizer.wrap(any_tokenizer, encoding)
    fast = IncrementalTokenizer(encoded, max_length=20)

    @given(st.lists(text, max_size=4), st.tuples(text, text))
    def check(texts: list[str], pair: tuple[str, str]) -> None:
        assert fast.encode(texts) == tokenize(encoded, texts, max_length=20)
        assert fast.encode([pair]) == tokenize(encoded, [pair], max_length=20)

    check()
    assert fast.in_chunks
    assert fast.encode(["a a"]) != IncrementalTokenizer(any_tokenizer).encode(["a a"])


def test_texts_that_an_encoding_makes_equal_are_tokenized_once(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = IncrementalTokenizer(EncodedTokenizer.wrap(tokenizer, table(goood="good", god="good")))
    read: list[Any] = []

    def recorded(tokenizer: Any, texts: Any, *, max_length: int) -> Any:
        read.extend(texts)
        return tokenize(tokenizer, texts, max_length=max_length)

    monkeypatch.setattr("rosearch.attack.victim.tokenization.tokenize", recorded)
    rows = fast.encode(["a goood film", "a good film", "a bad film", "a god film"])
    assert read == ["a good film", "a bad film"]
    assert rows[0] is rows[1] is rows[3]
    assert rows[2] != rows[0]


def test_token_types_of_pairs(tokenizer: Any) -> None:
    (row,) = IncrementalTokenizer(tokenizer).encode([("a film", "a plot .")])
    assert row.types == (0, 0, 0, 0, 1, 1, 1, 1)
    (row,) = IncrementalTokenizer(tokenizer).encode(["a film"])
    assert row.types is None


def test_token_types_of_single_texts_with_left_padding(xlnet_tokenizer: Any) -> None:
    fast = IncrementalTokenizer(xlnet_tokenizer, max_length=8)
    assert fast.pad_left
    texts = ["", "a film", "a very good film was really very good indeed"]
    assert [row.types for row in fast.encode(texts)] == [(0, 2), (0, 0, 0, 2), (0,) * 7 + (2,)]
    assert fast.encode(texts) == tokenize(xlnet_tokenizer, texts, max_length=8)
    pairs = [("", "a"), ("a film", "a plot"), ("a very good film", "a very good plot")]
    assert fast.encode(pairs) == tokenize(xlnet_tokenizer, pairs, max_length=8)
    assert fast.in_chunks


def no_spaces() -> Any:
    vocabulary = {t: i for i, t in enumerate([*SPECIAL, "a"])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Punctuation()
    return wrapped(backend)


def stripping() -> Any:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()
    return tokenizer


def greedy_mask() -> Any:
    from tokenizers import AddedToken

    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<entity>", rstrip=True)])
    return tokenizer


@pytest.mark.parametrize(
    "make",
    [
        no_spaces,
        lambda: byte_level(use_regex=False),
        lambda: unigram("never"),
        stripping,
        greedy_mask,
        lambda: unigram("first", normalizer=normalizers.Prepend("▁")),
    ],
)
def test_other_tokenizers_tokenize_whole_texts(make: Any) -> None:
    tokenizer = make()
    fast = IncrementalTokenizer(tokenizer, max_length=20)
    assert not fast.in_chunks
    assert fast.encode(SENTENCES) == tokenize(tokenizer, SENTENCES, max_length=20)


def test_difference_found_during_a_run_turns_chunks_off(tokenizer: Any) -> None:
    class JoinsTwoWords:
        """Tokenizes "good film" as one word, though its components look safe."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, *texts: Any, **settings: Any) -> Any:
            def joined(text: Any) -> Any:
                if isinstance(text, list):
                    return [joined(each) for each in text]
                return text.replace("good film", "goodfilm")

            return tokenizer(*map(joined, texts), **settings)

    fast = IncrementalTokenizer(JoinsTwoWords())
    fast.encode(["a good plot", "a bad film"])
    assert fast.in_chunks
    for _ in range(2):
        assert fast.encode(["a good film"]) == tokenize(tokenizer, ["a goodfilm"], max_length=64)
        assert not fast.in_chunks


def test_left_truncation_is_not_supported_by_chunks() -> None:
    tokenizer = byte_level()
    tokenizer.truncation_side = "left"
    assert not IncrementalTokenizer(tokenizer).in_chunks


@pytest.mark.parametrize("limit", [0, 2000])
def test_chunks_are_forgotten_at_the_limit(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("rosearch.attack.victim.memory.MAX_BYTES", limit)
    fast = IncrementalTokenizer(tokenizer)
    for k in range(50):
        texts = [f"a film {k}", f"a film {k - 9}", f"no {k} film a"]
        assert fast.encode(texts) == tokenize(tokenizer, texts, max_length=64)


def test_visible_span_with_truncation_on_the_right(tokenizer: Any) -> None:
    fast = IncrementalTokenizer(tokenizer, max_length=6)
    assert fast.visible_span("a good film", 0) is None
    assert fast.visible_span("a good film was very good", 0) == (0, len("a good film was"))
    cut = fast.visible_span(("a film", "a very good film"), 1)
    assert cut is not None
    assert cut[0] == 0
    assert cut[1] < len("a very good film")


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("empty", [0, 1])
def test_visible_span_beside_an_empty_text(tokenizer: Any, side: str, empty: int) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.truncation_side = side
    fast = IncrementalTokenizer(tokenizer, max_length=6)
    words = "a good film was very good".split()
    for count in range(1, len(words) + 1):
        pair = tuple("" if k == empty else " ".join(words[:count]) for k in (0, 1))
        read = len(fast.encode([pair])[0].ids) - 3  # special tokens
        start, end = fast.visible_span(pair, 1 - empty) or (0, None)
        seen = words[:count][:read] if side == "right" else words[:count][-read:]
        assert pair[1 - empty][start:end] == " ".join(seen)
        span = fast.visible_span(pair, empty)
        assert span in (None, (0, 0))


def test_visible_span_with_truncation_on_the_left(tokenizer: Any) -> None:
    left = copy.deepcopy(tokenizer)
    left.truncation_side = "left"
    fast = IncrementalTokenizer(left, max_length=6)
    text = "a good film was very good"
    assert fast.visible_span("a good film", 0) is None
    assert fast.visible_span(text, 0) == (text.index("film"), len(text))
