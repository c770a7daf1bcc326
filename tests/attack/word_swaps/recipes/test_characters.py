"""Recipes by misspellings, and PWWS: conformance, and what is particular to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    PWWS,
    DeepWordBug,
    MaxWordsChanged,
    Pruthi,
    RobustnessEvaluator,
    TextBugger,
    Words,
    attacks,
)
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.testing import AttackConformance, hashing_classifier
from rosearch.attack.word_swaps.constraints import STOP_WORDS, edit_distance
from rosearch.data import TextDataset
from rosearch.errors import MissingResourceError

TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "The film offers a breath of fresh air, and true sophistication.",
    "Effective but too tepid biopic.",
    "A dull and boring end, and a dull start.",
)


def attacked(attack: Any, texts: Sequence[str] = TEXTS, **kw: Any) -> Any:
    labels = hashing_classifier(texts).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=["a", "b"])
    kw = {"examples": range(len(texts)), "progress": False, **kw}
    return RobustnessEvaluator(attack, data, **kw).evaluate(hashing_classifier)


class TestDeepWordBugConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> DeepWordBug:
        return DeepWordBug()


class TestPruthiConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> Pruthi:
        return Pruthi()


def text_bugger(**settings: Any) -> TextBugger:
    """With vectors for a few words only."""
    words = sorted({word.lower() for text in TEXTS for word in Words.of(text).words})
    table = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    return TextBugger(**{"vectors": WordVectors(words, table), "encoder": False, **settings})


class TestTextBuggerConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> TextBugger:
        return text_bugger()


@pytest.mark.usefixtures("wordnet_folder")
class TestPWWSConforms(AttackConformance):
    @pytest.fixture
    def attack(self, wordnet_folder: Path) -> PWWS:
        return PWWS(wordnet=wordnet_folder)


def test_registered_under_their_names() -> None:
    assert attacks.get("pwws") is PWWS
    assert attacks.get("deepwordbug") is DeepWordBug
    assert attacks.get("textbugger") is TextBugger
    assert attacks.get("pruthi") is Pruthi
    assert (PWWS.name, DeepWordBug.name) == ("pwws", "deepwordbug")


def test_deepwordbug_changes_no_stop_word_and_few_characters() -> None:
    report = attacked(DeepWordBug(max_edit_distance=3))
    for result in report.examples:
        words = Words.of(result.text).words
        assert not {words[i] for i in result.changed} & STOP_WORDS
        assert edit_distance(result.text, result.perturbed) <= 3
    assert report.settings["attacks"][0]["constraints"][2] == {"name": "edit-distance", "limit": 3}


def test_a_user_s_stop_words() -> None:
    kept = ("story", "film", "biopic", "end")
    report = attacked(DeepWordBug(stop_words=kept))
    for result in report.examples:
        assert not {Words.of(result.text).words[i] for i in result.changed} & set(kept)
    assert report.settings["attacks"][0]["constraints"][1]["stop_words"] == sorted(kept)


def test_capitalised_stop_words_are_attackable_as_in_textattack() -> None:
    def victim(texts: Any) -> Any:
        return np.array([[0.1, 0.9] if "The" in t else [0.9, 0.1] for t in texts])

    data = TextDataset(["The end"], [1])
    report = RobustnessEvaluator(DeepWordBug(), data, progress=False).evaluate(victim)
    assert report.examples[0].changed == (0,)


def test_random_edits_depend_on_seed_and_text_alone() -> None:
    def outcome(report: Any) -> Any:
        return [r.perturbed for r in report.examples]

    first = outcome(attacked(DeepWordBug(), seed=0))
    assert outcome(attacked(DeepWordBug(), seed=0)) == first
    assert outcome(attacked(DeepWordBug(), seed=1)) != first
    assert outcome(attacked(DeepWordBug(), TEXTS[1:], seed=0)) == first[1:]


def test_query_counts_by_hand() -> None:
    # One stop word ("a"), two words of four edits at most; nothing helps, so all are asked.
    def sure(texts: Any) -> Any:
        return np.tile([[0.9, 0.1]], (len(texts), 1))

    data = TextDataset(["a dull end"], [0], classes=["x", "y"])
    report = RobustnessEvaluator(DeepWordBug(), data, progress=False).evaluate(sure)
    edits = DeepWordBug().substitution
    assert report.examples[0].status == "failed"
    assert 1 + 2 + 2 <= report.examples[0].queries <= 1 + 2 + 8
    assert report.queries == report.examples[0].queries
    assert edits.draws == 6


def test_pwws_counts_every_text_it_asks_for(wordnet_folder: Path) -> None:
    def sure(texts: Any) -> Any:
        return np.tile([[0.9, 0.1]], (len(texts), 1))

    data = TextDataset(["a dull end"], [0], classes=["x", "y"])
    attack = PWWS(wordnet=wordnet_folder)
    report = RobustnessEvaluator(attack, data, progress=False).evaluate(sure)
    synonyms = [len(attack.substitution.propose(word)) for word in ("dull", "end")]
    assert min(synonyms) > 3
    # First look, two blotted texts, all synonyms for the ranking, all again when replacing.
    assert report.examples[0].queries == 1 + 2 + 2 * sum(synonyms)
    assert report.forward_rows < report.queries


def test_missing_wordnet_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rosearch import wordnet

    monkeypatch.setattr(wordnet, "_usual_places", list)
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    with pytest.raises(MissingResourceError, match=r'pip install "rosearch\[wordnet\]"'):
        PWWS()
    with pytest.raises(MissingResourceError, match=r"index\.noun"):
        PWWS(wordnet=tmp_path)


def test_pruthi_changes_one_long_word_within() -> None:
    report = attacked(Pruthi())
    assert report.succeeded
    for result in report.examples:
        assert len(result.changed) <= 1
        before, after = Words.of(result.text).words, Words.of(result.perturbed).words
        for index in result.changed:
            assert len(before[index]) >= 4
            assert before[index] not in STOP_WORDS
            assert (before[index][0], before[index][-1]) == (after[index][0], after[index][-1])
            assert edit_distance(before[index], after[index]) <= 2
    assert report.settings["attacks"][0]["constraints"][2]["count"] == 1


@pytest.mark.parametrize("max_words", [1, 2, 3])
def test_pruthi_goes_on_to_its_limit(max_words: int) -> None:
    def sure(texts: Any) -> Any:
        return np.tile([[0.9, 0.1]], (len(texts), 1))

    data = TextDataset(TEXTS, [0] * 4, classes=["x", "y"])
    attack = Pruthi(max_words=max_words)
    report = RobustnessEvaluator(attack, data, progress=False).evaluate(sure)
    assert {(r.status, len(r.changed)) for r in report.examples} == {("failed", max_words)}


def test_textbugger_puts_in_spaces_and_look_alikes() -> None:
    attack = text_bugger()
    proposed = attack.substitution.propose("story", [0.5] * attack.substitution.draws)
    assert any(" " in word for word in proposed)
    assert any(not word.isascii() for word in proposed)
    assert len({"film", "huge", "end", "cannot", "dull"} & set(proposed)) <= 5
    assert len(proposed) == len(set(proposed))
    assert attacked(attack).succeeded
    (part,) = [
        part
        for part in attack.settings["substitution"]["parts"]
        if part["name"] == "nearest-neighbours"
    ]
    assert part["count"] == 5


def test_textbugger_holds_texts_to_their_meaning() -> None:
    def encode(texts: Any) -> Any:
        # Texts of other letters are far apart.
        return np.array([[text.count(c) + 0.01 for c in "aeiourst"] for text in texts], np.float32)

    near, far = (attacked(text_bugger(encoder=encode, min_similarity=s)) for s in (0.995, 0.5))
    assert near.queries < far.queries
    assert near.succeeded <= far.succeeded
    constraint = near.settings["attacks"][0]["constraints"][-1]
    assert (constraint["threshold"], constraint["metric"]) == (0.995, "angular")
    assert attacked(text_bugger()).settings["attacks"][0]["constraints"][-1]["name"] != (
        "sentence-similarity"
    )


def test_missing_vectors_are_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("ROSEARCH_CACHE", "TA_CACHE_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv("ROSEARCH_VECTORS", raising=False)
    with pytest.raises(MissingResourceError, match="counterfitting"):
        TextBugger(encoder=False)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_any_recipe_held_to_a_share_of_changed_words(share: float) -> None:
    free = DeepWordBug()
    attack = free.with_constraints(MaxWordsChanged(share=share))
    report = attacked(attack)
    for result in report.examples:
        assert len(result.changed) <= np.ceil(share * result.words)
    assert type(attack) is DeepWordBug
    assert attack.settings["constraints"][-1] == {
        "name": "max-words-changed",
        "count": None,
        "share": share,
    }
    assert len(free.constraints) == len(attack.constraints) - 1
    assert report.succeeded <= attacked(free).succeeded


def test_another_process_asks_wordnet_nothing_again(
    wordnet_folder: Path, tmp_path: Path, dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    labels = hashing_classifier(list(dataset.texts)).argmax(axis=1).tolist()
    data = TextDataset(dataset.texts, labels, classes=["a", "b"])
    first = RobustnessEvaluator(
        PWWS(wordnet=wordnet_folder), data, examples=20, progress=False
    ).evaluate(hashing_classifier)

    def refuse(*_: object) -> None:
        raise AssertionError("WordNet was asked again.")

    # A new attack knows nothing by itself, as in another process.
    again = PWWS(wordnet=wordnet_folder)
    monkeypatch.setattr(type(again.substitution._lookup.wordnet), "lemmas", refuse)
    second = RobustnessEvaluator(again, data, examples=20, progress=False).evaluate(
        hashing_classifier
    )
    assert first.succeeded > 0
    assert second.examples == first.examples
