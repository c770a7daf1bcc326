"""Perturbed texts in training: from an augmentation, and from attacks on the student."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch

from rosearch.data import Text, TextDataset
from rosearch.distill.objective import DistillationObjective
from rosearch.distill.student_texts import StudentTexts
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.training.hooks import Extra, TrainingHook
from rosearch.seeding import child_seed
from rosearch.student import StudentForSequenceClassification
from rosearch.tokens import TokenizedText

Answers = Literal["perturbed", "original"]
"""Which teacher outputs a perturbed text is trained to: those for it, or for its original."""

Perturbed = Sequence[tuple[int, Text]]
"""Perturbed texts, each with the position of its original among the training texts."""


class Augmentation(Protocol):
    """Perturbs training texts independently of the student, so that all candidates share them.

    :class:`rosearch.attack.SubstitutionAugmentation` is one.
    """

    answers: Answers
    redraw: bool
    """Whether each epoch gets other texts."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides the texts, as plain values."""

    def texts(self, dataset: TextDataset, *, epoch: int) -> Perturbed:
        """Return perturbed texts for an epoch.

        Args:
            dataset: The training texts, without the words that truncation hides.
            epoch: From 1; always 1 without ``redraw``.
        """


class Adversary(Protocol):
    """Attacks the student during training, so that it trains on texts that it gets wrong.

    :class:`rosearch.attack.AdversarialTexts` is one.
    """

    answers: Answers
    first: int
    """The first epoch, from 1, that starts with an attack."""
    every: int
    """Epochs from one attack to the next; those between reuse the texts of the last attack."""
    keep: bool
    """Whether to keep the texts of earlier attacks."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides the texts, as plain values."""

    def texts(
        self, student: StudentForSequenceClassification, dataset: TextDataset, *, seed: int
    ) -> Perturbed:
        """Attack the student and return perturbed texts.

        Args:
            student: The student in its current state, with its tokenizer.
            dataset: The training texts; without labels, with those that the teacher predicts.
            seed: Differs for every training and epoch.
        """


@dataclass(frozen=True)
class Group:
    """Perturbed texts that were made together."""

    examples: np.ndarray
    """int64 ``(texts,)``, the position of each text's original."""

    rows: Sequence[TokenizedText]
    outputs: TeacherOutputs | None
    """The teacher outputs that the texts are trained to; ``None`` if no loss reads any."""

    seconds: float
    """Wall time of the teacher."""


@dataclass
class TextSource:
    """Makes perturbed texts of one training set; shared by all students of one encoding."""

    texts: StudentTexts
    """The training texts."""

    labels: np.ndarray | None
    """The true labels of ``train``; ``None`` if no loss reads them."""

    augmentation: Augmentation | None
    adversary: Adversary | None

    _augmented: dict[int, Group] = field(default_factory=dict)

    @cached_property
    def labelled(self) -> TextDataset:
        """The training texts with their labels, or with those that the teacher predicts."""
        train, texts = self.texts.train, self.texts
        if train.is_labelled:
            return train
        labels = texts.teacher.logits(train, progress=texts.progress).argmax(axis=1)
        return TextDataset(train.texts, labels.tolist(), classes=train.classes)

    def augmented(self, augmentation: Augmentation, epoch: int) -> tuple[Group, float, float]:
        """Return the augmentation's group for an epoch, made for the first student to need it.

        Returns:
            The group, and the seconds that augmentation and teacher took now.
        """
        epoch = epoch if augmentation.redraw else 1
        if epoch in self._augmented:
            return self._augmented[epoch], 0.0, 0.0
        start = time.perf_counter()
        perturbed = augmentation.texts(self.texts.train_as_read, epoch=epoch)
        seconds = time.perf_counter() - start
        group = self.group(perturbed, augmentation.answers, cached=True)
        self._augmented[epoch] = group
        return group, seconds, group.seconds

    def group(self, perturbed: Perturbed, answers: Answers, *, cached: bool) -> Group:
        """Tokenise texts and get the teacher outputs for them.

        Args:
            perturbed: The texts.
            answers: Which outputs they are trained to.
            cached: Whether to store the outputs on disk for other students.
        """
        examples = np.array([example for example, _ in perturbed], dtype=np.int64)
        texts = [text for _, text in perturbed]
        start = time.perf_counter()
        outputs = self.texts.outputs
        if outputs is not None and (answers == "original" or not texts):
            outputs = outputs.select(examples)
        elif outputs is not None:
            unlabelled = TextDataset.unlabelled(texts, classes=self.texts.train.classes)
            outputs = self.texts.outputs_for(unlabelled, cached=cached)
        seconds = time.perf_counter() - start
        return Group(examples, self.texts.tokenize(texts), outputs, seconds)


@dataclass
class PerturbedTexts(TrainingHook):
    """Adds perturbed texts to the epochs of one training."""

    source: TextSource
    """Makes the texts."""

    student: StudentForSequenceClassification
    objective: DistillationObjective
    """The student's objective, made for the training texts."""

    seed: int
    """Seed of the training."""

    _attacks: list[list[tuple[int, Text]]] = field(default_factory=list)
    # After an interruption, made again attack by attack: only then do the same texts share the
    # teacher's batches, and the outputs have the same bits.
    _groups: list[Group] = field(default_factory=list)

    def start_epoch(self, number: int, describe: Callable[[str], object]) -> Extra:
        """Make the texts of an epoch and add them to the objective."""
        source = self.source
        augmentation, adversary = source.augmentation, source.adversary
        groups: list[Group] = []
        augmentation_seconds = attack_seconds = teacher_seconds = 0.0
        if augmentation is not None:
            describe("augmenting")
            group, augmentation_seconds, teacher_seconds = source.augmented(augmentation, number)
            groups.append(group)
        if adversary is not None and number >= adversary.first:
            if (number - adversary.first) % adversary.every == 0:
                describe("attacking")
                attack_seconds = self._attack(adversary, number)
            describe("running the teacher")
            for perturbed in self._attacks[len(self._groups) :]:
                group = source.group(perturbed, adversary.answers, cached=False)
                self._groups.append(group)
                teacher_seconds += group.seconds
            groups += self._groups
        self._serve(groups)
        return Extra(
            [row for group in groups for row in group.rows],
            augmentation_seconds=augmentation_seconds,
            attack_seconds=attack_seconds,
            teacher_seconds=teacher_seconds,
        )

    def counts(self, number: int, progress: float) -> bool:
        """Return whether the epoch comes after the first attack."""
        adversary = self.source.adversary
        return adversary is None or number >= adversary.first

    def state(self) -> dict[str, torch.Tensor]:
        """Return the texts of attacks, as bytes of JSON."""
        if not self._attacks:
            return {}
        data = bytearray(json.dumps(self._attacks).encode())
        return {"attacks": torch.frombuffer(data, dtype=torch.uint8)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the texts of attacks."""
        self._attacks, self._groups = [], []
        if "attacks" in state:
            for part in json.loads(state["attacks"].numpy().tobytes()):
                pairs = [(i, text if isinstance(text, str) else tuple(text)) for i, text in part]
                self._attacks.append(pairs)

    def _attack(self, adversary: Adversary, number: int) -> float:
        start = time.perf_counter()
        seed = child_seed(self.seed, "adversary", number)
        found = adversary.texts(self.student, self.source.labelled, seed=seed)
        if not adversary.keep:
            self._attacks, self._groups = [], []
        known = {pair for before in self._attacks for pair in before}
        self._attacks.append([pair for pair in dict.fromkeys(found) if pair not in known])
        return time.perf_counter() - start

    def _serve(self, groups: Sequence[Group]) -> None:
        outputs, labels = self.source.texts.outputs, self.source.labels
        if labels is not None:
            labels = np.concatenate([labels, *(labels[group.examples] for group in groups)])
        if outputs is not None:
            added = [group.outputs for group in groups if group.outputs is not None]
            outputs = TeacherOutputs.joined([outputs, *added])
        self.objective.serve(outputs, labels)
