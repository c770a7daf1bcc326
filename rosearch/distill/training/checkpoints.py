"""The state of a training between two epochs, on disk."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rosearch.caching import share
from rosearch.errors import DataError


@dataclass(frozen=True)
class Epoch:
    """What one epoch did."""

    number: int
    """From 1."""

    loss: float
    """Mean training loss."""

    accuracy: float
    """Share of right answers on the dev examples after the epoch."""

    seconds: float
    """Wall time of the epoch: the dev examples and all that is named below included."""

    steps: int = 0
    """Updates of the weights."""

    changed_texts: int = 0
    """Changed texts that were trained on beside the training texts."""

    augmentation_seconds: float = 0.0
    """Of them, spent on making the augmentation's texts; 0 where an earlier student has paid."""

    attack_seconds: float = 0.0
    """Of them, spent on the adversary's attack."""

    teacher_seconds: float = 0.0
    """Of them, spent on the teacher's outputs for changed texts."""

    counted: bool = True
    """Whether it can be the best epoch; those before an adversary's first attack cannot."""

    @property
    def training_seconds(self) -> float:
        """What is left of :attr:`seconds`: training on all texts, and dev."""
        spent = self.augmentation_seconds + self.attack_seconds + self.teacher_seconds
        return self.seconds - spent


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """The earliest of the most accurate epochs that count; of all where none counts."""
    counted = [epoch for epoch in history if epoch.counted] or history
    return max(counted, key=lambda epoch: (epoch.accuracy, -epoch.number))


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on after an epoch exactly as if it had not stopped.

    Order and dropout of an epoch are drawn from the seed and the epoch's number, and the learning
    rate follows from the step, so no generator and no scheduler has a state.
    """

    history: tuple[Epoch, ...]
    """The epochs done."""

    micro_batch_size: int | None
    """Rows that are in memory at once, where memory has run out before."""

    model: Mapping[str, torch.Tensor]
    """Weights after the last epoch."""

    best: Mapping[str, torch.Tensor]
    """Weights after the best epoch."""

    objective: Mapping[str, torch.Tensor]
    """Learned parts of the objective."""

    updates: Mapping[str, torch.Tensor]
    """State of the optimizer."""

    supplement: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Changed texts that later epochs train on too."""


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """Digest of named tensors, wherever they are."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


_PARTS = ("model", "best", "objective", "updates", "supplement")


@dataclass(frozen=True)
class CheckpointFile:
    """A file that holds one checkpoint: safetensors, with the rest as JSON in its header.

    It is replaced as a whole, so that a process killed while it saves leaves the one before.
    """

    path: Path
    """Where the file is or will be."""

    identity: Mapping[str, Any]
    """What decides how training goes, as plain values; a checkpoint of another is refused."""

    @property
    def key(self) -> str:
        """Digest of :attr:`identity`."""
        text = json.dumps(self.identity, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def read(self) -> Checkpoint | None:
        """The checkpoint; ``None`` where there is no file, or one that cannot be read.

        Raises:
            DataError: It belongs to another training.
        """
        if not self.path.exists():
            return None
        parts: dict[str, dict[str, torch.Tensor]] = {name: {} for name in _PARTS}
        try:
            with safe_open(self.path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["rosearch"])
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    part, _, rest = name.partition("/")
                    parts[part][rest] = file.get_tensor(name)
            history = tuple(Epoch(**epoch) for epoch in header["history"])
            key, micro, same = header["key"], header["micro_batch_size"], header["best_is_last"]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            warnings.warn(
                f"{self.path} is no checkpoint that can be read ({error}). Training begins anew "
                f"and replaces it.",
                stacklevel=2,
            )
            return None
        if key != self.key:
            raise DataError(
                f"{self.path} is the checkpoint of another training: genome, seed, parent, "
                f"data, teacher or settings differ. Give each training a file of its own, or "
                f"delete this one."
            )
        if same:
            parts["best"] = parts["model"]
        return Checkpoint(history=history, micro_batch_size=micro, **parts)

    def write(self, checkpoint: Checkpoint) -> None:
        """Put ``checkpoint`` in the place of what is there."""
        same = best_epoch(checkpoint.history) is checkpoint.history[-1]
        header = {
            "key": self.key,
            "history": [asdict(epoch) for epoch in checkpoint.history],
            "micro_batch_size": checkpoint.micro_batch_size,
            "best_is_last": same,
        }
        tensors = {}
        for part in _PARTS:
            if part == "best" and same:
                continue
            for name, value in getattr(checkpoint, part).items():
                # Copies, because safetensors takes no two names for one piece of memory.
                tensors[f"{part}/{name}"] = value.detach().cpu().clone().contiguous()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
        os.close(handle)
        try:
            save_file(tensors, scratch, metadata={"rosearch": json.dumps(header)})
            share(Path(scratch))
            Path(scratch).replace(self.path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
