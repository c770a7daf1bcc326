"""The two recipes: conformance, and what is particular to each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import PWWS, DeepWordBug, RobustnessEvaluator, Words, attacks
from rosearch.attack.constraints import STOP_WORDS, edit_distance
from rosearch.attack.testing import AttackConformance, hashing_classifier
from rosearch.data import TextDataset
from rosearch.errors import MissingResourceError

TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "The film offers a breath of fresh air, and true sophistication.",
    "Effective but too tepid biopic.",
    "A dull and boring end, and a dull start.",
)


def attacked(attack: object, texts: object = TEXTS, **kw: object) -> object:
    labels = hashing_classifier(texts).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=["a", "b"])
    kw = {"examples": range(len(texts)), "progress": False, **kw}
    return RobustnessEvaluator(attack, data, **kw).evaluate(hashing_classifier)


class TestDeepWordBugConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> DeepWordBug:
        return DeepWordBug()


@pytest.mark.usefixtures("wordnet_folder")
class TestPWWSConforms(AttackConformance):
    @pytest.fixture
    def attack(self, wordnet_folder: Path) -> PWWS:
        return PWWS(wordnet=wordnet_folder)


def test_registered_under_their_names() -> None:
    assert attacks.get("pwws") is PWWS
    assert attacks.get("deepwordbug") is DeepWordBug
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
    from rosearch.attack import resources

    monkeypatch.setattr(resources, "_usual_places", list)
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    with pytest.raises(MissingResourceError, match=r'pip install "rosearch\[wordnet\]"'):
        PWWS()
    with pytest.raises(MissingResourceError, match=r"index\.noun"):
        PWWS(wordnet=tmp_path)
