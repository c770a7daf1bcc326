"""Dictionaries for spelling."""

from __future__ import annotations

import sys

import pytest

from rosearch.encode.dictionaries import word_shares
from rosearch.errors import MissingResourceError


def test_shares_add_up_to_one() -> None:
    shares = word_shares("english")
    assert len(shares) > 80_000
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["the"] > shares["film"] > shares["xylophone"]
    assert not word_shares("none")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "symspellpy", None)
    word_shares.cache_clear()
    with pytest.raises(MissingResourceError, match="rosearch\\[dictionary\\]"):
        word_shares("english")
