"""Short texts are read once, and what is remembered has an end."""

from __future__ import annotations

import pytest

from rosearch.encode import remembered as module
from rosearch.encode.remembered import remembered


def test_short_texts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def upper(text: str) -> str:
        read.append(text)
        return text.upper()

    known: dict[str, str] = {}
    for text in ("a", "b", "a", "x" * 1000, "x" * 1000):
        assert remembered(known, text, upper) == text.upper()
    assert read == ["a", "b", "x" * 1000, "x" * 1000]
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 5)
    for number in range(20):
        assert remembered(known, str(number), upper) == str(number)
        assert len(known) <= 7
