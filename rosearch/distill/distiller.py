"""From a genome to a trained student."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rosearch.data import TextDataset
from rosearch.distill.losses import Losses, LossMix
from rosearch.distill.objective import DistillationObjective, wanted_by
from rosearch.distill.robust.changed_texts import (
    Adversary,
    Augmentation,
    Augmented,
    Groups,
    Hardening,
    check_hardening,
    check_perturbation,
    with_labels,
)
from rosearch.distill.robust.freelb import EmbeddingPerturbation, Perturber
from rosearch.distill.robust.word_perturbation import WordPerturbation, WordPerturber
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.teacher.teacher import Teacher
from rosearch.distill.training.checkpoints import CheckpointFile, Epoch, best_epoch, weights_digest
from rosearch.distill.training.loop import fit, isolated_rng
from rosearch.distill.training.settings import Optimization
from rosearch.errors import DataError
from rosearch.labels import warn_if_useless
from rosearch.operators import EmbeddingOperator, NearestWords, Vocabulary
from rosearch.seeding import child_seed
from rosearch.space import Genome
from rosearch.student import (
    CachedNearestWords,
    EmbeddingNearestWords,
    StudentConfig,
    StudentForSequenceClassification,
    inherit,
    start_from_teacher,
)
from rosearch.tokens import Encoding, default_device, encode

if TYPE_CHECKING:
    from transformers import TrainerCallback


@dataclass(frozen=True)
class DistillationResult:
    """A trained student and how it came about."""

    student: StudentForSequenceClassification = field(repr=False)
    """In eval mode, with the weights of its best epoch and the teacher's tokenizer."""

    accuracy: float
    """Share of right answers on the dev examples, at the best epoch."""

    seconds: float
    """Wall time of initialisation and training."""

    history: tuple[Epoch, ...]
    """What each epoch did."""

    @property
    def cost(self) -> dict[str, float]:
        """What robust distillation has cost in all epochs.

        Returns:
            ``changed_texts`` trained on; ``augmentation_seconds``, ``attack_seconds`` and
            ``teacher_seconds`` spent on making them and on their answers; ``training_seconds``,
            the rest of the epochs.
        """
        names = (
            "changed_texts",
            "augmentation_seconds",
            "attack_seconds",
            "teacher_seconds",
            "training_seconds",
        )
        return {name: float(sum(getattr(epoch, name) for epoch in self.history)) for name in names}


class Distiller:
    """Trains students of any genome to answer like one teacher.

    The teacher's outputs are computed once, for all candidates and processes. The same
    seed and genome give the same student on the same kind of machine with as many threads.

    Args:
        teacher: Whose answers are matched.
        train: Texts to train on. Their labels count only where a loss reads them, so they may have
            none otherwise.
        dev: Labelled texts to choose the best epoch by.
        epochs: Passes over ``train``.
        losses: Name of each loss to its weight, or to its weight and settings, as in
            ``{"soft_labels": 1.0, "hidden_states": {"weight": 0.5, "layers": (6, 12)}}``; the names
            are those of ``rosearch.distill.distillation_losses``. The weighted losses are added up.
            Default: ``soft_labels``, and ``hard_labels`` where ``label_weight`` is above 0.
        temperature: Softens both sides' probabilities (Hinton et al. 2015).
        label_weight: Share of the loss that is cross-entropy with the true labels, 0 to 1. Short
            for ``losses={"soft_labels": 1 - label_weight, "hard_labels": label_weight}``.
        learning_rate: Peak of AdamW's.
        batch_size: Texts of a step.
        warmup: Share of the steps during which the learning rate rises.
        weight_decay: AdamW's.
        dropout: Share of values that the student drops while it trains.
        nearest_words: Which words are near each other, for inputs that ask, such as
            ``neighbour_smoothed_embedding``. Default: an
            :class:`~rosearch.student.EmbeddingNearestWords` over the teacher's token vectors. It is
            asked at most once in a process, and not at all by inputs that need no neighbours.
        device: Where students train; default: the GPU where there is one.
        callbacks: transformers' ``TrainerCallback`` objects, such as ``TensorBoardCallback()`` or
            ``WandbCallback()``, which are told of every student's training.
        progress: Whether to show progress bars.
        augmentation: Adds changed texts to the training, such as
            :class:`rosearch.attack.SubstitutionAugmentation`.
        adversary: Attacks the student between epochs, and adds what it finds to the training, such
            as :class:`rosearch.attack.AdversarialTexts`. Epochs before its first attack cannot be
            the best.
        perturbation: Perturbs every step: :class:`~rosearch.distill.WordPerturbation` replaces
            words by what the student minds most, :class:`~rosearch.distill.EmbeddingPerturbation`
            shifts token embeddings.
        optimization: The other settings of :class:`~rosearch.distill.Optimization`, such as
            ``precision="bfloat16"``, ``batch_tokens=2048``, ``micro_batch_size=8``,
            ``schedule="cosine"``, ``patience=2`` or ``compile=True``.

    Raises:
        DataError: Teacher, ``train`` and ``dev`` do not fit together, or labels are missing.
        RegistryError: There is no loss of a given name.
        TypeError: A setting is unknown, or a callback is none.
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        teacher: Teacher,
        train: TextDataset,
        dev: TextDataset,
        *,
        epochs: int = 3,
        losses: Losses | None = None,
        temperature: float = 2.0,
        label_weight: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        dropout: float = 0.1,
        nearest_words: NearestWords | None = None,
        device: torch.device | str | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        progress: bool = True,
        augmentation: Augmentation | None = None,
        adversary: Adversary | None = None,
        perturbation: EmbeddingPerturbation | WordPerturbation | None = None,
        **optimization: Any,
    ) -> None:
        if train.classes != dev.classes or train.is_pairs != dev.is_pairs:
            raise DataError(
                f"train and dev do not fit together: {train!r} and {dev!r}. Both need the same "
                f"classes, and texts or pairs alike."
            )
        teacher.check(train)
        mix = LossMix.of(
            losses, teacher=teacher.shape, temperature=temperature, label_weight=label_weight
        )
        if not dev.is_labelled:
            raise DataError(f"dev chooses the best epoch and needs labels; got {dev!r}.")
        if mix.needs_labels and not train.is_labelled:
            raise DataError(
                f"The loss {mix.needs_labels[0]!r} reads true labels, and train has none. Leave it "
                f"out, or give labelled texts."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r}: expected a share of at least 0, below 1.")
        known = {setting.name for setting in fields(Optimization)}
        unknown = sorted(set(optimization) - known)
        if unknown:
            raise TypeError(
                f"Distiller has no argument {unknown[0]!r}. Settings of training are "
                f"{', '.join(sorted(known))}; those of a loss go into losses=, as in "
                f"losses={{'hidden_states': {{'weight': 0.5, 'layers': (6, 12)}}}}."
            )
        for callback in callbacks:
            if not hasattr(callback, "on_train_begin"):
                raise TypeError(f"Expected a transformers.TrainerCallback, got {callback!r}.")
        check_hardening(augmentation, adversary, needs=mix.needs, epochs=epochs)
        check_perturbation(
            perturbation, needs=mix.needs, compiled=optimization.get("compile"), epochs=epochs
        )
        self.teacher = teacher
        self.train = train
        self.dev = dev
        self.losses = mix
        self.dropout = dropout
        self.nearest_words = nearest_words
        self.optimization = Optimization(
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            warmup=warmup,
            weight_decay=weight_decay,
            **optimization,
        )
        self.callbacks = tuple(callbacks)
        self.device = torch.device(device) if device is not None else default_device()
        self.progress = progress
        self.augmentation = augmentation
        self.adversary = adversary
        self.perturbation = perturbation

    def __repr__(self) -> str:
        losses = ", ".join(self.losses.settings)
        return f"Distiller({self.teacher!r}, {self.train!r}, {self.dev!r}, losses: {losses})"

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what a genome becomes, as plain values."""
        settings: dict[str, Any] = {
            "teacher": self.teacher.fingerprint,
            "train": self.train.fingerprint,
            "dev": self.dev.fingerprint,
            "losses": self.losses.settings,
            "dropout": self.dropout,
            **asdict(self.optimization),
        }
        if self.losses.needs - {"logits"}:
            settings["storage"] = self.teacher.storage
        # The default follows from the teacher, which is named above.
        if self.nearest_words is not None:
            settings["nearest_words"] = dict(self.nearest_words.settings)
        for name in ("augmentation", "adversary", "perturbation"):
            part = getattr(self, name)
            if part is not None:
                settings[name] = dict(part.settings)
        return settings

    @property
    def first_counted(self) -> int:
        """The first epoch, from 1, that can be the best: where robust training has set in."""
        first = 1 if self.adversary is None else self.adversary.first
        if isinstance(self.perturbation, WordPerturbation):
            first = max(first, math.ceil(self.perturbation.ramp * self.optimization.epochs) + 1)
        return first

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

    def student(
        self,
        genome: Genome,
        *,
        seed: int = 0,
        parent: StudentForSequenceClassification | None = None,
    ) -> StudentForSequenceClassification:
        """An untrained student, its embedding taken from the teacher's.

        Args:
            genome: The architecture.
            seed: Fixes initial weights.
            parent: A student of the same teacher whose weights are taken over where nodes are
                shared, see :func:`rosearch.student.inherit`.
        """
        config = self.config(genome)
        with isolated_rng(child_seed(seed, "weights")):
            student = StudentForSequenceClassification(config)
            self._prepare(student.embedding)
            start_from_teacher(student, self.teacher.embedding)
        if parent is not None:
            inherit(student, parent)
        student.tokenizer = self.teacher.tokenizer
        student.to(self.device)
        return student

    def _prepare(self, embedding: EmbeddingOperator) -> None:
        # Most inputs need to know nothing of the tokens, and then nothing is looked up.
        if type(embedding).prepare is not EmbeddingOperator.prepare:
            embedding.prepare(
                self._vocabulary, CachedNearestWords(self.nearest_words or self._nearest)
            )

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.teacher.tokenizer, size=len(self.teacher.embedding.tokens))

    @cached_property
    def _nearest(self) -> EmbeddingNearestWords:
        return EmbeddingNearestWords(self._vocabulary, self.teacher.embedding.tokens)

    def distill(
        self,
        genome: Genome,
        *,
        seed: int = 0,
        epochs: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        parent: StudentForSequenceClassification | None = None,
    ) -> DistillationResult:
        """Train a student of ``genome``.

        With ``epochs`` and ``checkpoint`` training goes in parts, on any machines that see the
        file: ``distill(genome, epochs=1, checkpoint=file)`` and later
        ``distill(genome, epochs=3, checkpoint=file)`` give what ``distill(genome, epochs=3)``
        gives, on the same kind of machine to the last bit.

        Args:
            genome: The architecture.
            seed: Fixes initial weights, order and dropout.
            epochs: Epoch to stop after; the learning rates are those of the Distiller's ``epochs``
                all the same. Default: train to the end.
            checkpoint: File that training goes on from, where it is there, and that its state is
                put into after every epoch. Each genome, seed and parent needs a file of its own.
            parent: As for :meth:`student`.

        Raises:
            DataError: The checkpoint is another training's, or further than ``epochs``.
            EvaluationError: The loss is not finite, memory is not enough, a callback ended training
                before the first epoch, or the student lacks what a loss compares.
            ValueError: ``epochs`` is more than the Distiller's.
        """
        outputs = self._outputs
        if outputs is not None:
            _ = self._teacher_accuracy  # warns where the teacher has nothing to teach
        start = time.perf_counter()
        student = self.student(genome, seed=seed, parent=parent)
        objective = self._objective(student, outputs, seed)
        history = fit(
            student,
            self._train_rows,
            objective,
            self._dev_rows,
            self.dev.labels,
            optimization=self.optimization,
            pad_id=self.teacher.pad_id,
            seed=seed,
            until=epochs,
            checkpoint=self._file(checkpoint, genome, seed, parent),
            callbacks=self.callbacks,
            name=f"{genome.key[:8]}-{seed}",
            progress=f"distil {genome.key[:8]}" if self.progress else None,
            supplement=self._hardening(student, objective, seed),
            perturber=self._perturber,
        )
        accuracy = best_epoch(history).accuracy
        warn_if_useless(accuracy, self.dev, owner=f"Student {genome.key[:8]}")
        return DistillationResult(
            student=student,
            accuracy=accuracy,
            seconds=time.perf_counter() - start,
            history=history,
        )

    def _file(
        self,
        path: str | os.PathLike[str] | None,
        genome: Genome,
        seed: int,
        parent: StudentForSequenceClassification | None,
    ) -> CheckpointFile | None:
        if path is None:
            return None
        identity = {
            "settings": self.settings,
            "genome": genome.key,
            "seed": seed,
            "parent": None if parent is None else weights_digest(parent.state_dict()),
        }
        return CheckpointFile(Path(path), identity)

    def cache_size(self) -> int:
        """Bytes of disk that the teacher's outputs for the training texts will still take."""
        if not self.losses.needs:
            return 0
        return self.teacher.cache_size(self.train, wanted_by(self.losses))

    def _objective(
        self, student: StudentForSequenceClassification, outputs: TeacherOutputs | None, seed: int
    ) -> DistillationObjective:
        with isolated_rng(child_seed(seed, "losses")):
            objective = DistillationObjective(
                self.losses,
                student,
                outputs=outputs,
                labels=self.train.labels if self.losses.needs_labels else None,
            )
        return objective.to(self.device)

    def _hardening(
        self, student: StudentForSequenceClassification, objective: DistillationObjective, seed: int
    ) -> Hardening | None:
        if self.augmentation is None and self.adversary is None:
            return None
        return Hardening(
            student,
            objective,
            self._groups,
            labels=self.train.labels if self.losses.needs_labels else None,
            augmented=self._augmented,
            adversary=self.adversary,
            attacked=self._attacked,
            seed=seed,
        )

    @cached_property
    def _perturber(self) -> Perturber | None:
        if not isinstance(self.perturbation, WordPerturbation):
            return self.perturbation
        length = self.teacher.max_length
        choices = self.perturbation.replacements.choices(
            self.train, self.teacher.tokenizer, max_length=length
        )
        return WordPerturber(
            self.perturbation, choices, pad_id=self.teacher.pad_id, max_length=length
        )

    @cached_property
    def _groups(self) -> Groups:
        wanted = wanted_by(self.losses)
        return Groups(self.teacher, self.train, self._outputs, wanted, progress=self.progress)

    @cached_property
    def _augmented(self) -> Augmented | None:
        return None if self.augmentation is None else Augmented(self.augmentation, self._groups)

    @cached_property
    def _attacked(self) -> TextDataset:
        if self.adversary is None:
            return self.train
        return with_labels(self.train, self.teacher, progress=self.progress)

    @cached_property
    def _outputs(self) -> TeacherOutputs | None:
        if not self.losses.needs:
            return None
        return self.teacher.outputs(self.train, wanted_by(self.losses), progress=self.progress)

    @cached_property
    def _teacher_accuracy(self) -> float:
        return self.teacher.accuracy(self.dev, progress=self.progress)

    @cached_property
    def _train_rows(self) -> list[Encoding]:
        return encode(self.teacher.tokenizer, self.train.texts, max_length=self.teacher.max_length)

    @cached_property
    def _dev_rows(self) -> list[Encoding]:
        return encode(self.teacher.tokenizer, self.dev.texts, max_length=self.teacher.max_length)

    def __getstate__(self) -> dict[str, Any]:
        # Tokenising again in a worker is cheaper than sending the rows there.
        made = {"_train_rows", "_dev_rows", "_outputs", "_vocabulary", "_nearest"}
        made |= {"_groups", "_augmented", "_attacked", "_perturber"}
        return {k: v for k, v in self.__dict__.items() if k not in made}
