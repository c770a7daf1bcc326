"""Replacements of words as token ids, and training with WordPerturbation on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    DeepWordBug,
    GreedyWordSwap,
    NoRepeat,
    RobustnessEvaluator,
    WordReplacements,
    WordSwapAttack,
)
from rosearch.attack.text import AttackedInput
from rosearch.attack.word_swaps.substitutions import Union
from rosearch.data import Text, TextDataset
from rosearch.distill import Distiller, Teacher, WordPerturbation
from rosearch.errors import ArgumentError
from rosearch.space import templates
from rosearch.tokens import TokenizedText, tokenize
from tests.attack.synonyms import Misspelt, Synonyms
from tests.distill.loop import same

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}


def changed_rows(made: Any, number: int, row: TokenizedText) -> list[list[tuple[int, ...]]]:
    """For each slot of a text, the rows with each of its choices."""
    slots = []
    for slot in range(made.first_slots[number], made.first_slots[number + 1]):
        start, end = made.starts[slot], made.ends[slot]
        found = []
        for choice in range(made.first_choices[slot], made.first_choices[slot + 1]):
            new = made.ids[made.first_ids[choice] : made.first_ids[choice + 1]].tolist()
            found.append((*row.ids[:start], *new, *row.ids[end:]))
        slots.append(found)
    return slots


def expected(text: Text, side: int) -> list[set[Text]]:
    """For each word that has any, the texts with it replaced."""
    one = AttackedInput(text, side)
    words = one.words
    found = []
    for index, word in enumerate(words.words):
        new = {*Synonyms().propose(word), *Misspelt().propose(word)}
        if new:
            found.append({one.whole(words.replace(index, w).text) for w in new})
    return found


def test_a_part_of_the_texts_has_replacements(tokenizer: Any, dataset: TextDataset) -> None:
    given = TextDataset([f"{text}, a good film" for text in dataset.texts[:30]], [0, 1] * 15)
    rows = tokenize(tokenizer, list(given.texts), max_length=64)
    whole = WordReplacements(Synonyms()).choices(given, tokenizer, max_length=64)

    def of(made: Any) -> list[Any]:
        return [changed_rows(made, number, row) for number, row in enumerate(rows)]

    every = of(whole)
    assert all(every)
    drawn = []
    for seed in (0, 0, 1):
        some = WordReplacements(Synonyms(), max_texts=12, seed=seed)
        found = of(some.choices(given, tokenizer, max_length=64))
        drawn.append([number for number, slots in enumerate(found) if slots])
        assert [slots for slots in found if slots] == [every[number] for number in drawn[-1]]
    assert drawn[0] == drawn[1] != drawn[2]
    assert list(map(len, drawn)) == [12, 12, 12]
    more = WordReplacements(Synonyms(), max_texts=31).choices(given, tokenizer, max_length=64)
    assert of(more) == every


def test_settings_name_the_number_of_texts_where_there_is_one() -> None:
    assert "max_texts" not in WordReplacements(Synonyms()).settings
    assert WordReplacements(Synonyms(), max_texts=9).settings["max_texts"] == 9
    with pytest.raises(ArgumentError, match="max_texts"):
        WordReplacements(Synonyms(), max_texts=0)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("pairs", [False, True])
def test_a_row_with_a_replacement_is_the_row_of_the_perturbed_text(
    tokenizer: Any, dataset: TextDataset, pairs: bool, side: int
) -> None:
    texts: list[Any] = [f"{text}, a well-made good film!" for text in dataset.texts[:30]]
    if pairs:
        texts = [(text, f"quite {text}") for text in texts]
    given = TextDataset(texts, dataset.labels[:30])
    source = WordReplacements([Synonyms(), Misspelt()], attacked_side=side)
    made = source.choices(given, tokenizer, max_length=64)
    assert len(made.first_slots) == 31
    for number, (text, row) in enumerate(
        zip(texts, tokenize(tokenizer, texts, max_length=64), strict=True)
    ):
        wanted = [
            {r.ids for r in tokenize(tokenizer, list(group), max_length=64)} - {row.ids}
            for group in expected(text, side)
        ]
        found = changed_rows(made, number, row)
        assert all(rows.pop(0) == row.ids for rows in found)
        assert [set(rows) for rows in found] == [rows for rows in wanted if rows]
        assert all(len(set(rows)) == len(rows) for rows in found)


def test_truncated_texts_have_the_replacements_of_their_visible_words(tokenizer: Any) -> None:
    texts = TextDataset(["good " * 40, "a good film"], [0, 1])
    made = WordReplacements(Synonyms()).choices(texts, tokenizer, max_length=16)
    assert made.first_slots.tolist() == [0, 14, 15]


def test_number_of_replacements_is_limited_and_draws_repeat(
    tokenizer: Any, dataset: TextDataset
) -> None:
    full = WordReplacements([Synonyms(), Misspelt()]).choices(dataset, tokenizer, max_length=64)
    few = WordReplacements([Synonyms(), Misspelt()], max_replacements=2)
    made = few.choices(dataset, tokenizer, max_length=64)
    assert np.diff(full.first_choices).max() > 2
    assert np.diff(made.first_choices).max() == 3  # the word itself, and two
    again = few.choices(dataset[50:60], tokenizer, max_length=64)
    start, end = made.first_slots[50], made.first_slots[60]
    assert np.array_equal(again.starts, made.starts[start:end])
    first = made.first_ids[made.first_choices[[start, end]]]
    assert np.array_equal(again.ids, made.ids[first[0] : first[1]])


def test_attacks_by_name(wordnet_folder: Path, tokenizer: Any, dataset: TextDataset) -> None:
    source = WordReplacements(["pwws", "deepwordbug"])
    made = source.choices(dataset, tokenizer, max_length=64)
    assert np.diff(made.first_slots).min() >= 1
    names = [one["substitution"]["name"] for one in source.settings["sources"]]
    assert names == ["wordnet-synonyms", "character-edits"]


def test_only_sources_of_rosearch_are_told_by_settings() -> None:
    assert WordReplacements("deepwordbug").is_told_by_settings
    assert not WordReplacements(["deepwordbug", Synonyms()]).is_told_by_settings
    nested = WordSwapAttack(Union([Synonyms()]))
    assert not WordReplacements(nested).is_told_by_settings


def test_settings_and_errors() -> None:
    source = WordReplacements([Synonyms(), DeepWordBug()], max_replacements=7)
    assert json.loads(json.dumps(source.settings)) == source.settings
    assert source.settings["max_replacements"] == 7
    assert "synonyms" in repr(source)
    for wrong in ((), [3], DeepWordBug):
        with pytest.raises(ArgumentError):
            WordReplacements(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="max_replacements"):
        WordReplacements(Synonyms(), max_replacements=0)


BAG = templates.bag_of_words(**SMALL)


class TestTraining:
    @pytest.mark.parametrize("gradient", ["current", "previous"])
    def test_checkpoint_resume_gives_identical_weights(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        tmp_path: Path,
        gradient: str,
    ) -> None:
        genome, file = templates.text_cnn(**SMALL), tmp_path / "state"

        def distiller() -> Distiller:
            return make(teacher, parts, share=0.5, epochs=4, gradient=gradient)

        whole = distiller().distill(genome)
        for epochs in (1, 3, None):
            part = distiller().distill(genome, epochs=epochs, checkpoint=file)
        assert same(part.student, whole.student)
        plain = Distiller(teacher, *parts, epochs=4, progress=False).distill(genome)
        assert not same(plain.student, whole.student)

    def test_only_epochs_of_full_weight_can_be_the_best(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        result = make(teacher, parts, ramp=0.5, epochs=4).distill(templates.bag_of_words(**SMALL))
        assert [epoch.counted for epoch in result.history] == [False, False, True, True]

    def test_the_first_epoch_of_the_previous_gradient_is_plain(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = make(teacher, parts, ramp=0.0, epochs=3, gradient="previous")
        assert distiller.first_counted == 2
        history = distiller.distill(templates.bag_of_words(**SMALL)).history
        assert [epoch.counted for epoch in history] == [False, True, True]
        with pytest.raises(ValueError, match=r"the first epoch perturbs no text.*Train longer"):
            make(teacher, parts, ramp=0.0, epochs=1, gradient="previous")

    def test_patience_begins_with_the_first_epoch_that_counts(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = make(teacher, parts, ramp=0.75, epochs=8, learning_rate=1e-9, patience=1)
        # It learns nothing, so that no epoch is better than the one before.
        history = distiller.distill(templates.bag_of_words(**SMALL)).history
        assert distiller.first_counted == 7
        assert [epoch.counted for epoch in history] == [False] * 6 + [True] * 2

    @pytest.mark.parametrize(("ramp", "epochs"), [(0.8, 4), (1.0, 9), (0.5, 1)])
    def test_a_ramp_that_leaves_no_epoch(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        ramp: float,
        epochs: int,
    ) -> None:
        with pytest.raises(ValueError, match=r"no epoch starts with it.*Train longer"):
            make(teacher, parts, ramp=ramp, epochs=epochs)

    @pytest.mark.parametrize(
        "settings",
        [
            {"precision": "bfloat16"},
            {"micro_batch_size": 8},
            {"micro_batch_size": 8, "gradient": "previous"},
            {"micro_batch_size": 1},
        ],
    )
    def test_with_other_settings(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        settings: dict[str, Any],
    ) -> None:
        settings = dict(settings)
        training: dict[str, Any] = {"epochs": 8, "learning_rate": 2e-2}
        result = make(teacher, parts, **training, **settings).distill(BAG)
        assert result.accuracy > 0.7
        # Not because nothing was perturbed.
        settings.pop("gradient", None)
        plain = Distiller(teacher, *parts, progress=False, **training, **settings).distill(BAG)
        losses = [epoch.loss for epoch in result.history], [epoch.loss for epoch in plain.history]
        assert losses[0][-1] > losses[1][-1] + 0.02

    def test_settings_and_refused_combinations(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        settings = make(teacher, parts, weight=0.7).settings["perturbation"]
        assert json.loads(json.dumps(settings)) == settings
        assert (settings["name"], settings["weight"]) == ("words", 0.7)
        with pytest.raises(ValueError, match="token by token"):
            make(teacher, parts, losses={"soft_labels": 1.0, "hidden_states": 0.5})
        with pytest.raises(ValueError, match="compile"):
            make(teacher, parts, compile=True)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("learnt", "gradient", "gain"),
        [(0.0, "current", 0.1), (0.2, "current", 0.1), (0.2, "previous", 0.08)],
    )
    def test_accuracy_under_attack_rises(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        learnt: float,
        gradient: str,
        gain: float,
    ) -> None:
        attack = WordSwapAttack(Misspelt(), [NoRepeat()], GreedyWordSwap("deletion"))
        evaluator = RobustnessEvaluator(attack, parts[1], examples=None, progress=False)
        genome = templates.bag_of_words(**SMALL)

        def robustness(distiller: Distiller) -> float:
            found = [
                evaluator.evaluate(distiller.distill(genome, seed=s).student) for s in range(4)
            ]
            assert min(report.accuracy for report in found) > 0.85
            return sum(report.accuracy_under_attack for report in found) / 4

        settings: dict[str, Any] = {"epochs": 8, "learning_rate": 5e-3, "batch_size": 8}
        plain = robustness(Distiller(teacher, *parts, progress=False, **settings))
        settings |= {"learnt": learnt, "gradient": gradient}
        assert robustness(make(teacher, parts, **settings)) > plain + gain


def make(
    teacher: Teacher,
    parts: tuple[TextDataset, TextDataset],
    *,
    weight: float = 0.8,
    ramp: float = 0.5,
    share: float = 1.0,
    learnt: float = 0.2,
    gradient: str = "current",
    **settings: Any,
) -> Distiller:
    source = WordReplacements([Synonyms(), Misspelt()])
    perturbation = WordPerturbation(
        source, weight=weight, ramp=ramp, share=share, learnt=learnt, gradient=gradient
    )
    return Distiller(teacher, *parts, progress=False, perturbation=perturbation, **settings)


@pytest.fixture
def parts(dataset: TextDataset) -> tuple[TextDataset, TextDataset]:
    train, dev = dataset.split(120, 40, seed=0)
    return train, dev


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path_factory.mktemp("cache"))
