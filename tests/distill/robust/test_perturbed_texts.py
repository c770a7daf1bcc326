"""Perturbed texts in the training loop: teacher outputs, epochs, checkpoints and cost."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Epoch, Teacher
from rosearch.distill.losses import LossMix, Wanted
from rosearch.distill.objective import DistillationObjective
from rosearch.distill.robust.perturbed_texts import PerturbedTexts, TextSource
from rosearch.distill.student_texts import StudentTexts
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.training.checkpoints import best_epoch
from rosearch.errors import DataError
from rosearch.space import templates
from tests.distill.loop import same
from tests.distill.robust.text_sources import Doubters, Turning, turned

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}
BAG = templates.bag_of_words(**SMALL)
CNN = templates.text_cnn(**SMALL)


def make(teacher: Teacher, parts: tuple[TextDataset, TextDataset], **settings: Any) -> Distiller:
    return Distiller(
        teacher, *parts, **{"epochs": 3, "learning_rate": 5e-3, "progress": False, **settings}
    )


class TestAnswers:
    @pytest.mark.parametrize("kind", ["augmentation", "adversary"])
    def test_teacher_outputs_are_those_of_the_perturbed_text_or_of_the_original(
        self, kind: str, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train = parts[0]
        expected = {
            "original": teacher.logits(train, progress=False)[:20],
            "perturbed": teacher.logits(
                TextDataset.unlabelled(map(turned, train.texts[:20]), classes=train.classes),
                progress=False,
            ),
        }
        # The teacher has learnt to tell a text from its opposite.
        assert abs(expected["original"] - expected["perturbed"]).max() > 1
        for answers, logits in expected.items():
            part: Any = Turning(answers=answers)
            if kind == "adversary":
                part = Doubters(answers=answers, first=1)
                part.texts = lambda *_, **__: Turning().texts(train, epoch=1)
            student = make(teacher, parts).student(BAG)
            mix = LossMix.of({"soft_labels": 0.5, "hard_labels": 0.5}, teacher=teacher.shape)
            outputs = teacher.outputs(train, mix.wanted, progress=False)
            objective = DistillationObjective(mix, student, outputs=outputs, labels=train.labels)
            texts = StudentTexts(teacher, train, parts[1], None, mix.wanted, "original", False, 64)
            source = TextSource(
                texts,
                train.labels,
                augmentation=part if kind == "augmentation" else None,
                adversary=part if kind == "adversary" else None,
            )
            extra = PerturbedTexts(source, student, objective, 0).start_epoch(1, lambda _: None)
            assert len(extra.rows) == 20
            assert objective.outputs is not None
            found = objective.outputs.logits()
            assert np.array_equal(found[:120], teacher.logits(train, progress=False))
            np.testing.assert_allclose(found[120:], logits, atol=1e-5)
            assert objective.labels is not None
            assert objective.labels[120:].tolist() == train.labels[:20].tolist()

    def test_answers_decide_what_is_learnt(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        def accuracy(answers: str) -> float:
            augmentation = Turning(count=120, answers=answers)
            settings = {"augmentation": augmentation, "epochs": 5, "learning_rate": 2e-2}
            return make(teacher, parts, **settings).distill(BAG).accuracy

        assert accuracy("perturbed") > 0.9
        # Every word has been seen as often with one answer as with the other.
        assert accuracy("original") < 0.8

    @pytest.mark.parametrize("part", [Turning(count=60), Doubters(answers="perturbed")])
    def test_losses_on_tokens(
        self, part: Any, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        losses = {"soft_labels": 1.0, "hidden_states": 1.0, "pooled_cosine": 1.0, "relations": 1.0}
        kind = "augmentation" if isinstance(part, Turning) else "adversary"
        distiller = make(teacher, parts, losses=losses, **{kind: part})
        result = distiller.distill(templates.transformer(layers=1, **SMALL))
        assert result.history[-1].perturbed_texts > 0
        assert np.isfinite(result.history[-1].loss)

    def test_tokens_of_the_original_are_refused(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        for losses in ({"hidden_states": 1.0}, {"relations": 1.0, "soft_labels": 1.0}):
            with pytest.raises(ValueError, match="token by token"):
                make(teacher, parts, losses=losses, adversary=Doubters())
        pooled = make(teacher, parts, losses={"pooled_cosine": 1.0}, adversary=Doubters())
        assert pooled.distill(BAG).history[-1].perturbed_texts == 15


class TestJoinedOutputs:
    def test_a_batch_across_parts(self, teacher: Teacher, dataset: TextDataset) -> None:
        wanted = Wanted(pooled=True, hidden_states=(0, 2), values=(1,))
        whole = teacher.outputs(dataset[:30], wanted, progress=False)
        pieces = [
            teacher.outputs(dataset[a:b], wanted, progress=False, cached=b < 30)
            for a, b in ((0, 12), (12, 14), (14, 30))
        ]
        joined = TeacherOutputs.joined(pieces)
        np.testing.assert_allclose(joined.logits(), whole.logits(), atol=1e-5)
        rows = np.array([29, 0, 13, 12, 5, 14])
        ours, theirs = (outputs.batch(rows, length=40) for outputs in (joined, whole))
        tolerance = {"atol": 0.02, "rtol": 0.02}  # of bfloat16, in which they are stored
        for name in ("logits", "pooled"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), **tolerance)
        for kind in ("hidden_states", "values"):
            for layer, tensor in getattr(theirs, kind).items():
                torch.testing.assert_close(getattr(ours, kind)[layer], tensor, **tolerance)


class TestEpochs:
    def test_an_augmentation_is_made_once_for_all_candidates(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        for redraw, expected in ((False, [1]), (True, [1, 2, 3])):
            augmentation = Turning(redraw=redraw)
            distiller = make(teacher, parts, augmentation=augmentation)
            first, second = distiller.distill(CNN), distiller.distill(BAG)
            assert augmentation.epochs == expected
            assert [epoch.perturbed_texts for epoch in second.history] == [20] * 3
            assert first.cost["augmentation_seconds"] > 0
            assert second.cost["augmentation_seconds"] == second.cost["teacher_seconds"] == 0

    @pytest.mark.parametrize(
        ("settings", "expected", "attacks"),
        [
            ({}, [0, 15, 15, 15, 15], 4),
            ({"first": 1, "every": 2}, [15] * 5, 3),
            ({"first": 3, "every": 4}, [0, 0, 15, 15, 15], 1),
        ],
    )
    def test_schedule_of_attacks(
        self,
        settings: dict[str, Any],
        expected: list[int],
        attacks: int,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
    ) -> None:
        adversary = Doubters(**settings)
        history = make(teacher, parts, epochs=5, adversary=adversary).distill(BAG).history
        assert [epoch.perturbed_texts for epoch in history] == expected
        assert len(adversary.rounds) == attacks
        assert [epoch.counted for epoch in history] == [count > 0 for count in expected]

    def test_texts_of_earlier_attacks_are_kept(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        adversary = Doubters(keep=True)
        history = make(teacher, parts, epochs=4, adversary=adversary).distill(BAG).history
        seen: set[Any] = set()
        for found, epoch in zip(adversary.rounds, history[1:], strict=True):
            seen |= set(found)
            assert epoch.perturbed_texts == len(seen)
        # Other students, other texts; and no text twice.
        assert 15 < len(seen) < 45

    def test_steps_and_learning_rates(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        from transformers import TrainerCallback

        class Rates(TrainerCallback):
            def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
                seen.append((state.global_step, state.epoch, given["logs"]["learning_rate"]))

        seen: list[tuple[int, float, float]] = []
        settings = {"batch_size": 20, "schedule": "linear", "warmup": 0.0, "callbacks": [Rates()]}
        history = (
            make(teacher, parts, adversary=Doubters(count=60), **settings).distill(BAG).history
        )
        # 120 texts in batches of 20, and 180 after the first epoch.
        assert [epoch.steps for epoch in history] == [6, 9, 9]
        assert [step for step, _, _ in seen] == [6, 15, 24]
        assert [epoch for _, epoch, _ in seen] == [1, 2, 3]
        # The last step of an epoch is 8 / 9 on its way through six planned ones.
        planned = [5, 6 + 8 * 6 / 9, 12 + 8 * 6 / 9]
        assert [rate for _, _, rate in seen] == pytest.approx(
            [5e-3 * (18 - at) / 17 for at in planned]
        )

    def test_the_best_epoch_has_met_the_adversary(self) -> None:
        def epoch(number: int, accuracy: float, counted: bool) -> Epoch:
            return Epoch(number, 1.0, accuracy, 1.0, counted=counted)

        early, tie = epoch(1, 0.9, False), epoch(2, 0.8, True)
        labels = np.array([0, 1] * 200)
        assert best_epoch([early], labels) is early
        assert best_epoch([early, tie, epoch(3, 0.8, True)], labels) is tie
        # A constant classifier, or nearly one, is no better than it: 0.5, and 0.025 of chance.
        for accuracy in (0.5, 0.549):
            constant = epoch(3, accuracy, True)
            assert best_epoch([early, constant], labels) is early
            assert best_epoch([early, tie, constant], labels) is tie
            assert best_epoch([constant], labels) is constant
        better = epoch(3, 0.551, True)
        assert best_epoch([early, better], labels) is better
        # Of 40 texts it takes more.
        assert best_epoch([early, better], labels[:40]) is early

    def test_the_student_is_that_of_the_best_epoch(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        # Texts that say the contrary make all later epochs worse than the first two.
        adversary = Doubters(count=120, first=3)
        settings = {"epochs": 4, "learning_rate": 2e-2, "adversary": adversary}
        result = make(teacher, parts, **settings).distill(CNN)
        before = max(epoch.accuracy for epoch in result.history[:2])
        after = max(epoch.accuracy for epoch in result.history[2:])
        assert result.accuracy == after < before


class TestCheckpoints:
    @pytest.mark.parametrize("answers", ["original", "perturbed"])
    @pytest.mark.parametrize("schedule", [{"keep": True}, {"every": 2, "first": 1}])
    def test_checkpoint_resume_gives_identical_weights(
        self,
        answers: str,
        schedule: dict[str, Any],
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        tmp_path: Path,
    ) -> None:
        def distiller() -> Distiller:
            return make(
                teacher,
                parts,
                epochs=4,
                augmentation=Turning(redraw=True),
                adversary=Doubters(answers=answers, **schedule),
            )

        whole = distiller().distill(BAG, seed=2)
        again = distiller().distill(BAG, seed=2)
        assert same(whole.student, again.student)
        file = tmp_path / "state"
        for epochs in (1, 3, None):
            part = distiller().distill(BAG, seed=2, epochs=epochs, checkpoint=file)
        assert same(part.student, whole.student)
        assert [e.loss for e in part.history] == [e.loss for e in whole.history]
        assert [e.perturbed_texts for e in part.history] == [
            e.perturbed_texts for e in whole.history
        ]
        other = make(teacher, parts, epochs=4, adversary=Doubters(answers=answers, **schedule))
        with pytest.raises(DataError, match="another training"):
            other.distill(BAG, seed=2, checkpoint=file)

    def test_pairs_are_restored_as_pairs(
        self, fresh: Callable[..., Teacher], parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        pairs = [
            TextDataset([("a film", text) for text in p.texts], p.labels, classes=p.classes)
            for p in parts
        ]
        teacher, file = fresh(), tmp_path / "state"

        def distiller() -> Distiller:
            return make(teacher, (pairs[0], pairs[1]), epochs=4, adversary=Doubters(keep=True))

        whole = distiller().distill(BAG)
        distiller().distill(BAG, epochs=3, checkpoint=file)
        assert same(distiller().distill(BAG, checkpoint=file).student, whole.student)


class TestWithOtherSettings:
    @pytest.mark.parametrize(
        "settings",
        [
            {"precision": "bfloat16"},
            {"micro_batch_size": 5},
            {"batch_tokens": 150},
            {"losses": {"hard_labels": 1.0}},
            {"patience": 1},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_settings_of_the_loop(
        self, settings: dict[str, Any], teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        both = {"augmentation": Turning(), "adversary": Doubters(answers="perturbed")}
        settings = {**settings, "epochs": 2}
        results = [make(teacher, parts, **both, **settings).distill(BAG) for _ in range(2)]
        assert same(results[0].student, results[1].student)
        plain = make(teacher, parts, **settings).distill(BAG)
        assert not same(results[0].student, plain.student)
        assert results[0].history[1].perturbed_texts == 35

    def test_texts_without_labels_are_attacked_at_the_teacher_s_class(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        blind = TextDataset.unlabelled(train.texts, classes=train.classes)
        adversary = Doubters()
        make(teacher, (blind, dev), adversary=adversary).distill(BAG)
        expected = teacher.logits(train, progress=False).argmax(axis=1)
        assert adversary.labels[0] == expected.tolist()

    def test_a_pickled_distiller_trains_the_same_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = make(teacher, parts, augmentation=Turning(), adversary=Doubters())
        first = distiller.distill(BAG)
        again = pickle.loads(pickle.dumps(distiller)).distill(BAG)
        assert same(first.student, again.student)

    def test_settings_contain_the_options(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        plain = make(teacher, parts).settings
        assert not {"augmentation", "adversary", "perturbation"} & set(plain)
        robust = make(teacher, parts, augmentation=Turning(), adversary=Doubters()).settings
        assert robust == {
            **plain,
            "augmentation": {"count": 20, "redraw": False, "answers": "perturbed"},
            "adversary": {"count": 15, "first": 2, "every": 1},
        }
        assert json.loads(json.dumps(robust)) == robust

    def test_cost(self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]) -> None:
        result = make(teacher, parts, adversary=Doubters(answers="perturbed")).distill(BAG)
        cost = result.cost
        assert cost["perturbed_texts"] == 30
        assert cost["attack_seconds"] > 0
        assert cost["teacher_seconds"] > 0
        parts_of_it = sum(value for name, value in cost.items() if name.endswith("_seconds"))
        assert parts_of_it == pytest.approx(sum(epoch.seconds for epoch in result.history))
        plain = make(teacher, parts).distill(BAG)
        assert plain.cost["training_seconds"] == sum(epoch.seconds for epoch in plain.history)

    def test_the_progress_bar_shows_the_current_work(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from rosearch.distill.training import loop as training
        from rosearch.progress import progress_bar

        shown: list[str] = []

        def recorded(**settings: Any) -> Any:
            bar = progress_bar(**settings)
            describe = bar.set_description

            def set_description(text: str) -> None:
                shown.append(text)
                describe(text)

            monkeypatch.setattr(bar, "set_description", set_description)
            return bar

        monkeypatch.setattr(training, "progress_bar", recorded)
        make(teacher, parts, adversary=Doubters(), epochs=2, progress=True).distill(BAG)
        name = f"distill {BAG.key[:8]}"
        expected = [name, f"{name}, attacking", f"{name}, running the teacher", name]
        assert shown == expected


class TestErrors:
    @pytest.mark.parametrize("given", ["pwws", Turning, object()])
    def test_other_objects_are_refused(
        self, given: Any, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        for kind in ("augmentation", "adversary"):
            with pytest.raises(ValueError, match=f"{kind} must be an instance"):
                make(teacher, parts, **{kind: given})

    def test_values_out_of_range_are_refused(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        with pytest.raises(ValueError, match=r"answers must be one of .* got 'both'"):
            make(teacher, parts, augmentation=Turning(answers="both"))
        with pytest.raises(ValueError, match="first attack is in epoch 4, but there are only 3"):
            make(teacher, parts, adversary=Doubters(first=4))
