"""Adversarial texts of attacks on the student, and training on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rosearch.attack import (
    AdversarialTexts,
    DeepWordBug,
    GreedyWordSwap,
    NoRepeat,
    RobustnessEvaluator,
    SubstitutionAugmentation,
    WordSwapAttack,
)
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.errors import ArgumentError, RegistryError
from rosearch.space import templates
from tests.attack.synonyms import Misspelt, Synonyms
from tests.distill.loop import same

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}


def attack() -> WordSwapAttack:
    return WordSwapAttack(Misspelt(), [NoRepeat()], GreedyWordSwap("deletion"), name="misspelt")


class TestAdversary:
    def test_finds_texts_that_this_student_gets_wrong(
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

    def test_checkpoint_resume_gives_identical_weights(
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

    def test_errors(self) -> None:
        for wrong in (3, DeepWordBug):
            with pytest.raises(ArgumentError, match="Attack instance"):
                AdversarialTexts(wrong)  # type: ignore[arg-type]
        with pytest.raises(RegistryError):
            AdversarialTexts("a2tt")
        for settings in ({"share": -1}, {"first": 0}, {"every": 0}, {"answers": "x"}):
            with pytest.raises(ArgumentError, match=next(iter(settings))):
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
