"""WordNet synonyms as substitutions."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from rosearch.attack import PWWS
from rosearch.attack.word_swaps.substitutions import WordNetSynonyms
from rosearch.wordnet import WordNet


def test_synonyms_are_single_words_without_the_word_itself(wordnet_folder: Path) -> None:
    synonyms = WordNetSynonyms(wordnet=wordnet_folder).propose("films")
    assert {"movie", "film"} <= set(synonyms)
    assert "films" not in synonyms
    assert not [s for s in synonyms if "_" in s or " " in s]
    assert list(synonyms) == sorted(set(synonyms))


def test_replacements_that_differ_in_case_only_can_be_left_out(wordnet_folder: Path) -> None:
    def proposed(word: str, **settings: bool) -> set[str]:
        return set(WordNetSynonyms(wordnet=wordnet_folder, **settings).propose(word))

    for word, twin in (("china", "China"), ("China", "china"), ("May", "may")):
        assert twin in proposed(word)  # as in TextAttack
        assert proposed(word, case_only=False) == proposed(word) - {twin}
    left_out = PWWS(wordnet=wordnet_folder, case_only=False)
    assert left_out.settings != PWWS(wordnet=wordnet_folder).settings


def test_pickled_look_ups_are_not_repeated(
    wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitution = WordNetSynonyms(wordnet=wordnet_folder)
    substitution.prepare(["film"])
    data = pickle.dumps(substitution)
    assert len(data) < 10_000
    copy = pickle.loads(data)
    with monkeypatch.context() as patch:
        patch.setattr(WordNet, "ranked", None)  # neither called nor needed
        assert copy.propose("film") == substitution.propose("film")
    assert copy.propose("good") == substitution.propose("good")


def test_settings_contain_the_digest_of_wordnet_and_no_folder(wordnet_folder: Path) -> None:
    substitution = WordNetSynonyms(wordnet=wordnet_folder)
    assert substitution.settings["lookup"]["wordnet"] == WordNet(wordnet_folder).digest
    assert str(wordnet_folder) not in json.dumps(dict(PWWS(wordnet=wordnet_folder).settings))
