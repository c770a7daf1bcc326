"""Augmentation by random word substitutions: constraints, draws, settings."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from rosearch.attack import (
    DeepWordBug,
    GreedyWordSwap,
    MaxEditDistance,
    NoStopWords,
    Oracle,
    SubstitutionAugmentation,
    Words,
    WordSwapAttack,
)
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, RegistryError
from rosearch.stop_words import STOP_WORDS
from tests.attack.synonyms import SYNONYMS, Misspelt, Synonyms


class Doubled(Oracle):
    """Answers with the word, twice."""

    name = "doubled"

    def __init__(self) -> None:
        super().__init__(cache=False)
        self.calls = 0

    def compute(self, questions: Sequence[str]) -> Sequence[str]:
        self.calls += 1
        return [f"{word} {word}" for word in questions]


class Asked(Substitution):
    """Replaces a word by what an oracle makes of it: two words."""

    name = "asked"

    def __init__(self) -> None:
        self.oracle = Doubled()

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        answers: list[str] = yield Ask(self.oracle, [text.words[index]])
        return answers


def _words(dataset: TextDataset) -> list[str]:
    return [word for text in dataset.texts for word in str(text).split()]


def test_constraints_hold_and_a_share_of_the_words_is_replaced(dataset: TextDataset) -> None:
    made = SubstitutionAugmentation(DeepWordBug(max_edit_distance=3), share=0.25, copies=2)
    found = made.texts(dataset, epoch=1)
    assert set(Counter(i for i, _ in found).values()) == {2}
    assert len({text for _, text in found}) > 390
    limit = MaxEditDistance(3)
    counts = Counter()
    for example, text in found:
        before, after = Words.of(str(dataset.texts[example])), Words.of(str(text))
        assert limit.allows_text(before, after)
        pairs = list(zip(before.words, after.words, strict=True))
        changed = [old for old, new in pairs if old != new]
        assert not STOP_WORDS & set(changed)
        wanted = max(1, round(0.25 * len(before)))
        assert 1 <= len(changed) <= wanted
        counts[len(changed) == wanted] += 1
    assert counts[True] > 0.9 * len(found)


def test_several_sources_are_drawn_evenly(dataset: TextDataset) -> None:
    made = SubstitutionAugmentation([Synonyms(), Misspelt()], share=0.01)
    found = made.texts(dataset, epoch=1)
    assert len(found) == 200
    real = sum(not set(str(text).split()) - set(_words(dataset)) for _, text in found)
    assert 60 < real < 140


def test_draws_depend_on_seed_text_copy_and_epoch(dataset: TextDataset) -> None:
    made = SubstitutionAugmentation([Synonyms(), Misspelt()], copies=2)
    found = made.texts(dataset, epoch=1)
    assert found == made.texts(dataset, epoch=1)
    assert found == pickle.loads(pickle.dumps(made)).texts(dataset, epoch=1)
    assert found != made.texts(dataset, epoch=2)
    assert found != SubstitutionAugmentation([Synonyms(), Misspelt()], copies=2, seed=1).texts(
        dataset, epoch=1
    )
    # Each text's changes are its own, whatever else is there.
    part = made.texts(dataset[50:60], epoch=1)
    assert Counter(text for _, text in part) == Counter(t for i, t in found if 50 <= i < 60)


def test_texts_without_replaceable_words_are_left_out(dataset: TextDataset) -> None:
    plain = TextDataset(["the plot was", "a good film", ""], [0, 1, 0])
    found = SubstitutionAugmentation(Synonyms(), share=1.0).texts(plain, epoch=1)
    assert [i for i, _ in found] == [1]
    assert str(found[0][1]).split()[1] in SYNONYMS[0]


def test_an_oracle_is_asked_for_all_texts_together() -> None:
    asked = Asked()
    texts = TextDataset(["one two three", "four five"], [0, 1])
    found = SubstitutionAugmentation(asked, share=1.0).texts(texts, epoch=1)
    assert found == [(0, "one one two two three three"), (1, "four four five five")]
    assert asked.oracle.calls == 3


def test_one_side_of_a_pair_is_perturbed() -> None:
    pairs = TextDataset([("a good film", "a bad film")], [0])
    for side in (0, 1):
        made = SubstitutionAugmentation(Synonyms(), attacked_side=side)
        ((_, text),) = made.texts(pairs, epoch=1)
        assert text[1 - side] == pairs.texts[0][1 - side]
        assert text[side].split()[1] in SYNONYMS[2 * side]


def test_attacks_by_name(wordnet_folder: Path, dataset: TextDataset) -> None:
    found = SubstitutionAugmentation(["pwws", "deepwordbug"], share=0.3).texts(dataset, epoch=1)
    assert len(found) == 200


def test_settings_are_json() -> None:
    made = SubstitutionAugmentation([Synonyms(), DeepWordBug()], share=0.5)
    settings = json.loads(json.dumps(made.settings))
    assert settings == made.settings
    assert [source["substitution"]["name"] for source in settings["sources"]] == [
        "synonyms",
        "character-edits",
    ]
    assert settings["sources"][1]["constraints"][1]["name"] == "no-stop-words"
    swaps = WordSwapAttack(Synonyms(), [NoStopWords()], GreedyWordSwap())
    assert settings != SubstitutionAugmentation(swaps).settings
    assert "share=0.5" in repr(made)


def test_invalid_arguments_are_refused() -> None:
    for sources in ((), [3], DeepWordBug, [Synonyms]):
        with pytest.raises(ArgumentError):
            SubstitutionAugmentation(sources)  # type: ignore[arg-type]
    with pytest.raises(RegistryError):
        SubstitutionAugmentation("pwsw")
    for wrong in ({"share": 2.0}, {"copies": 0}, {"answers": "both"}, {"attacked_side": 2}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            SubstitutionAugmentation(Synonyms(), **wrong)  # type: ignore[arg-type]
