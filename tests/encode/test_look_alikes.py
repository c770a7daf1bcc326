from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack.word_swaps.substitutions.characters import Homoglyphs
from rosearch.encode import skeleton
from rosearch.encode.look_alikes import is_latin_word, is_plain_word, lower_case


@pytest.mark.parametrize("letter", [*string.ascii_lowercase, "-", "'"])
def test_undoes_each_homoglyph_that_attacks_use(letter: str) -> None:
    word = f"wo{letter}rd"
    proposed = Homoglyphs().propose(word)
    assert len(proposed) == 5
    assert {skeleton(edited) for edited in proposed} == {word}


@pytest.mark.parametrize("digit", "23456789")
def test_undoes_homoglyphs_of_digits(digit: str) -> None:
    assert {skeleton(edited) for edited in Homoglyphs().propose(f"1{digit}")} >= {f"1{digit}"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ｇｏｏｄ", "good"),  # noqa: RUF001
        ("𝓌𝑜𝓌", "wow"),  # noqa: RUF001
        ("ﬁlm", "film"),
        ("ɡood", "good"),  # noqa: RUF001
        ("Іt", "It"),  # noqa: RUF001
        ("don`t", "don't"),
        ("plain", "plain"),
    ],
)
def test_maps_styles_and_mixed_scripts_to_latin(word: str, expected: str) -> None:
    assert skeleton(word) == expected


@pytest.mark.parametrize(
    "word",
    "\u0441\u043e\u0440 привет κόσμος 电影 3号 привет-hello café straße łódź 😀 \u00d7".split(),
)
def test_leaves_other_scripts_and_accents(word: str) -> None:
    assert skeleton(word) == word


@given(st.text(max_size=12))
def test_the_skeleton_of_a_skeleton_is_itself(word: str) -> None:
    assert skeleton(skeleton(word)) == skeleton(word)


@given(st.text(max_size=12))
def test_lower_case_keeps_the_length_and_is_its_own_lower_case(text: str) -> None:
    assert len(lower_case(text)) == len(text)
    assert lower_case(lower_case(text)) == lower_case(text)


def test_lower_case_does_not_depend_on_what_follows() -> None:
    assert lower_case("ΣΑΣ İ Good") == "σασ İ good"  # noqa: RUF001


def test_words_of_letters_are_told_from_others() -> None:
    assert all(map(is_plain_word, ("good", "well-made", "don't", "хорошо")))
    assert not any(map(is_plain_word, ("mp3", "a_b", "-a", "")))
    assert is_latin_word("café")
    assert not is_latin_word("хорошо")
