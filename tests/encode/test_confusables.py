"""Characters that look like ASCII ones."""

from __future__ import annotations

from rosearch.encode.confusables import ascii_twins


def test_has_what_looks_alike_and_nothing_of_ascii() -> None:
    twins = ascii_twins()
    assert twins["\u0430"] == "a"  # Cyrillic
    assert twins["\u2010"] == "-"
    assert not any(character.isascii() for character in twins)
    assert all(likes.isascii() and likes for likes in twins.values())
    assert "\u4e2d" not in twins
