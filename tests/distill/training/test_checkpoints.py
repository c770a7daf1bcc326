"""Checkpoints: training that is interrupted between two epochs and resumed."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill.losses import HardLabels
from rosearch.distill.training.checkpoints import CheckpointFile
from rosearch.errors import DataError
from tests.distill.loop import same, student, train

KINDS = ["bag_of_words", "transformer", "bigru"]


def test_file_permissions_follow_the_umask(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    train(student("bag_of_words"), tokenizer, dataset, until=1, checkpoint=file)
    other = file.path.with_name("other")
    other.touch()
    assert file.path.stat().st_mode == other.stat().st_mode


class Scaled(HardLabels):
    """Has a learned part."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__(labels)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        return super().forward(model, inputs, rows) * (1 + 0.1 * self.scale.square())


def untimed(history: Any) -> list[tuple[float, ...]]:
    return [(epoch.number, epoch.loss, epoch.accuracy) for epoch in history]


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "folder" / "state.safetensors", {"seed": 0})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"batch_tokens": 200, "micro_batch_size": 5}],
    ids=["defaults", "micro batches"],
)
def test_checkpoint_resume_gives_identical_weights(
    kind: str,
    settings: dict[str, Any],
    tokenizer: Any,
    dataset: TextDataset,
    file: CheckpointFile,
) -> None:
    straight = student(kind)
    expected = train(straight, tokenizer, dataset, objective=_scaled(dataset), **settings)
    torch.manual_seed(5)  # the state of the global generator does not matter
    for until in (1, 2, 3):
        stopped = student(kind, seed=until)  # another start: the weights come from the file
        if until == 1:
            stopped = student(kind)
        history = train(
            stopped,
            tokenizer,
            dataset,
            objective=_scaled(dataset),
            until=until,
            checkpoint=file,
            **settings,
        )
        assert len(history) == until
    assert untimed(history) == untimed(expected)
    assert same(stopped, straight)
    assert [p.name for p in file.path.parent.iterdir()] == [file.path.name]


def test_best_epoch_of_earlier_parts_is_kept(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    # The learning rate is so high that later epochs are worse at times.
    for seed in range(6):
        own = CheckpointFile(file.path.with_name(f"{seed}"), {"seed": seed})
        straight, stopped = student(), student()
        settings = {"learning_rate": 0.5, "epochs": 3, "seed": seed}
        expected = train(straight, tokenizer, dataset, **settings)
        train(stopped, tokenizer, dataset, until=2, checkpoint=own, **settings)
        history = train(stopped, tokenizer, dataset, checkpoint=own, **settings)
        assert untimed(history) == untimed(expected)
        assert same(stopped, straight)


def test_a_killed_training_resumes(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    class Killed(HardLabels):
        calls = 0

        def forward(
            self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
        ) -> torch.Tensor:
            self.calls += 1
            if self.calls == 7:  # in the second epoch
                raise KeyboardInterrupt
            return super().forward(model, inputs, rows)

    straight, killed = student(), student()
    train(straight, tokenizer, dataset)
    labels = dataset.labels[:120]
    with pytest.raises(KeyboardInterrupt):
        train(killed, tokenizer, dataset, objective=Killed(labels), checkpoint=file)
    train(killed, tokenizer, dataset, checkpoint=file)
    assert same(killed, straight)


def test_early_stop_counts_earlier_parts(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    settings = {"learning_rate": 1e-9, "epochs": 9, "patience": 2}
    train(student(), tokenizer, dataset, until=2, checkpoint=file, **settings)
    assert len(train(student(), tokenizer, dataset, checkpoint=file, **settings)) == 3
    assert len(train(student(), tokenizer, dataset, checkpoint=file, **settings)) == 3


def test_asked_again_for_the_same_or_fewer_epochs(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    first, again = student(), student()
    history = train(first, tokenizer, dataset, until=2, checkpoint=file)
    assert train(again, tokenizer, dataset, until=2, checkpoint=file) == history
    assert same(first, again)
    with pytest.raises(DataError, match="has 2 epochs, but training is to stop after 1"):
        train(student(), tokenizer, dataset, until=1, checkpoint=file)


def test_the_checkpoint_of_another_training_is_refused(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    train(student(), tokenizer, dataset, until=1, checkpoint=file)
    before = file.path.read_bytes()
    other = CheckpointFile(file.path, {"seed": 1})
    with pytest.raises(DataError, match="of another training"):
        train(student(), tokenizer, dataset, checkpoint=other)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign", "no history"])
def test_unreadable_files_are_replaced_with_a_warning(
    damage: str, tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    straight, anew = student(), student()
    train(straight, tokenizer, dataset)
    train(student(), tokenizer, dataset, until=2, checkpoint=file)
    if damage == "empty":
        file.path.write_bytes(b"")
    elif damage == "cut":
        file.path.write_bytes(file.path.read_bytes()[:-100])
    elif damage == "foreign":
        save_file({"a": torch.ones(2)}, file.path)
    else:
        header = json.dumps({"key": file.key})
        save_file(load_file(file.path), file.path, metadata={"rosearch": header})
    with pytest.warns(UserWarning, match="not a readable checkpoint"):
        train(anew, tokenizer, dataset, checkpoint=file)
    assert same(anew, straight)
    assert file.read() is not None


def test_a_halved_micro_batch_size_is_restored(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    from tests.distill.training.objectives import Limited

    labels = dataset.labels[:120]
    for until in (1, 2):
        limited = Limited(labels, most=8, error=MemoryError())
        train(
            student(), tokenizer, dataset, objective=limited, until=until, checkpoint=file
        )  # fmt: skip
    assert set(limited.sizes) == {8}


def _scaled(dataset: TextDataset) -> Scaled:
    return Scaled(dataset.labels[:120])


def _resume(path: Path, tokenizer: Any, dataset: TextDataset) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    model = student(seed=9)
    train(model, tokenizer, dataset, checkpoint=CheckpointFile(path, {"seed": 0}))
    return {name: value.numpy() for name, value in model.state_dict().items()}


@pytest.mark.slow
def test_another_process_resumes(
    tokenizer: Any, dataset: TextDataset, file: CheckpointFile
) -> None:
    straight = student()
    train(straight, tokenizer, dataset)
    train(student(), tokenizer, dataset, until=1, checkpoint=file)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_resume, (file.path, tokenizer, dataset))
    for name, value in straight.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), found[name])
