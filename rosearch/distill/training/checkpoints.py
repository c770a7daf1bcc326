"""The state of a training between two epochs, and its file on disk."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open

from rosearch.distill.tensor_files import write_tensors
from rosearch.errors import DataError


@dataclass(frozen=True)
class Epoch:
    """The record of one epoch. All times are wall times in seconds."""

    number: int
    """From 1."""

    loss: float
    """Mean training loss."""

    accuracy: float
    """Accuracy on dev after the epoch."""

    seconds: float
    """Time of the whole epoch, evaluation on dev and all times below included."""

    steps: int = 0
    """Updates of the weights."""

    perturbed_texts: int = 0
    """Perturbed texts that were trained on beside the training texts."""

    augmentation_seconds: float = 0.0
    """Time of the augmentation; 0 if its texts were made for an earlier student."""

    attack_seconds: float = 0.0
    """Time of the adversary's attack."""

    teacher_seconds: float = 0.0
    """Time of computing teacher outputs for perturbed texts."""

    counted: bool = True
    """Whether robust training was in full effect. Another epoch can only be the best where none of
    these is better than a constant classifier."""

    @property
    def training_seconds(self) -> float:
        """Time of training and of evaluation on dev: :attr:`seconds` minus the other times."""
        spent = self.augmentation_seconds + self.attack_seconds + self.teacher_seconds
        return self.seconds - spent


def best_epoch(history: Sequence[Epoch], labels: npt.NDArray[np.int64]) -> Epoch:
    """Return the first of the most accurate epochs that count.

    Of all epochs if none counts, or if none that counts is better than a constant classifier by
    more than two standard errors: robust training may end there, or with a few other answers.

    Args:
        history: At least one epoch.
        labels: int64 ``(texts,)``, the labels of dev.
    """
    constant = float(np.bincount(labels).max() / len(labels))
    limit = constant + 2 * math.sqrt(constant * (1 - constant) / len(labels))
    counted = [epoch for epoch in history if epoch.counted and epoch.accuracy > limit]
    return max(counted or history, key=lambda epoch: (epoch.accuracy, -epoch.number))


@dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to resume after an epoch with identical results.

    Order and dropout of an epoch are drawn from the seed and the epoch's number, and the learning
    rate depends on the step only, so neither generators nor a scheduler have a state.
    """

    history: tuple[Epoch, ...]
    """The epochs done."""

    micro_batch_size: int | None
    """Rows in memory at once, if memory has run out before."""

    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    """``"model"``, the weights after the last epoch; ``"best"``, those after the best epoch;
    ``"objective"``, the objective's trained parameters; ``"updates"``, the optimizer's state; and
    ``"hooks"``, that of the training hooks. A part without tensors is empty or missing."""


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Return a hash of named tensors, on any device; of other values that of their pickle."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(weights.items()):
        if not is_plain(value):
            buffer = io.BytesIO()
            torch.save(value, buffer)
            digest.update(name.encode() + buffer.getbuffer())
            continue
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def is_plain(value: Any) -> bool:
    """Whether a value is a dense tensor; quantised models hold other ones."""
    kinds = (torch.Tensor, torch.nn.Parameter)
    return type(value) in kinds and value.layout is torch.strided and not value.is_quantized


@dataclass(frozen=True)
class CheckpointFile:
    """A safetensors file with one checkpoint, replaced atomically. Its header holds JSON."""

    path: Path
    """Path of the file."""

    identity: Mapping[str, Any]
    """Everything that decides the training, as plain values; the checkpoint of another training is
    refused."""

    @property
    def key(self) -> str:
        """Hash of :attr:`identity`."""
        text = json.dumps(self.identity, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def read(self) -> Checkpoint | None:
        """Return the checkpoint, or ``None`` if the file is missing or damaged.

        Raises:
            DataError: It belongs to another training.
        """
        if not self.path.exists():
            return None
        parts: defaultdict[str, dict[str, torch.Tensor]] = defaultdict(dict)
        try:
            with safe_open(self.path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["rosearch"])
                for name in file.keys():  # noqa: SIM118 - not a mapping
                    part, _, rest = name.partition("/")
                    parts[part][rest] = file.get_tensor(name)
            history = tuple(Epoch(**epoch) for epoch in header["history"])
            key, micro = header["key"], header["micro_batch_size"]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            warnings.warn(
                f"{self.path} is not a readable checkpoint ({error}). Training starts from the "
                f"beginning and replaces it.",
                stacklevel=2,
            )
            return None
        if key != self.key:
            raise DataError(
                f"{self.path} is the checkpoint of another training: genome, seed, parent, data, "
                f"teacher or settings differ. Give each training its own file, or delete this one."
            )
        return Checkpoint(history=history, micro_batch_size=micro, tensors=parts)

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the file."""
        header = {
            "key": self.key,
            "history": [asdict(epoch) for epoch in checkpoint.history],
            "micro_batch_size": checkpoint.micro_batch_size,
        }
        tensors = {
            f"{part}/{name}": value
            for part, values in checkpoint.tensors.items()
            for name, value in values.items()
        }
        write_tensors(self.path, tensors, {"rosearch": json.dumps(header)})
