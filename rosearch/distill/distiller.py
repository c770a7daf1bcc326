"""From a genome to a trained student."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional

from rosearch.data import TextDataset
from rosearch.distill.losses import soft_label_loss
from rosearch.distill.teacher import Teacher
from rosearch.distill.training import Epoch, Optimization, fit, isolated_rng
from rosearch.encoding import Encoding, default_device, encode
from rosearch.errors import DataError
from rosearch.seeding import child_seed
from rosearch.space import Genome
from rosearch.student import StudentConfig, StudentForSequenceClassification, start_from_teacher


@dataclass(frozen=True)
class DistillationResult:
    """A trained student and how it came about."""

    student: StudentForSequenceClassification
    """In eval mode, with the weights of its best epoch and the teacher's tokenizer."""

    accuracy: float
    """Share of right answers on the dev examples, at the best epoch."""

    seconds: float
    """Wall time of initialisation and training."""

    history: tuple[Epoch, ...]
    """What each epoch did."""


class Distiller:
    """Trains students of any genome to answer like one teacher.

    The teacher's logits are computed once, for all candidates and processes. The same
    seed and genome give the same student on the same kind of machine with as many threads.

    Args:
        teacher: Whose answers are matched.
        train: Texts to train on; their labels count only where ``label_weight`` is above 0.
        dev: Labelled texts to choose the best epoch by.
        epochs: Passes over ``train``.
        temperature: Softens both sides' probabilities (Hinton et al. 2015).
        label_weight: Share of the loss that is cross-entropy with the true labels, 0 to 1.
        learning_rate: Peak of AdamW's.
        batch_size: Texts of a step.
        warmup: Share of the steps during which the learning rate rises.
        weight_decay: AdamW's.
        dropout: Share of values that the student drops while it trains.
        device: Where students train; default: the GPU where there is one.
        progress: Whether to show progress bars.

    Raises:
        DataError: Teacher, ``train`` and ``dev`` do not fit together.
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        teacher: Teacher,
        train: TextDataset,
        dev: TextDataset,
        *,
        epochs: int = 3,
        temperature: float = 2.0,
        label_weight: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        dropout: float = 0.1,
        device: torch.device | str | None = None,
        progress: bool = True,
    ) -> None:
        if train.classes != dev.classes or train.is_pairs != dev.is_pairs:
            raise DataError(
                f"train and dev do not fit together: {train!r} and {dev!r}. Both need the same "
                f"classes, and texts or pairs alike."
            )
        teacher.check(train)
        if not temperature > 0:
            raise ValueError(f"temperature={temperature!r}: expected a number above 0.")
        if not 0 <= label_weight <= 1:
            raise ValueError(f"label_weight={label_weight!r}: expected a share from 0 to 1.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r}: expected a share of at least 0, below 1.")
        self.teacher = teacher
        self.train = train
        self.dev = dev
        self.temperature = temperature
        self.label_weight = label_weight
        self.dropout = dropout
        self.optimization = Optimization(
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            warmup=warmup,
            weight_decay=weight_decay,
        )
        self.device = torch.device(device) if device is not None else default_device()
        self.progress = progress

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what a genome becomes, as plain values."""
        return {
            "teacher": self.teacher.fingerprint,
            "train": self.train.fingerprint,
            "dev": self.dev.fingerprint,
            "temperature": self.temperature,
            "label_weight": self.label_weight,
            "dropout": self.dropout,
            **asdict(self.optimization),
        }

    def config(self, genome: Genome) -> StudentConfig:
        """The configuration of the genome's student."""
        teacher = self.teacher
        (row,) = encode(teacher.tokenizer, self.train.texts[:1], max_length=teacher.max_length)
        return StudentConfig(
            genome,
            vocab_size=len(teacher.embedding.tokens),
            max_position_embeddings=teacher.max_length,
            # XLNet has no table of types, and gives the classification token one of its own.
            type_vocab_size=max(2, len(teacher.embedding.types), max(row.types or (0,)) + 1),
            dropout=self.dropout,
            pad_token_id=teacher.pad_id,
            num_labels=teacher.num_labels,
            id2label=dict(enumerate(self.train.classes)),
            label2id={name: k for k, name in enumerate(self.train.classes)},
        )

    def student(self, genome: Genome, *, seed: int = 0) -> StudentForSequenceClassification:
        """An untrained student, its embedding taken from the teacher's."""
        config = self.config(genome)
        with isolated_rng(child_seed(seed, "weights")):
            student = StudentForSequenceClassification(config)
            start_from_teacher(student, self.teacher.embedding)
        student.tokenizer = self.teacher.tokenizer
        student.to(self.device)
        return student

    def distill(self, genome: Genome, *, seed: int = 0) -> DistillationResult:
        """Train a student of ``genome``.

        Args:
            genome: The architecture.
            seed: Fixes initial weights, order and dropout.

        Raises:
            EvaluationError: The loss is not finite.
        """
        soft = torch.from_numpy(self.teacher.logits(self.train, progress=self.progress).copy())
        soft = soft.to(self.device)
        hard = torch.from_numpy(self.train.labels.copy()).to(self.device)

        def loss(logits: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
            value = soft_label_loss(logits, soft[batch], temperature=self.temperature)
            if self.label_weight:
                true = functional.cross_entropy(logits, hard[batch])
                value = (1 - self.label_weight) * value + self.label_weight * true
            return value

        start = time.perf_counter()
        student = self.student(genome, seed=seed)
        history = fit(
            student,
            self._train_rows,
            loss,
            self._dev_rows,
            self.dev.labels,
            optimization=self.optimization,
            pad_id=self.teacher.pad_id,
            seed=seed,
            progress=f"distil {genome.key[:8]}" if self.progress else None,
        )
        return DistillationResult(
            student=student,
            accuracy=max(epoch.accuracy for epoch in history),
            seconds=time.perf_counter() - start,
            history=history,
        )

    @cached_property
    def _train_rows(self) -> list[Encoding]:
        return encode(self.teacher.tokenizer, self.train.texts, max_length=self.teacher.max_length)

    @cached_property
    def _dev_rows(self) -> list[Encoding]:
        return encode(self.teacher.tokenizer, self.dev.texts, max_length=self.teacher.max_length)

    def __getstate__(self) -> dict[str, Any]:
        # Tokenising again in a worker is cheaper than sending the rows there.
        return {k: v for k, v in self.__dict__.items() if k not in ("_train_rows", "_dev_rows")}
