"""The loop's options as the Distiller and the teacher's fine-tuning take them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from rosearch.classifiers import accuracy
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.distill.reading import Reading
from rosearch.distill.training.hooks import Backward, Batch, TrainingHook
from rosearch.errors import DataError
from rosearch.space import templates
from tests.distill.loop import same

SMALL = {"width": 16, "embedding_width": 16}


class Names(TrainerCallback):
    """Remembers what runs were called."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.names.append(args.run_name)


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def distiller(teacher: Teacher, dataset: TextDataset) -> Distiller:
    return make(teacher, dataset)


def make(teacher: Teacher, dataset: TextDataset, **settings: Any) -> Distiller:
    train, dev = dataset.split(120, 40, seed=0)
    settings = {"epochs": 4, "learning_rate": 1e-2, "progress": False, **settings}
    return Distiller(teacher, train, dev, **settings)


def test_training_in_parts_gives_the_same_student(distiller: Distiller, tmp_path: Path) -> None:
    genome = templates.text_cnn(**SMALL)
    whole = distiller.distill(genome, seed=3)
    file = tmp_path / "state"
    for epochs in (1, 2, None):
        # Another rung may be another process's.
        part = pickle.loads(pickle.dumps(distiller)).distill(
            genome, seed=3, epochs=epochs, checkpoint=file
        )
        assert len(part.history) == (epochs or 4)
        assert part.accuracy == max(epoch.accuracy for epoch in part.history)
    assert same(part.student, whole.student)


class Collapses(TrainingHook):
    """Makes a constant classifier of the student after the first of three epochs."""

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        loss = backward(batch, share)
        if progress >= 1 / 3:
            for parameter in model.parameters():
                parameter.grad = None
                parameter.data.zero_()
        return loss

    def counts(self, number: int, progress: float) -> bool:
        return number > 1


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_student_that_ends_constant_is_that_of_an_epoch_before(
    teacher: Teacher,
    dataset: TextDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_parts: bool,
) -> None:
    monkeypatch.setattr(Reading, "hooks", lambda *_: [Collapses()])
    distiller, genome = make(teacher, dataset, epochs=3), templates.text_cnn(**SMALL)
    if in_parts:
        distiller.distill(genome, epochs=2, checkpoint=tmp_path / "state")
    with pytest.warns(UserWarning, match=r"is that of epoch 1, before robust training"):
        result = distiller.distill(genome, checkpoint=tmp_path / "state" if in_parts else None)
    first, *later = result.history
    assert [epoch.counted for epoch in result.history] == [False, True, True]
    assert {epoch.accuracy for epoch in later} == {0.5}
    assert result.best == first
    assert result.accuracy == first.accuracy > 0.5
    assert accuracy(result.student, distiller.dev) == first.accuracy


def test_each_training_has_a_file_of_its_own(
    distiller: Distiller, teacher: Teacher, dataset: TextDataset, tmp_path: Path
) -> None:
    genome, file = templates.bag_of_words(**SMALL), tmp_path / "state"
    distiller.distill(genome, epochs=1, checkpoint=file)
    for other, changed, seed in (
        (distiller, genome, 1),
        (distiller, templates.text_cnn(**SMALL), 0),
        (make(teacher, dataset, epochs=5), genome, 0),
        (make(teacher, dataset, precision="bfloat16"), genome, 0),
    ):
        with pytest.raises(DataError, match="of another training"):
            other.distill(changed, seed=seed, checkpoint=file)


def test_the_parent_is_part_of_a_checkpoint(distiller: Distiller, tmp_path: Path) -> None:
    genome, file = templates.bag_of_words(**SMALL), tmp_path / "state"
    parents = [distiller.student(genome, seed=seed) for seed in (5, 6)]
    distiller.distill(genome, epochs=1, checkpoint=file, parent=parents[0])
    for other in (None, parents[1]):
        with pytest.raises(DataError, match="of another training"):
            distiller.distill(genome, checkpoint=file, parent=other)
    same_weights = pickle.loads(pickle.dumps(parents[0]))
    gone_on = distiller.distill(genome, epochs=2, checkpoint=file, parent=same_weights)
    assert len(gone_on.history) == 2


def test_settings_and_callbacks_reach_the_loop(teacher: Teacher, dataset: TextDataset) -> None:
    names = Names()
    distiller = make(
        teacher, dataset, batch_tokens=150, patience=1, schedule="cosine", callbacks=[names]
    )
    genome = templates.bag_of_words(**SMALL)
    for seed in (0, 1):
        distiller.distill(genome, seed=seed)
    assert names.names == [f"{genome.key[:8]}-{seed}" for seed in (0, 1)]
    assert distiller.settings["batch_tokens"] == 150
    assert distiller.settings["schedule"] == "cosine"
    with pytest.raises(TypeError, match="batch_token"):
        make(teacher, dataset, batch_token=150)
    with pytest.raises(ValueError, match="epochs must be a whole number from 1 to 4"):
        distiller.distill(genome, epochs=5)
