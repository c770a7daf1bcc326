"""The Distiller: students, settings, reproducibility and memory."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.errors import DataError, EvaluationError
from rosearch.space import Genome, Node, templates
from rosearch.tokens import predict, tokenize

SMALL = {"width": 16, "embedding_width": 16}


class TestDistiller:
    def test_student_learns_from_soft_labels_alone(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        # With labels withheld, only the teacher can have taught the student.
        blind = TextDataset(train.texts, [0] * len(train), classes=train.classes)
        distiller = Distiller(teacher, blind, dev, epochs=15, learning_rate=1e-2, progress=False)
        result = distiller.distill(templates.bag_of_words(**SMALL), seed=0)
        assert result.accuracy > 0.85
        assert result.accuracy == max(epoch.accuracy for epoch in result.history)
        assert [epoch.number for epoch in result.history] == list(range(1, 16))
        assert result.history[-1].loss < result.history[0].loss
        assert result.seconds > 0
        assert not result.student.training

    def test_kept_weights_are_those_of_the_best_epoch(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=4, learning_rate=2e-2, progress=False)
        for seed in range(3):
            result = distiller.distill(templates.text_cnn(**SMALL), seed=seed)
            rows = tokenize(teacher.tokenizer, parts[1].texts, max_length=teacher.max_length)
            predicted = predict(result.student, rows, pad_id=teacher.pad_id).argmax(axis=1)
            assert float((predicted == parts[1].labels).mean()) == result.accuracy

    @pytest.mark.parametrize("name", ["bag of words", "BiGRU", "transformer"])
    def test_same_seed_same_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], name: str
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        genome = templates.ALL[name](**SMALL)
        torch.manual_seed(7)
        first = distiller.distill(genome, seed=3).student.state_dict()
        torch.manual_seed(8)
        before = torch.random.get_rng_state()
        second = distiller.distill(genome, seed=3).student.state_dict()
        assert torch.equal(torch.random.get_rng_state(), before)  # the user's generator is theirs
        third = distiller.distill(genome, seed=4).student.state_dict()
        assert all(torch.equal(first[k], second[k]) for k in first)
        assert any(not torch.equal(first[k], third[k]) for k in first)

    def test_students_do_not_depend_on_the_threads_of_the_process(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        used: list[int] = []
        step = torch.optim.AdamW.step

        def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
            used.append(torch.get_num_threads())
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.AdamW, "step", noted)
        genome = templates.ALL["transformer"](**SMALL)
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        before = torch.get_num_threads()
        students = []
        try:
            for threads in (1, 3):
                torch.set_num_threads(threads)
                students.append(distiller.distill(genome, seed=3).student.state_dict())
                assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        assert set(used) == {1}
        assert all(torch.equal(students[0][k], students[1][k]) for k in students[0])
        used.clear()
        shared = Distiller(teacher, *parts, epochs=1, progress=False, threads=2)
        shared.distill(genome, seed=3)
        assert set(used) == {2}
        assert shared.settings == distiller.settings

    def test_isomorphic_genomes_become_one_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        a = Node("convolution", inputs=(0,))
        b = Node("feed_forward", inputs=(0,))
        size: dict[str, Any] = {**SMALL, "outputs": (1, 2)}
        first, second = Genome(nodes=(a, b), **size), Genome(nodes=(b, a), **size)
        assert first.key == second.key
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        states = [distiller.distill(g, seed=3).student.state_dict() for g in (first, second)]
        assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])

    def test_student_carries_tokenizer_and_class_names(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        student = Distiller(teacher, *parts, progress=False).student(templates.bigru(**SMALL))
        assert student.tokenizer is teacher.tokenizer
        assert student.config.id2label == {0: "negative", 1: "positive"}
        assert student.config.max_position_embeddings == teacher.max_length

    @pytest.mark.parametrize(
        ("own", "given", "expected"),
        [
            (["weak", "strong"], ("0", "1"), ["weak", "strong"]),
            (["weak", "strong"], ("LABEL_0", "LABEL_1"), ["weak", "strong"]),
            (["weak", "strong"], ("schwach", "stark"), ["schwach", "stark"]),
            (["LABEL_0", "LABEL_1"], ("0", "1"), ["LABEL_0", "LABEL_1"]),
            (["same", "same"], ("0", "1"), ["0", "1"]),
        ],
    )
    def test_class_names_are_the_datas_or_else_the_teachers(
        self,
        own: list[str],
        given: tuple[str, str],
        expected: list[str],
        parts: tuple[TextDataset, TextDataset],
        tiny_bert: Any,
        tokenizer: Any,
        tmp_path: Path,
    ) -> None:
        model = tiny_bert(id2label=dict(enumerate(own)))
        named = Teacher(model, tokenizer, cache_dir=tmp_path / "cache")
        data = [TextDataset(part.texts, part.labels, classes=given) for part in parts]
        distiller = Distiller(named, *data, progress=False)
        distiller.student(templates.text_cnn(**SMALL)).save_pretrained(tmp_path / "student")
        classify = pipeline("text-classification", model=tmp_path / "student", top_k=None)
        config = classify.model.config
        assert config.id2label == dict(enumerate(expected))
        assert config.label2id == {name: k for k, name in enumerate(expected)}
        assert {found["label"] for found in classify(["a good film"])[0]} == set(expected)

    def test_labels_count_where_asked(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        wrong = TextDataset(train.texts, 1 - train.labels, classes=train.classes)
        settings: dict[str, Any] = {"epochs": 6, "learning_rate": 1e-2, "progress": False}
        genome = templates.bag_of_words(**SMALL)
        misled = Distiller(teacher, wrong, dev, losses={"hard_labels": 1.0}, **settings).distill(
            genome
        )
        assert misled.history[-1].accuracy < 0.3

    def test_settings_tell_what_matters(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        a = Distiller(teacher, *parts).settings
        assert a == Distiller(teacher, *parts, progress=False).settings
        for change in ({"temperature": 4.0}, {"epochs": 5}, {"batch_size": 8}, {"dropout": 0.3}):
            assert Distiller(teacher, *parts, **change).settings != a
        assert Distiller(teacher, parts[1], parts[1]).settings != a

    def test_exploding_loss_is_an_evaluation_error(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=1, learning_rate=1e38, progress=False)
        with pytest.raises(EvaluationError, match=r"training loss of epoch 1 is .*Lower learning"):
            distiller.distill(templates.bag_of_words(**SMALL))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"temperature": 0.0}, "temperature must be .* got 0.0"),
            ({"dropout": 1.0}, "dropout must be .* got 1.0"),
            ({"epochs": 0}, "epochs must be .* got 0"),
        ],
    )
    def test_bad_settings(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        change: dict[str, Any],
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            Distiller(teacher, *parts, **change)

    def test_parts_that_do_not_fit(self, teacher: Teacher, dataset: TextDataset) -> None:
        pairs = TextDataset([("a", "b")] * 4, [0, 1, 0, 1], classes=dataset.classes)
        with pytest.raises(DataError, match="train and dev do not fit together"):
            Distiller(teacher, dataset, pairs)

    def test_memory_after_many_candidates_is_memory_after_one(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        import gc

        distiller = Distiller(teacher, parts[0][:32], parts[1], epochs=1, progress=False)

        def tensors() -> int:
            gc.collect()
            return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

        distiller.distill(templates.text_cnn(**SMALL), seed=0)
        after_one = tensors()
        for seed in range(5):
            distiller.distill(templates.text_cnn(**SMALL), seed=seed)
        assert tensors() <= after_one


def _accuracy_in_child(distiller: Distiller) -> float:
    from rosearch.distill.teacher import teacher

    teacher.AutoModelForSequenceClassification = None  # type: ignore[assignment, misc]
    return distiller.distill(templates.bag_of_words(**SMALL), seed=1).accuracy


@pytest.mark.slow
def test_another_process_trains_the_same_student_without_the_teacher_s_weights(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset]
) -> None:
    distiller = Distiller(teacher, *parts, epochs=2, progress=False)
    here = distiller.distill(templates.bag_of_words(**SMALL), seed=1).accuracy
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_accuracy_in_child, (distiller,)) == here
