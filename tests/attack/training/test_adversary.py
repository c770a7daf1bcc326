"""What attacks lend to training: constraints hold, draws repeat, and training on it helps."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rosearch.attack import (
    AdversarialTexts,
    DeepWordBug,
    GreedyWordSwap,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
    Oracle,
    RobustnessEvaluator,
    SubstitutionAugmentation,
    Words,
    WordSwapAttack,
    WordSwaps,
)
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.resources.stop_words import STOP_WORDS
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.errors import DataError, RegistryError
from rosearch.space import templates
from tests.attack.synonyms import SYNONYMS, Misspelt, Synonyms
from tests.distill.loop import same

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}


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


def attack() -> WordSwapAttack:
    return WordSwapAttack(Misspelt(), [NoRepeat()], GreedyWordSwap("deletion"), name="misspelt")


class TestAugmentation:
    def test_constraints_hold_and_so_many_words_change(self, dataset: TextDataset) -> None:
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

    def test_of_several_sources_each_has_its_share(self, dataset: TextDataset) -> None:
        made = SubstitutionAugmentation([Synonyms(), Misspelt()], share=0.01)
        found = made.texts(dataset, epoch=1)
        assert len(found) == 200
        real = sum(not set(str(text).split()) - set(_words(dataset)) for _, text in found)
        assert 60 < real < 140

    def test_draws(self, dataset: TextDataset) -> None:
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

    def test_words_that_no_source_changes(self, dataset: TextDataset) -> None:
        plain = TextDataset(["the plot was", "a good film", ""], [0, 1, 0])
        found = SubstitutionAugmentation(Synonyms(), share=1.0).texts(plain, epoch=1)
        assert [i for i, _ in found] == [1]
        assert str(found[0][1]).split()[1] in SYNONYMS[0]

    def test_an_oracle_is_asked_for_all_texts_together(self) -> None:
        asked = Asked()
        texts = TextDataset(["one two three", "four five"], [0, 1])
        found = SubstitutionAugmentation(asked, share=1.0).texts(texts, epoch=1)
        assert found == [(0, "one one two two three three"), (1, "four four five five")]
        assert asked.oracle.calls == 3

    def test_pairs(self) -> None:
        pairs = TextDataset([("a good film", "a bad film")], [0])
        for side in (0, 1):
            made = SubstitutionAugmentation(Synonyms(), attacked_side=side)
            ((_, text),) = made.texts(pairs, epoch=1)
            assert text[1 - side] == pairs.texts[0][1 - side]
            assert text[side].split()[1] in SYNONYMS[2 * side]

    def test_wordnet(self, wordnet_folder: Path, dataset: TextDataset) -> None:
        found = SubstitutionAugmentation(["pwws", "deepwordbug"], share=0.3).texts(dataset, epoch=1)
        assert len(found) == 200

    def test_settings(self) -> None:
        made = SubstitutionAugmentation([Synonyms(), DeepWordBug()], share=0.5)
        settings = json.loads(json.dumps(made.settings))
        assert settings == made.settings
        assert [source["substitution"]["name"] for source in settings["sources"]] == [
            "synonyms",
            "character-edits",
        ]
        assert settings["sources"][1]["constraints"][1]["name"] == "no-stop-words"
        swaps = WordSwaps(Synonyms(), [NoStopWords()])
        assert settings != SubstitutionAugmentation(swaps).settings
        assert "share=0.5" in repr(made)

    def test_errors(self) -> None:
        for sources in ((), [3], DeepWordBug, [Synonyms]):
            with pytest.raises(DataError):
                SubstitutionAugmentation(sources)  # type: ignore[arg-type]
        with pytest.raises(RegistryError):
            SubstitutionAugmentation("pwsw")
        for wrong in ({"share": 2.0}, {"copies": 0}, {"answers": "both"}, {"attacked_side": 2}):
            with pytest.raises(DataError, match=next(iter(wrong))):
                SubstitutionAugmentation(Synonyms(), **wrong)  # type: ignore[arg-type]


class TestAdversary:
    def test_finds_what_breaks_this_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = make(teacher, parts, epochs=6)
        students = [distiller.distill(templates.text_cnn(**SMALL), seed=s).student for s in (0, 1)]
        adversary = AdversarialTexts(attack(), share=0.5)
        rounds = [adversary.texts(student, parts[0], seed=7) for student in students]
        assert rounds[0] != rounds[1]
        for student, found in zip(students, rounds, strict=True):
            assert found == adversary.texts(student, parts[0], seed=7)
            assert found != adversary.texts(student, parts[0], seed=8)
            assert len(found) > 10
            texts = TextDataset([text for _, text in found], parts[0].labels[[i for i, _ in found]])
            evaluator = RobustnessEvaluator(attack(), texts, examples=None, progress=False)
            assert evaluator.evaluate(student).accuracy == 0

    def test_failed_attacks_and_budgets(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        student = make(teacher, parts, epochs=6).distill(templates.text_cnn(**SMALL)).student

        def count(**settings: Any) -> int:
            return len(AdversarialTexts(attack(), share=1.0, **settings).texts(
                student, parts[0], seed=0
            ))  # fmt: skip

        assert count(query_budget=8) < count() < count(failed=True) <= 120

    def test_pieces_of_texts_are_remembered(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        student = make(teacher, parts, epochs=1).distill(templates.bag_of_words(**SMALL)).student
        adversary = AdversarialTexts(attack())
        adversary.texts(student, parts[0], seed=0)
        (tokens,) = adversary._tokens
        adversary.texts(student, parts[0], seed=1)
        assert adversary._tokens == [tokens]
        assert pickle.loads(pickle.dumps(adversary))._tokens == []

    def test_training_in_parts_and_its_cost(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        def distiller() -> Distiller:
            adversary = AdversarialTexts(attack(), share=0.5, keep=True, answers="perturbed")
            augmentation = SubstitutionAugmentation(Synonyms(), redraw=True)
            return make(teacher, parts, epochs=4, adversary=adversary, augmentation=augmentation)

        genome, file = templates.text_cnn(**SMALL), tmp_path / "state"
        whole = distiller().distill(genome)
        assert whole.history[-1].perturbed_texts > 130
        assert min(whole.cost.values()) > 0
        for epochs in (2, 3, None):
            part = distiller().distill(genome, epochs=epochs, checkpoint=file)
        assert same(part.student, whole.student)

    def test_settings(self) -> None:
        made = AdversarialTexts("deepwordbug", share=0.1)
        settings = json.loads(json.dumps(made.settings))
        assert settings == made.settings
        assert settings["attack"]["name"] == "deepwordbug"
        assert settings["share"] == 0.1
        assert "_tokens" not in settings

    def test_errors(self) -> None:
        for wrong in (3, DeepWordBug):
            with pytest.raises(DataError, match="Attack instance"):
                AdversarialTexts(wrong)  # type: ignore[arg-type]
        with pytest.raises(RegistryError):
            AdversarialTexts("a2tt")
        for settings in ({"share": -1}, {"first": 0}, {"every": 0}, {"answers": "x"}):
            with pytest.raises(DataError, match=next(iter(settings))):
                AdversarialTexts(DeepWordBug(), **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_accuracy_under_the_attack_rises(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset]
) -> None:
    evaluator = RobustnessEvaluator(attack(), parts[1], examples=None, progress=False)
    settings: dict[str, Any] = {"epochs": 10, "learning_rate": 1e-2}
    genome = templates.text_cnn(**SMALL)

    def robustness(**more: Any) -> float:
        distiller = make(teacher, parts, **settings, **more)
        reports = [evaluator.evaluate(distiller.distill(genome, seed=s).student) for s in range(3)]
        assert min(report.accuracy for report in reports) > 0.85
        return sum(report.accuracy_under_attack for report in reports) / 3

    adversary = AdversarialTexts(attack(), share=1.0, keep=True, first=3)
    augmentation = SubstitutionAugmentation(Misspelt(), answers="original", copies=3, redraw=True)
    plain = robustness()
    assert robustness(adversary=adversary) > plain + 0.1
    assert robustness(augmentation=augmentation) > plain + 0.1


def make(teacher: Teacher, parts: tuple[TextDataset, TextDataset], **settings: Any) -> Distiller:
    return Distiller(teacher, *parts, **{"learning_rate": 1e-2, "progress": False, **settings})


def _words(dataset: TextDataset) -> list[str]:
    return [word for text in dataset.texts for word in str(text).split()]


@pytest.fixture
def parts(dataset: TextDataset) -> tuple[TextDataset, TextDataset]:
    train, dev = dataset.split(120, 40, seed=0)
    return train, dev


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path_factory.mktemp("cache"))
