"""DeepWordBug, TextBugger and Pruthi: conformance, and what is specific to each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    DeepWordBug,
    MaxWordsChanged,
    Pruthi,
    RobustnessEvaluator,
    TextBugger,
    Words,
    WordVectors,
    attacks,
)
from rosearch.attack.testing import AttackConformance
from rosearch.attack.word_swaps.constraints.words import within_edits
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError
from rosearch.stop_words import STOP_WORDS
from tests.attack.word_swaps.helpers import finished
from tests.attack.word_swaps.recipes.attacking import TEXTS, attacked, sure


class TestDeepWordBugConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> DeepWordBug:
        return DeepWordBug()


class TestPruthiConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> Pruthi:
        return Pruthi()


def text_bugger(**settings: Any) -> TextBugger:
    """With vectors for the words of ``TEXTS`` only."""
    words = sorted({word.lower() for text in TEXTS for word in Words.of(text).words})
    table = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    return TextBugger(**{"vectors": WordVectors(words, table), "encoder": False, **settings})


class TestTextBuggerConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> TextBugger:
        return text_bugger()


def test_registered_under_their_names() -> None:
    assert attacks.get("deepwordbug") is DeepWordBug
    assert attacks.get("textbugger") is TextBugger
    assert attacks.get("pruthi") is Pruthi
    assert DeepWordBug.name == "deepwordbug"


def test_deepwordbug_keeps_stop_words_and_changes_few_characters() -> None:
    report = attacked(DeepWordBug(max_edit_distance=3))
    for result in report.examples:
        words = Words.of(result.text).words
        assert not {words[i] for i in result.changed} & STOP_WORDS
        assert within_edits(result.text, result.perturbed, 3)
    assert report.settings["attacks"][0]["constraints"][2] == {"name": "edit-distance", "limit": 3}


def test_other_stop_words() -> None:
    kept = ("story", "film", "biopic", "end")
    report = attacked(DeepWordBug(stop_words=kept))
    for result in report.examples:
        assert not {Words.of(result.text).words[i] for i in result.changed} & set(kept)
    assert report.settings["attacks"][0]["constraints"][1]["stop_words"] == sorted(kept)


def test_capitalised_stop_words_are_replaced_as_in_textattack() -> None:
    def victim(texts: Any) -> Any:
        return np.array([[0.1, 0.9] if "The" in t else [0.9, 0.1] for t in texts])

    data = TextDataset(["The end"], [1])
    report = RobustnessEvaluator(DeepWordBug(), data, progress=False).evaluate(victim)
    assert report.examples[0].changed == (0,)


def test_random_edits_depend_on_seed_and_text_only() -> None:
    def outcome(report: Any) -> Any:
        return [r.perturbed for r in report.examples]

    first = outcome(attacked(DeepWordBug(), seed=0))
    assert outcome(attacked(DeepWordBug(), seed=0)) == first
    assert outcome(attacked(DeepWordBug(), seed=1)) != first
    assert outcome(attacked(DeepWordBug(), TEXTS[1:], seed=0)) == first[1:]


def test_deepwordbug_query_count() -> None:
    # "a" is a stop word; all of at most four edits of the other two words are queried.
    data = TextDataset(["a dull end"], [0], classes=["x", "y"])
    report = RobustnessEvaluator(DeepWordBug(), data, progress=False).evaluate(sure)
    assert report.examples[0].status == "failed"
    assert 1 + 2 + 2 <= report.examples[0].queries <= 1 + 2 + 8
    assert report.queries == report.examples[0].queries


def test_pruthi_changes_the_inside_of_one_long_word() -> None:
    report = attacked(Pruthi())
    assert report.succeeded
    for result in report.examples:
        assert len(result.changed) <= 1
        before, after = Words.of(result.text).words, Words.of(result.perturbed).words
        for index in result.changed:
            assert len(before[index]) >= 4
            assert before[index] not in STOP_WORDS
            assert (before[index][0], before[index][-1]) == (after[index][0], after[index][-1])
            assert within_edits(before[index], after[index], 2)
    assert report.settings["attacks"][0]["constraints"][2]["count"] == 1


@pytest.mark.parametrize("max_words", [1, 2, 3])
def test_pruthi_changes_up_to_max_words(max_words: int) -> None:
    data = TextDataset(TEXTS, [0] * 4, classes=["x", "y"])
    attack = Pruthi(max_words=max_words)
    report = RobustnessEvaluator(attack, data, progress=False).evaluate(sure)
    assert {(r.status, len(r.changed)) for r in report.examples} == {("failed", max_words)}


def test_textbugger_proposes_spaces_homoglyphs_and_nearest_words() -> None:
    attack = text_bugger()
    numbers = [0.5] * attack.substitution.draws
    proposed = finished(attack.substitution.propose_in(Words.of("story"), 0, numbers))
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


def test_textbugger_without_nearest_words_needs_no_vectors() -> None:
    edits = TextBugger(neighbours=0, encoder=False)
    numbers = [0.5] * edits.substitution.draws
    proposed, whole = (
        finished(attack.substitution.propose_in(Words.of("story"), 0, numbers))
        for attack in (edits, text_bugger())
    )
    assert proposed == whole[: len(proposed)]
    assert 0 < len(whole) - len(proposed) <= 5
    with pytest.raises(ArgumentError, match="neighbours must be a whole number from 0"):
        TextBugger(neighbours=-1, encoder=False)


def test_textbugger_minimum_similarity() -> None:
    def encode(texts: Any) -> Any:
        # Texts with different letters are dissimilar.
        return np.array([[text.count(c) + 0.01 for c in "aeiourst"] for text in texts], np.float32)

    near, far = (attacked(text_bugger(encoder=encode, min_similarity=s)) for s in (0.995, 0.5))
    assert near.queries < far.queries
    assert near.succeeded <= far.succeeded
    constraint = near.settings["attacks"][0]["constraints"][-1]
    assert (constraint["threshold"], constraint["metric"]) == (0.995, "angular")
    assert attacked(text_bugger()).settings["attacks"][0]["constraints"][-1]["name"] != (
        "sentence-similarity"
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_maximum_share_of_perturbed_words_in_any_recipe(share: float) -> None:
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
