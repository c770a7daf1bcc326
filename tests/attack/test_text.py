"""Replacement of words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack.text import AttackedInput, Words
from rosearch.words import word_spans, words_of

text = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab'-_*@ .,`\u02d7\u00d7")))


@given(text)
def test_words_are_those_of_the_spans(text: str) -> None:
    words = Words.of(text)
    assert words.text == text
    assert list(words.words) == words_of(text)
    assert list(words.spans) == word_spans(text)
    assert len(words) == len(words.words)


@given(text, st.data())
def test_replacement_changes_nothing_else(text: str, data: st.DataObject) -> None:
    words = Words.of(text)
    if not len(words):
        return
    index = data.draw(st.integers(0, len(words) - 1))
    new = data.draw(st.sampled_from(["", "two words", "x", "[UNK]"]))
    replaced = words.replace(index, new)
    start, end = words.spans[index]
    assert replaced.text == text[:start] + new + text[end:]
    assert replaced.words == (*words.words[:index], new, *words.words[index + 1 :])
    assert replaced.changed == ({index} if new != words.words[index] else set())
    assert words.text == text
    assert words.changed == set()
    a, b = replaced.spans[index]
    assert replaced.text[a:b] == new


def test_replacements_add_up_and_keep_indices() -> None:
    words = Words.of("one, two three!").replace(1, "a b c").replace(2, "x").replace(1, "two")
    assert words.text == "one, two x!"
    assert words.changed == {1, 2}


def test_resegment_shifts_indices() -> None:
    words = Words.of("one, two three!").replace(2, "x")
    split = words.resegment(0, "o ne")
    assert (split.text, split.words) == ("o ne, two x!", ("o", "ne", "two", "x"))
    assert split.changed == {0, 1, 3}
    again = split.resegment(2, "(tw) - o")
    assert again.text == "o ne, (tw) - o x!"
    assert again.words == ("o", "ne", "tw", "o", "x")
    assert again.changed == {0, 1, 2, 3, 4}
    assert words.resegment(1, "2") == words.replace(1, "2")
    assert words.resegment(1, "2.").words == ("one", "2", "x")
    assert words.resegment(1, "...").words == ("one", "...", "x")
    assert words.resegment(1, "two") is words


@given(text, st.data())
def test_resegmented_words_are_those_of_the_text(text: str, data: st.DataObject) -> None:
    words = Words.of(text)
    for _ in range(3):
        if not len(words):
            return
        index = data.draw(st.integers(0, len(words) - 1))
        new = data.draw(st.sampled_from(["x", "two words", " 'a', b ", "[UNK]", "a-b"]))
        words = words.resegment(index, new)
        assert words == Words(Words.of(words.text).pieces, words.changed)
        assert max(words.changed, default=0) < len(words)


@pytest.mark.parametrize(
    ("text", "index", "left"),
    [
        ("one two three", 0, "two three"),
        ("one two three", 1, "one three"),
        ("one two three", 2, "one two "),
        ("one two three.", 2, "one two."),
        ("(one) two", 0, "() two"),
        ("one", 0, ""),
        ("one,two", 1, "one,"),
    ],
)
def test_deletion_removes_one_space(text: str, index: int, left: str) -> None:
    assert Words.of(text).without(index).text == left


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range(index: int) -> None:
    with pytest.raises(IndexError, match=f"no word {index} in a text of 3 words"):
        Words.of("one two three").replace(index, "x")


def test_words_are_immutable_and_comparable() -> None:
    assert Words.of("a b") == Words.of("a b")
    assert hash(Words.of("a b")) == hash(Words.of("a b"))
    with pytest.raises(AttributeError):
        Words.of("a b").pieces = ()  # type: ignore[misc]


def test_sides_of_a_pair() -> None:
    pair = ("first text", "second text")
    assert AttackedInput(pair).words.text == "second text"
    assert AttackedInput(pair).whole("x") == ("first text", "x")
    assert AttackedInput(pair, 0).words.text == "first text"
    assert AttackedInput(pair, 0).whole("x") == ("x", "second text")
    assert AttackedInput("alone").words.text == "alone"
    assert AttackedInput("alone").whole("x") == "x"
