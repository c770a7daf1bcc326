"""Words looked up by themselves have the replacements that they have in a text."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.attack import (
    DeepWordBug,
    GreedyWordSwap,
    MaxEditDistance,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    WordSwapAttack,
)
from rosearch.attack.text import AttackedInput
from rosearch.attack.training.sources import WordSources, answered
from rosearch.attack.training.word_lookup import WordLookup
from tests.attack.synonyms import Misspelt, Synonyms

TEXTS = (
    "the good film, a GOOD (good) film",
    "well-made, bad and quite Extraordinarily-long-windedness-of-the-plot",
    "a o' the",
)


@pytest.mark.parametrize(
    "source",
    [
        DeepWordBug(),
        DeepWordBug(max_edit_distance=1),
        WordSwapAttack(Synonyms(), [NoRepeat(), NoStopWords(["bad"])], GreedyWordSwap()),
        WordSwapAttack(Misspelt(), [MaxEditDistance(2)], resegment=False),
    ],
)
def test_replacements_are_those_in_the_text(source: Any) -> None:
    sources = WordSources(source)
    lookup = WordLookup.of(sources.swaps[0])
    assert lookup is not None
    for text in 2 * TEXTS:
        one = AttackedInput(text)
        words = one.words
        (swaps,) = sources.start(one, seed=3, purpose="test")
        for index, word in enumerate(words.words):
            (found,) = answered([lookup(word, swaps.random_numbers(index))])
            (wanted,) = answered([swaps.candidates(words, index)])
            changed = {words.resegment(index, new).text for new in found}
            assert len(changed) == len(found)
            assert changed == {other.text for other in wanted.texts}


def test_sources_that_read_the_text_have_no_lookup() -> None:
    counting = WordSwapAttack(Synonyms(), [MaxWordsChanged(2)])
    assert WordLookup.of(counting.swaps) is None


def test_a_word_is_proposed_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    source = Synonyms()
    monkeypatch.setattr(source, "propose", lambda word, numbers: asked.append(word) or ["fine"])
    lookup = WordLookup.of(WordSources(source).swaps[0])
    assert lookup is not None
    found = list(answered(lookup(word, ()) for word in ("good", "bad", "good")))
    assert found == [["fine"]] * 3
    assert asked == ["good", "bad"]
