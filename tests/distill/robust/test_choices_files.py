"""Replacements of words are looked up once, and read from the cache afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import WordReplacements
from rosearch.data import TextDataset
from rosearch.distill.robust.choices_files import cached_choices
from rosearch.tokens import Truncation, WordChoices

TEXTS = TextDataset(["a good film", "a long and rather dull film , all told"], [1, 0])


class Counted:
    """The replacements of DeepWordBug, and how often they are looked up."""

    def __init__(self, *, is_told_by_settings: bool = True, seed: int = 0) -> None:
        self.source = WordReplacements("deepwordbug", seed=seed)
        self.is_told_by_settings = is_told_by_settings
        self.asked = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.source.settings

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> WordChoices:
        self.asked += 1
        return self.source.choices(dataset, tokenizer, max_length=max_length)


def arrays(choices: WordChoices) -> dict[str, Any]:
    assert choices.truncation is not None
    return {
        f"{type(part).__name__}.{field.name}": np.asarray(getattr(part, field.name))
        for part in (choices, choices.truncation)
        for field in fields(part)
        if not isinstance(getattr(part, field.name), Truncation)
    }


@pytest.mark.parametrize("side", ["left", "right"])
def test_another_process_reads_what_the_first_looked_up(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    first, second = Counted(), Counted()
    made = cached_choices(first, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
    found = cached_choices(second, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
    assert (first.asked, second.asked) == (1, 0)
    assert found.truncation is not None
    assert found.truncation.left == (side == "left")
    wanted = arrays(made)
    for name, array in arrays(found).items():
        assert array.dtype == wanted[name].dtype
        assert np.array_equal(array, wanted[name])


def test_other_texts_settings_or_lengths_are_looked_up(tokenizer: Any, tmp_path: Path) -> None:
    source, other = Counted(), Counted(seed=1)
    cached_choices(source, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
    cached_choices(source, TEXTS, tokenizer, max_length=9, cache_dir=tmp_path)
    cached_choices(source, TEXTS[:1], tokenizer, max_length=8, cache_dir=tmp_path)
    cached_choices(other, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
    assert (source.asked, other.asked) == (3, 1)


def test_a_damaged_file_is_replaced(tokenizer: Any, tmp_path: Path) -> None:
    source = Counted()
    cached_choices(source, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
    (path,) = (tmp_path / "replacements").glob("[!.]*")
    path.write_bytes(path.read_bytes()[:-8])
    for asked in (2, 2):
        cached_choices(source, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
        assert source.asked == asked


def test_what_settings_do_not_tell_is_not_cached(tokenizer: Any, tmp_path: Path) -> None:
    source = Counted(is_told_by_settings=False)
    for asked in (1, 2):
        cached_choices(source, TEXTS, tokenizer, max_length=8, cache_dir=tmp_path)
        assert source.asked == asked
