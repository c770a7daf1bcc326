"""Character edits: random letters, positions, and their ranges."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
import regex

from rosearch.attack import (
    CharacterDeletion,
    CharacterEdits,
    CharacterInsertion,
    CharacterSubstitution,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
    MinWordLength,
    Words,
)
from rosearch.errors import ArgumentError


def test_every_position_gets_its_own_random_letter() -> None:
    part = CharacterInsertion(every=True)
    assert part.draws == 1
    drawn = part.propose("aaaaaaaa", [0.123])
    assert len(drawn) == 8
    assert len({w.replace("a", "") for w in drawn}) > 3
    assert part.propose("aaaaaaaa", [0.123]) == drawn
    assert part.propose("aaaaaaaa", [0.124]) != drawn


def test_kept_characters() -> None:
    assert Homoglyphs().propose("a") == ["\u0251"]
    assert not Homoglyphs(skip_first=True).propose("a")
    kept = KeyboardNeighbours(every=True, skip_first=True, skip_last=True)
    assert not kept.propose("cat")  # a single position, as in TextAttack
    assert all((w[0], w[-1]) == ("c", "s") for w in kept.propose("cats"))


def test_deepwordbug_draws_six_numbers() -> None:
    assert CharacterEdits().draws == 6
    assert [part["name"] for part in CharacterEdits().settings["parts"]] == [
        "character-swap", "character-substitution", "character-deletion", "character-insertion",
    ]  # fmt: skip


def test_letters_must_not_be_empty() -> None:
    with pytest.raises(ArgumentError, match="letters must not be empty"):
        CharacterInsertion(letters="")


@pytest.mark.parametrize(
    "part",
    [
        CharacterSwap(every=True),
        CharacterDeletion(every=True),
        CharacterInsertion(every=True),
        CharacterSubstitution(every=True),
        KeyboardNeighbours(every=True),
        Homoglyphs(),
    ],
    ids=lambda part: part.name,
)
@pytest.mark.parametrize(
    "word",
    [
        unicodedata.normalize("NFD", "déjàw"),
        unicodedata.normalize("NFD", "tiếng"),
        "नमस्ते",
        "সুন্দর",
        "שָׁלוֹם",
        "คำนี้",
    ],
)
def test_no_edit_parts_a_letter_from_its_marks(part: object, word: str) -> None:
    before = Counter(regex.findall(r"\X", word))
    for edit in part.propose(word, [0.4] * 2):  # type: ignore[attr-defined]
        added = Counter(regex.findall(r"\X", edit)) - before
        assert not any(unicodedata.category(c)[0] == "M" for c in "".join(added))


def test_an_edit_takes_a_letter_with_its_marks() -> None:
    assert CharacterDeletion(every=True).propose("e\u0301a") == ["a", "e\u0301"]
    assert CharacterSwap(every=True).propose("e\u0301a") == ["ae\u0301"]
    assert not CharacterDeletion(every=True).propose("e\u0301")  # one character
    assert not MinWordLength(2).allows_word(Words.of("e\u0301"), 0)
    assert MinWordLength(2).allows_word(Words.of("e\u0301a"), 0)
