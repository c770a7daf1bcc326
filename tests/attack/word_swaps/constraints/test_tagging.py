"""Parts of speech as a constraint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rosearch.attack import Change, PartOfSpeech, Tagger, Words
from tests.attack.recorders import RecordingTagger, by_length
from tests.attack.word_swaps.helpers import allowed, examined


def test_new_word_has_the_same_tag() -> None:
    loose = PartOfSpeech(by_length)
    assert allowed(loose, "a film", 1, "shot", "movie", "picture") == [True, True, False]
    strict = PartOfSpeech(by_length, allow_verb_noun_swap=False)
    assert allowed(strict, "a film", 1, "shot", "movie", "picture") == [True, False, False]


def test_context_is_four_words_before_and_three_after_in_the_original() -> None:
    recorder = RecordingTagger()
    words = Words.of("a b c d e f g h i j k")
    current = words.replace(4, "x").replace(8, "y")
    examined(PartOfSpeech(recorder), Change(words, current, 5, [current.replace(5, "new")]))
    assert recorder.seen == [list("bcdefghi"), ["b", "c", "d", "e", "new", "g", "h", "i"]]
    recorder.seen.clear()
    allowed(PartOfSpeech(recorder), "a b c", 0, "x")
    assert recorder.seen == [["a", "b", "c"], ["x", "b", "c"]]


def test_first_of_equal_words_in_the_context_is_tagged() -> None:
    def by_place(sentences: list[list[str]]) -> list[list[str]]:
        return [[f"place {k}" for k in range(len(words))] for words in sentences]

    # The second "very" is taken for the first, which is tagged otherwise than a new word there.
    assert allowed(PartOfSpeech(by_place), "very very good", 1, "quite") == [False]
    assert allowed(PartOfSpeech(by_place), "oh very good", 1, "quite") == [True]


def test_each_word_of_a_phrase_is_checked() -> None:
    tagger = PartOfSpeech(by_length)
    assert allowed(tagger, "film story here", 0, "shot movie") == [True]
    assert allowed(tagger, "film story here", 0, "shot picture") == [False]
    assert allowed(tagger, "film", 0, "shot movie") == [False]  # no second word there


@pytest.mark.parametrize("tagger", ["hanta", "textblob"])
@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_case_lets_no_noun_replace_an_adjective(tagger: str, case: Callable[[str], str]) -> None:
    pytest.importorskip({"hanta": "HanTa"}.get(tagger, tagger))
    constraint = PartOfSpeech(Tagger(tagger, cache=False))
    new = [case(word) for word in ("house", "terrible")]
    assert allowed(constraint, case("the acting is brilliant"), 3, *new) == [False, True]
    assert allowed(constraint, f"the acting is {case('brilliant')} .", 3, *new) == [False, True]
