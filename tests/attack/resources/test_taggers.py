"""Part-of-speech taggers: choice, answers, cache."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from rosearch.attack import Tagger
from rosearch.attack.resources import taggers
from rosearch.attack.resources.inventory import Resource
from rosearch.attack.resources.taggers import universal
from rosearch.errors import ArgumentError, EvaluationError, MissingResourceError
from tests.attack.recorders import RecordingTagger, by_length


def test_each_context_is_tagged_once_and_answers_are_cached_on_disk(tmp_path: Path) -> None:
    recorder = RecordingTagger()
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


def test_function_without_a_key_is_cached_in_memory_only(
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


def test_tagger_that_returns_too_few_tags_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="1 tags for 2 words"):
        Tagger(lambda sentences: [["NOUN"] for _ in sentences]).answer([("a", "b", 1)])


def test_choice_of_the_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*names: str) -> None:
        table = [
            Resource(f"part-of-speech tagger: {shown}", "x", name in names, "gone", f"get {name}")
            for name, shown in (
                ("nltk", "NLTK"),
                ("flair", "flair"),
                ("hanta", "HanTa"),
                ("textblob", "TextBlob"),
            )
        ]
        monkeypatch.setattr(taggers, "status", lambda: table)

    monkeypatch.setattr(taggers.metadata, "version", lambda name: "1.0")
    for names, first in (
        (("nltk", "flair", "textblob"), "nltk"),
        (("flair", "hanta", "textblob"), "flair"),
        (("hanta", "textblob"), "hanta"),
        (("textblob",), "textblob"),
    ):
        here(*names)
        assert Tagger().settings["backend"] == first
        assert Tagger().settings["release"].startswith(f"{first} 1.0")
    with pytest.raises(MissingResourceError, match=r"not available. 'flair': gone.*get flair"):
        Tagger("flair")
    with pytest.raises(ArgumentError, match=r"tagger must be one of 'auto', .* got 'spacy'"):
        Tagger("spacy")  # type: ignore[arg-type]
    here()
    with pytest.raises(MissingResourceError, match=r"get nltk.*get flair.*get hanta.*get textblob"):
        Tagger()


def test_universal_tags_of_the_penn_treebank() -> None:
    tags = "NN VBZ JJ RB IN NNP-PERS TO CD XYZ".split()
    expected = "NOUN VERB ADJ ADV ADP NOUN PRT NUM X".split()
    assert list(map(universal, tags)) == expected


@pytest.fixture(params=["hanta", "textblob"])
def packaged(request: pytest.FixtureRequest) -> Tagger:
    """A tagger whose package has all it needs."""
    pytest.importorskip({"hanta": "HanTa"}.get(request.param, request.param))
    return Tagger(request.param, cache=False)


def test_packaged_taggers(packaged: Tagger) -> None:
    words = ("the", "film", "is", "quite", "good", "and/or", "it's", "")
    tags = packaged.answer([(*words, k) for k in range(len(words))])
    assert tags[:5] == ["DET", "NOUN", "VERB", "ADV", "ADJ"]


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_capitals_make_no_nouns(packaged: Tagger, case: Callable[[str], str]) -> None:
    words = [case(word) for word in "the actors wisely improvise a brilliant scene".split()]
    tags = packaged.answer([(*words, k) for k in range(len(words))])
    assert tags == ["DET", "NOUN", "ADV", "VERB", "DET", "ADJ", "NOUN"]


def test_only_hanta_reads_the_context() -> None:
    pytest.importorskip("HanTa")
    pytest.importorskip("textblob")
    contexts = [("they", "work", "hard", 1), ("the", "work", "was", 1)]
    assert Tagger("hanta", cache=False).answer(contexts) == ["VERB", "NOUN"]
    assert len(set(Tagger("textblob", cache=False).answer(contexts))) == 1


def test_nltk_tags_are_universal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tagger trained here, since its data is a download."""
    nltk_tag = pytest.importorskip("nltk.tag")
    trained = nltk_tag.PerceptronTagger(load=False)
    trained.train([[("a", "DT"), ("film", "NN"), ("runs", "VBZ")]] * 3, nr_iter=3)
    monkeypatch.setattr(nltk_tag, "PerceptronTagger", lambda: trained)
    table = [
        Resource(f"part-of-speech tagger: {title}", "x", True, "here", "")
        for title in ("NLTK", "flair", "HanTa", "TextBlob")
    ]
    monkeypatch.setattr(taggers, "status", lambda: table)
    found = Tagger("nltk", cache=False).answer([("a", "film", "runs", k) for k in range(3)])
    assert found == ["DET", "NOUN", "VERB"]
