from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from rosearch.attack.word_swaps.substitutions.characters import (
    CharacterDeletion,
    CharacterInsertion,
    CharacterSubstitution,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
)
from rosearch.data import TextDataset
from rosearch.encode import Spelling
from rosearch.encode.spelling import whole_words
from rosearch.encode.spelling_channel import Channel
from rosearch.encode.spelling_context import Context, pair_counts
from rosearch.errors import ArgumentError, GenomeError

TRAIN = TextDataset(
    ["a terrible film with wonderful acting", "the film is good, so good; it's inside"] * 20
    + ["don't miss this well-made café story of 1990, 3d and all", "it may be in or out maybe"],
    [0, 1] * 21,
    classes=("no", "yes"),
)
SPELLING = Spelling.fit(TRAIN)
WORDS = ("terrible", "wonderful", "acting", "story", "inside", "well-made")


class Tokenizer:
    """Stands in for a tokenizer: all that is asked of it is its vocabulary."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "substitution",
    [
        CharacterSwap(every=True),
        CharacterDeletion(every=True),
        CharacterInsertion(every=True),
        CharacterSubstitution(every=True),
        KeyboardNeighbours(every=True),
        Homoglyphs(),
    ],
    ids=lambda substitution: substitution.name,
)
def test_undoes_every_edit_of_the_attacks(word: str, substitution: Any) -> None:
    edits = substitution.propose(word, [0.4, 0.7][: substitution.draws])
    assert edits
    assert {SPELLING(edit) for edit in edits} == {word}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("te rrible film", "terrible film"),
        ("a wonder\u200bful f!lm, mi$s terrib|e!", "a wonderful film, miss terrible!"),
        ("goodfilm", "good film"),
        ("soooo goooood", "so good"),
        ("g00d f1lm t3rrib1e", "good film terrible"),
        ("GOOD Film GoOd", "good film good"),
        ("don`t dont", "don't don't"),
        ("caf\u00e9 ca\u00e9", "caf\u00e9 caf\u00e9"),
        ("wonderf\u00fal", "wonderful"),
        ("film's flim's", "film's film's"),
        ("well-maed terible-film", "well-made terrible-film"),
        ("trerribel", "terrible"),
        ("199O l99O", "1990 1990"),
    ],
)
def test_reads_misspelt_words_as_known_ones(text: str, expected: str) -> None:
    assert SPELLING(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "xylophone",
        "1984 42nd B2B",
        "Foo_Bar flim_is",
        "http://flim.com/terible me@flim.com www.flim.com",
        "фильм κόσμος 电影",
        "\U0001f600 \u2026",
    ],
)
def test_leaves_what_is_no_misspelt_word(text: str) -> None:
    assert SPELLING(text) == text


def test_a_long_word_is_read_from_two_edits_if_allowed() -> None:
    single = Spelling.fit(TRAIN, max_edits=1)
    assert SPELLING("xterribleq") == "terrible"
    assert single("xterribleq") == "xterribleq"
    assert SPELLING("xgooq") == "xgooq"


def test_pairs_of_the_training_texts_stay_apart() -> None:
    text = "it may be in side"
    assert SPELLING(text) == "it may be inside"


def test_words_stay_apart_without_joins() -> None:
    alone = Spelling.fit(TRAIN, joins=False)
    assert alone("acti ng") == "acti ng".replace("acti", alone("acti"))
    assert SPELLING("acti ng") == "acting"
    assert alone.segments("acti ng") == [(0, 4), (5, 7)]


def test_a_joined_word_is_one_edit_from_the_original() -> None:
    encoded = SPELLING.encode("So te rrible!")
    assert encoded.text == "so terrible!"
    assert encoded.edits == ((0, 2, 0, 2), (3, 12, 3, 11))


def test_capitals_are_kept_if_asked_for() -> None:
    cased = Spelling.fit(TRAIN, case="keep")
    assert cased("Flim TERIBLE goOd I Te rrible") == "Film TERRIBLE good I Terrible"


def test_unknown_words_are_one_word_if_asked_for() -> None:
    merged = Spelling.fit(TRAIN, unknown="unk")
    assert merged("xylophone vibraphone 12 фильм good") == "unk unk 12 фильм good"
    assert merged("unk") == "unk"


@cache
def english() -> Spelling:
    return Spelling.fit(TRAIN, dictionary="english", typo_rate=0.0)


BESIDE = Spelling.fit(
    TextDataset(["what a good film", "the wood is dry", "some food"] * 9, [0, 1, 1] * 9)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what a xood film", "what a good film"),
        ("the xood is", "the wood is"),
        ("The, (xood) is", "the, (wood) is"),
        ("some xood!", "some food!"),
        ("xood is", "wood is"),
        ("a xood xilm", "a good film"),
    ],
)
def test_the_words_beside_a_misspelt_one_have_a_say(text: str, expected: str) -> None:
    assert BESIDE(text) == expected


def test_words_of_another_sentence_have_no_say() -> None:
    assert BESIDE("the. Xood") == f"the. {BESIDE('Xood')}"
    assert BESIDE("the\nxood") == f"the\n{BESIDE('xood')}"


def test_a_misspelt_word_and_those_beside_it_are_one_segment() -> None:
    text = "Is a xood film, the wood"
    assert BESIDE.segments(text) == [(0, 2), (3, 14), (16, 19), (20, 24)]
    assert BESIDE.encode(text).edits == ((0, 2, 0, 2), (5, 9, 5, 9))
    alone = BESIDE.fit(TRAIN, neighbours=False)
    assert alone.segments("a flim") == [(0, 1), (2, 6)]
    assert not alone.learnt["pairs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a xood te rrible", ["xood", "te rrible"]),
        ("goodin side", ["goodin side"]),
        ("xood goodin a", ["xood", "goodin"]),
    ],
)
def test_edits_are_those_of_single_words(text: str, words: list[str]) -> None:
    texts = ["in", "inside", "good", "a wood", "terrible", "a"]
    edits = Spelling.fit(TextDataset(texts * 5, [0] * 29 + [1])).encode(text).edits
    assert [text[a:b] for a, b, _, _ in edits] == words


def test_words_that_a_sign_or_two_known_words_join_are_left_apart() -> None:
    texts = ["a set is", "a bet is", "asset", "baby", "baby bitter is", "sitter", "babysitter"]
    spelling = Spelling.fit(TextDataset(texts * 5, [0] * 34 + [1]))
    for text in ("a$xet is", "ba by xitter is", "baby$xitter", "xaby sit ter", "a$xet$xet is"):
        assert spelling(spelling(text)) == spelling(text)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rosearch.encode.spelling._MAX_RUNS", 3)
    spelling = Spelling.fit(TRAIN)
    for text in ("... !!! ??? ,,, ;;;", "more", "te rrible flim", "wonderfull actng in a stroy"):
        assert spelling(text) == SPELLING(text)
    assert len(spelling._memory.runs) <= 9
    spelling(",".join(f"flim{k}" for k in range(99)))
    assert max(map(len, spelling._memory.runs)) < 99


def test_neighbours_do_not_make_a_word_that_would_be_joined() -> None:
    train = TextDataset(
        ["in side", "in tide", "inside", "a hide", "a tide"] * 5, [0, 1, 0, 1, 0] * 5
    )
    for text in ("in xide", "xn side", "in xide xn side", "xn xide"):
        canonical = Spelling.fit(train)(text)
        assert Spelling.fit(train)(canonical) == canonical


def test_a_rare_word_is_read_as_a_frequent_one_by_the_rate_of_typos() -> None:
    tokenizer = Tokenizer("flim", "xylophone")
    assert Spelling.fit(TRAIN, tokenizer=tokenizer, typo_rate=0.0)("flim") == "flim"
    assert Spelling.fit(TRAIN, tokenizer=tokenizer, typo_rate=0.3)("flim") == "film"
    assert Spelling.fit(TRAIN, tokenizer=tokenizer, typo_rate=0.3)("xylophone") == "xylophone"


def test_short_words_that_the_texts_lack_are_not_known() -> None:
    assert Spelling.fit(TRAIN, tokenizer=Tokenizer("goo"), typo_rate=0.0)("goo") == "good"


def test_dictionary_adds_words_by_their_frequency() -> None:
    assert SPELLING("disapointments") == "disapointments"
    assert english()("disapointments") == "disappointments"
    counts = english().learnt["counts"]
    assert counts["something"] > counts["xylophone"] >= 0
    assert counts["good"] >= SPELLING.learnt["counts"]["good"]


def test_words_that_substitutions_offer_are_known_and_not_taken_for_typos() -> None:
    class Offered:
        settings = {"name": "offered"}

        def count(self, texts: Any) -> dict[tuple[str, str], float]:
            return {("film", "flim"): 1.0}

    assert Spelling.fit(TRAIN, typo_rate=0.9)("flim") == "film"
    assert Spelling.fit(TRAIN, typo_rate=0.9, exchanges=Offered())("flim") == "flim"


@pytest.mark.parametrize("text", ["THE FILM IS IN OR OUT", "SO", "IN"])
def test_capitals_throughout_are_no_typos(text: str) -> None:
    assert SPELLING(text) == text.lower()


@pytest.mark.parametrize(
    ("typo", "word"),
    [("flaY", "flaw"), ("falsH", "false"), ("sTory", "story"), ("iNside", "inside")],
)
def test_a_capital_inside_a_word_shows_the_place_of_the_typo(typo: str, word: str) -> None:
    train = TextDataset(["a flaw that is false", *TRAIN.texts], [0, *TRAIN.labels])
    assert Spelling.fit(train)(typo) == word
    assert Spelling.fit(train.with_texts(["McDonald"] * len(train)))("McDonald") == "mcdonald"


@pytest.mark.parametrize("text", ["gre@t...", "(what a gre@t!.)", 'a "gre@t."'])
def test_at_signs_beside_punctuation_are_no_addresses(text: str) -> None:
    train = TextDataset(["a great film", "what a film"], [0, 1])
    assert Spelling.fit(train)(text) == text.replace("gre@t", "great")
    assert Spelling.fit(train)("write to filn@cast.com now").split()[2] == "filn@cast.com"


@pytest.mark.parametrize("text", ["stoy\u03a3", "stoy\u0194", "s\u03a3ory"])
def test_letters_that_look_latin_in_lower_case_only(text: str) -> None:
    assert SPELLING(SPELLING(text)) == SPELLING(text)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="typo_rate"):
        Spelling.fit(TRAIN, typo_rate=1.0)
    with pytest.raises(GenomeError, match="max_edits"):
        Spelling.fit(TRAIN, max_edits=3)


@pytest.mark.parametrize(
    "tokens",
    [
        ("good", "Film", "##ly", "[CLS]", "x", "é", "3d"),
        ("\u0120good", "\u0120Film", "ly", "<s>", "\u0120x", "\u0120\u00c3\u00a9tat"),
        ("\u2581good", "\u2581Film", "ly", "<s>", "\u2581x"),
        ("good</w>", "Film</w>", "ly", "<s>", "x</w>"),
    ],
    ids=["WordPiece", "byte-level", "SentencePiece", "end of word"],
)
def test_whole_words_of_a_tokenizer(tokens: tuple[str, ...]) -> None:
    assert whole_words(Tokenizer(*tokens)) == {"good", "film"}
    assert whole_words(None) == set()


def test_the_tokenizers_words_are_known() -> None:
    assert SPELLING("story xylophobe") == "story xylophobe"
    fitted = Spelling.fit(TRAIN, tokenizer=Tokenizer("xylophone", "stork"), typo_rate=0.0)
    assert fitted("xylophobe stork") == "xylophone stork"


def test_what_was_met_is_not_pickled() -> None:
    fitted = Spelling.fit(TRAIN)
    before = len(pickle.dumps(fitted))
    fitted("teribel flim")
    assert len(pickle.dumps(fitted)) == before


_PIECES = st.one_of(
    st.sampled_from(
        "good film goodfilm terrible terr ible te rrible in side inside well-made don't l00k 199O "
        "so sooo xq fi lm's a i story's café www. @ :// me@x.y _ ' ` - -- $ ! | \u200b".split(" ")
    ),
    st.text("abdefgilmorst'-`O0 ", max_size=7),
    st.text(max_size=3),
)
_TEXTS = st.tuples(st.lists(_PIECES, max_size=8), st.sampled_from(["", " "])).map(
    lambda drawn: drawn[1].join(drawn[0])
)
_FITTED = [
    SPELLING,
    Spelling.fit(TRAIN, case="keep"),
    Spelling.fit(TRAIN, unknown="unk", joins=False),
    Spelling.fit(TRAIN, unknown="unk", joins=False, neighbours=False),
    Spelling.fit(
        TRAIN, tokenizer=Tokenizer("goo", "fil", "xgood", "ins", "terr", "ibl"), typo_rate=0.3
    ),
]


@settings(max_examples=400, deadline=None)
@given(_TEXTS, st.sampled_from(_FITTED))
def test_canonical_texts_and_words_are_their_own(text: str, spelling: Spelling) -> None:
    canonical = spelling(text)
    assert spelling(canonical) == canonical
    word = spelling.word(text)
    assert spelling.word(word) == word


class TestChannel:
    def test_the_probability_of_an_edit_counts(self) -> None:
        channel = Channel({"cat": 10, "cart": 10, "cut": 10})
        found = channel.one_edit("ct")
        assert found["cat"] == pytest.approx(found["cut"]) == pytest.approx(10.05 / 4 / 3)
        assert "cart" not in found
        swapped, exchanged = channel.one_edit("act"), channel.one_edit("cwt")
        assert swapped["cat"] > exchanged["cat"] > exchanged["cut"]

    def test_the_frequency_of_a_word_counts(self) -> None:
        found = Channel({"food": 1, "good": 50}).one_edit("ood")
        assert found["good"] > found["food"]

    def test_candidates_are_those_of_all_edits(self) -> None:
        words = {"abc": 1, "abcd": 1, "ab": 1, "acb": 1, "xbc": 1, "a-bc": 1, "abcde": 1, "cba": 1}
        found = Channel(words).one_edit("abc")
        assert set(found) == {"abcd", "ab", "acb", "xbc", "a-bc"}

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.text("abc-", min_size=1, max_size=5), min_size=1), st.data())
    def test_a_single_edit_is_that_of_all_edits(self, words: list[str], data: Any) -> None:
        channel = Channel({word: 1 + len(word) for word in words})
        typo = data.draw(st.text("abcd", min_size=2, max_size=6))
        edits = {word: channel.single_edit(word, typo) for word in words}
        found = {word: probability for word, probability in edits.items() if probability}
        assert found == pytest.approx(channel.one_edit(typo))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text("abc", min_size=5, max_size=9), min_size=1), st.data())
    def test_two_edits_find_all_words_at_that_distance(self, words: list[str], data: Any) -> None:
        typo = data.draw(st.text("abcd", min_size=6, max_size=9))
        found = Channel(dict.fromkeys(words, 1)).two_edits(typo)
        assert set(found) == {word for word in words if OSA.distance(word, typo) == 2}


class TestContext:
    counts = {"good": 9.95, "wood": 19.95, "a": 39.95, "the": 29.95, "film": 4.95}
    context = Context(counts, {"a good": 8, "the wood": 6, "good film": 4, "wood is": 2})

    def test_pairs_and_single_words_count(self) -> None:
        # P(w | a) P(w | typo) / P(w): 8 of 10 "good" follow "a", where 10 are expected of 105.75.
        total = sum(self.counts.values()) + 1
        after_a = 1 + 8 * total / (10 * 10)
        assert self.context.best({"good": 1.0, "wood": 0.99 * after_a}, "a", None) == "good"
        assert self.context.best({"good": 1.0, "wood": 1.01 * after_a}, "a", None) == "wood"
        expected = 10 * 5 / total
        before_film = ((4 + expected) / (4 + 10)) / (expected / (2 + 10))
        assert self.context.best({"good": 1.0, "wood": 0.99 * before_film}, None, "film") == "good"
        assert self.context.best({"good": 1.0, "wood": 1.01 * before_film}, None, "film") == "wood"

    def test_both_sides_count(self) -> None:
        rivals = {"good": 1.0, "wood": 1.0}
        assert self.context.best(rivals, "the", "is") == "wood"
        assert self.context.best(rivals, "a", "film") == "good"
        assert self.context.best({}, "a", "film") is None

    def test_the_most_frequent_pairs_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rosearch.encode.spelling_context._MAX_PAIRS", 2)
        assert pair_counts({("a", "c"): 1, ("b", "a"): 3, ("a", "b"): 1}) == {"b a": 3, "a b": 1}
