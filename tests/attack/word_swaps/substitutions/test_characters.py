"""Character edits: random letters, positions, and their ranges."""

from __future__ import annotations

import pytest

from rosearch.attack import CharacterEdits, CharacterInsertion, Homoglyphs, KeyboardNeighbours
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
