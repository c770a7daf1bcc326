"""Parts of speech: windows, taggers, and what is remembered."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from rosearch.attack import PartOfSpeech, Tagger, Words
from rosearch.attack.resources import Resource
from rosearch.attack.word_swaps.constraints import Change, tagging
from rosearch.attack.word_swaps.constraints.tagging import universal
from rosearch.errors import DataError, EvaluationError, MissingResourceError


def by_length(sentences: list[list[str]]) -> list[list[str]]:
    """Short words are verbs, those of five letters nouns, longer ones adjectives."""
    return [
        ["VERB" if len(word) < 5 else "NOUN" if len(word) == 5 else "ADJ" for word in words]
        for words in sentences
    ]


class Recorder:
    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(self, sentences: list[list[str]]) -> list[list[str]]:
        self.seen += sentences
        return by_length(sentences)


def examined(constraint: PartOfSpeech, change: Change) -> list[bool]:
    steps = constraint.examine(change)
    ask = next(steps)
    with pytest.raises(StopIteration) as stop:
        steps.send(ask.oracle.answer(ask.questions))
    return list(stop.value.value.allowed)


def change(text: str, index: int, *new: str) -> Change:
    words = Words.of(text)
    return Change(words, words, index, [words.resegment(index, word) for word in new])


def test_a_word_is_replaced_by_one_of_its_kind() -> None:
    loose = PartOfSpeech(by_length)
    assert examined(loose, change("a film", 1, "shot", "movie", "picture")) == [True, True, False]
    strict = PartOfSpeech(by_length, allow_verb_noun_swap=False)
    assert examined(strict, change("a film", 1, "shot", "movie", "picture")) == [True, False, False]


def test_the_window_is_four_words_before_and_three_after_in_the_original() -> None:
    recorder = Recorder()
    words = Words.of("a b c d e f g h i j k")
    current = words.replace(4, "x").replace(8, "y")
    examined(PartOfSpeech(recorder), Change(words, current, 5, [current.replace(5, "new")]))
    assert recorder.seen == [list("bcdefghi"), ["b", "c", "d", "e", "new", "g", "h", "i"]]
    recorder.seen.clear()
    examined(PartOfSpeech(recorder), change("a b c", 0, "x"))
    assert recorder.seen == [["a", "b", "c"], ["x", "b", "c"]]


def test_the_first_of_equal_words_in_the_window_counts() -> None:
    def by_place(sentences: list[list[str]]) -> list[list[str]]:
        return [[f"place {k}" for k in range(len(words))] for words in sentences]

    # The second "very" is taken for the first, which is tagged otherwise than a new word there.
    assert examined(PartOfSpeech(by_place), change("very very good", 1, "quite")) == [False]
    assert examined(PartOfSpeech(by_place), change("oh very good", 1, "quite")) == [True]


def test_each_word_of_a_phrase_is_looked_at() -> None:
    tagger = PartOfSpeech(by_length)
    assert examined(tagger, change("film story here", 0, "shot movie")) == [True]
    assert examined(tagger, change("film story here", 0, "shot picture")) == [False]
    assert examined(tagger, change("film", 0, "shot movie")) == [False]  # no second word there


def test_every_window_is_tagged_once_and_answers_are_kept_on_disk(tmp_path: Path) -> None:
    recorder = Recorder()
    tagger = Tagger(recorder, key="by length 1", cache=tmp_path)
    questions = [("a", "film", 0), ("a", "film", 1), ("a", "film", 0), ("film", 0)]
    assert tagger.answer(questions) == ["VERB", "VERB", "VERB", "VERB"]
    assert recorder.seen == [["a", "film"], ["film"]]
    again = Tagger(recorder, key="by length 1", cache=tmp_path)
    assert again.answer(questions) == ["VERB"] * 4
    assert again.computed == 0
    other = Tagger(by_length, key="by length 2", cache=tmp_path)
    other.answer(questions)
    assert other.computed == 3


def test_a_function_without_a_name_is_cached_in_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    tagger = Tagger(by_length)
    tagger.answer([("film", 0)])
    assert list(tmp_path.iterdir()) == []
    assert tagger.settings["backend"] == "function"
    assert "by_length" in tagger.settings["release"]
    twin = pickle.loads(pickle.dumps(tagger))
    assert twin.settings == tagger.settings
    assert twin.answer([("good", 0)]) == ["VERB"]


def test_a_tagger_that_loses_words_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="1 tags for 2 words"):
        Tagger(lambda sentences: [["NOUN"] for _ in sentences]).answer([("a", "b", 1)])


def test_which_tagger_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*names: str) -> None:
        table = [
            Resource(f"part-of-speech tagger: {shown}", "x", name in names, "gone", f"get {name}")
            for name, shown in (("nltk", "NLTK"), ("flair", "flair"), ("textblob", "TextBlob"))
        ]
        monkeypatch.setattr(tagging, "status", lambda: table)

    monkeypatch.setattr(tagging.metadata, "version", lambda name: "1.0")
    for names, first in (
        (("nltk", "flair", "textblob"), "nltk"),
        (("flair", "textblob"), "flair"),
        (("textblob",), "textblob"),
    ):
        here(*names)
        assert Tagger().settings["backend"] == first
        assert Tagger().settings["release"] == f"{first} 1.0"
    with pytest.raises(MissingResourceError, match=r"'flair' cannot be used: gone.*get flair"):
        Tagger("flair")
    with pytest.raises(DataError, match="got 'spacy'"):
        Tagger("spacy")  # type: ignore[arg-type]
    here()
    with pytest.raises(MissingResourceError, match=r'pip install "rosearch\[textblob\]"'):
        PartOfSpeech()


def test_tags_of_the_penn_treebank() -> None:
    assert universal(["NN", "VBZ", "JJ", "RB", "IN", "NNP-PERS", "TO", "CD", "XYZ"]) == [
        "NOUN",
        "VERB",
        "ADJ",
        "ADV",
        "ADP",
        "NOUN",
        "PRT",
        "NUM",
        "X",
    ]


def test_textblob() -> None:
    pytest.importorskip("textblob")
    words = ("the", "film", "is", "quite", "good", "and/or", "it's", "")
    tags = Tagger("textblob", cache=False).answer([(*words, k) for k in range(len(words))])
    assert tags[:5] == ["DET", "NOUN", "VERB", "ADV", "ADJ"]


def test_nltk_s_tags_are_those_of_its_universal_tag_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tagger trained here, since its data is a download."""
    nltk_tag = pytest.importorskip("nltk.tag")
    trained = nltk_tag.PerceptronTagger(load=False)
    trained.train([[("a", "DT"), ("film", "NN"), ("runs", "VBZ")]] * 3, nr_iter=3)
    monkeypatch.setattr(nltk_tag, "PerceptronTagger", lambda: trained)
    found: Any = tagging._load_nltk()([["a", "film", "runs"], ["a"]])
    assert found == [["DET", "NOUN", "VERB"], ["DET"]]
