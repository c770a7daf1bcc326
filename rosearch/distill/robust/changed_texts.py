"""Robust distillation: changed texts that join the training, and the teacher's answers to them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from rosearch.data import Text, TextDataset
from rosearch.distill.objective import DistillationObjective
from rosearch.distill.robust.freelb import EmbeddingPerturbation
from rosearch.distill.robust.word_perturbation import WordPerturbation
from rosearch.distill.teacher.joined_outputs import JoinedOutputs
from rosearch.distill.teacher.outputs import TeacherOutputs, Wanted
from rosearch.distill.teacher.teacher import Teacher
from rosearch.distill.training.hooks import Extra
from rosearch.seeding import child_seed
from rosearch.student import StudentForSequenceClassification
from rosearch.tokens import Encoding, encode

Answers = Literal["changed", "original"]
"""What a changed text is trained to: the teacher's outputs for it, or for its original."""

Changed = Sequence[tuple[int, Text]]
"""Changed texts, each with the number of the example that it was made from."""


class Augmentation(Protocol):
    """Changes training texts without a look at the student, so that all candidates share them.

    :class:`rosearch.attack.SubstitutionAugmentation` is one.
    """

    answers: Answers
    redraw: bool
    """Whether each epoch gets other texts."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides the texts, as plain values."""

    def texts(self, dataset: TextDataset, *, epoch: int) -> Changed:
        """Changed texts for an epoch.

        Args:
            dataset: The training texts.
            epoch: From 1; always 1 where texts are not drawn again.
        """


class Adversary(Protocol):
    """Attacks the student as it is, so that it trains on what breaks it.

    :class:`rosearch.attack.AdversarialTexts` is one.
    """

    answers: Answers
    first: int
    """The first epoch, from 1, that begins with an attack."""
    every: int
    """Epochs from one attack to the next; those between train on the texts of the last."""
    keep: bool
    """Whether the texts of earlier attacks stay."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides the texts, as plain values."""

    def texts(
        self, student: StudentForSequenceClassification, dataset: TextDataset, *, seed: int
    ) -> Changed:
        """Texts that an attack on the student has made.

        Args:
            student: As it is at the beginning of an epoch, with its tokenizer.
            dataset: The training texts; where they have no labels, with the teacher's.
            seed: Another for every training and epoch.
        """


@dataclass(frozen=True)
class Group:
    """Changed texts that came about together."""

    examples: np.ndarray
    """int64 ``(texts,)``, the example that each was made from."""

    rows: Sequence[Encoding]
    outputs: TeacherOutputs | None
    """What they are trained to; ``None`` where no loss reads the teacher's outputs."""

    seconds: float
    """What the teacher took."""


class Groups:
    """Makes groups of changed texts of one training set.

    Args:
        teacher: The teacher.
        train: The training texts.
        outputs: The teacher's, for them; ``None`` where no loss reads any.
        wanted: Which outputs.
        progress: Whether to show a bar while outputs are computed for the cache.
    """

    def __init__(
        self,
        teacher: Teacher,
        train: TextDataset,
        outputs: TeacherOutputs | None,
        wanted: Wanted,
        *,
        progress: bool,
    ) -> None:
        self.teacher = teacher
        self.train = train
        self.outputs = outputs
        self.wanted = wanted
        self.progress = progress

    def make(self, changed: Changed, answers: Answers, *, cached: bool) -> Group | None:
        """A group; ``None`` where there is no text.

        Args:
            changed: The texts.
            answers: Which answers they are trained to.
            cached: Whether the teacher's outputs are kept on disk for other candidates.
        """
        if not changed:
            return None
        texts = [text for _, text in changed]
        examples = np.array([example for example, _ in changed], dtype=np.int64)
        start = time.perf_counter()
        outputs = self.outputs
        if outputs is not None and answers == "original":
            outputs = TeacherOutputs(outputs.index[examples], outputs.offsets, outputs.arrays)
        elif outputs is not None:
            outputs = self.teacher.outputs(
                TextDataset.unlabelled(texts, classes=self.train.classes),
                self.wanted,
                progress=self.progress,
                cached=cached,
            )
        seconds = time.perf_counter() - start
        rows = encode(self.teacher.tokenizer, texts, max_length=self.teacher.max_length)
        return Group(examples, rows, outputs, seconds)


class Augmented:
    """The augmentation's groups, each made for the first candidate that needs it."""

    def __init__(self, augmentation: Augmentation, groups: Groups) -> None:
        self._augmentation = augmentation
        self._groups = groups
        self._made: dict[int, Group | None] = {}

    def group(self, number: int) -> tuple[Group | None, float, float]:
        """The group of an epoch, and the seconds that changes and the teacher took now."""
        number = number if self._augmentation.redraw else 1
        if number in self._made:
            return self._made[number], 0.0, 0.0
        start = time.perf_counter()
        changed = self._augmentation.texts(self._groups.train, epoch=number)
        seconds = time.perf_counter() - start
        group = self._groups.make(changed, self._augmentation.answers, cached=True)
        self._made[number] = group
        return group, seconds, 0.0 if group is None else group.seconds


class Hardening:
    """The changed texts of one training: augmented ones, and those of attacks on its student.

    Args:
        student: The student.
        objective: What it learns by, made for the training texts.
        groups: Makes groups.
        labels: True labels of the training texts; ``None`` where no loss reads them.
        augmented: The augmentation's texts; ``None`` for none.
        adversary: Attacks the student; ``None``: nobody.
        attacked: The training texts with labels.
        seed: Of the training.
    """

    def __init__(
        self,
        student: StudentForSequenceClassification,
        objective: DistillationObjective,
        groups: Groups,
        *,
        labels: np.ndarray | None,
        augmented: Augmented | None,
        adversary: Adversary | None,
        attacked: TextDataset,
        seed: int,
    ) -> None:
        self.student = student
        self.objective = objective
        self.groups = groups
        self.labels = labels
        self.augmented = augmented
        self.adversary = adversary
        self.attacked = attacked
        self.seed = seed
        self._rounds: list[list[tuple[int, Text]]] = []
        # Made again after an interruption, round by round: what shares the teacher's batches then
        # is what shared them before, so that even the last bits are the same.
        self._made: list[Group | None] = []

    def begin(self, number: int, tell: Callable[[str], object]) -> Extra:
        """The texts of an epoch; see :class:`~rosearch.distill.training.hooks.Supplement`."""
        found: list[Group] = []
        changing = attacking = teaching = 0.0
        if self.augmented is not None:
            tell("augmenting")
            group, changing, teaching = self.augmented.group(number)
            found += [] if group is None else [group]
        adversary = self.adversary
        counted = adversary is None or number >= adversary.first
        if adversary is not None and counted:
            if (number - adversary.first) % adversary.every == 0:
                tell("attacking")
                attacking = self._attack(adversary, number)
            tell("asking the teacher")
            for changed in self._rounds[len(self._made) :]:
                group = self.groups.make(changed, adversary.answers, cached=False)
                self._made.append(group)
                teaching += 0.0 if group is None else group.seconds
            found += [group for group in self._made if group is not None]
        self._serve(found)
        return Extra(
            [row for group in found for row in group.rows],
            augmentation_seconds=changing,
            attack_seconds=attacking,
            teacher_seconds=teaching,
            counted=counted,
        )

    def _attack(self, adversary: Adversary, number: int) -> float:
        start = time.perf_counter()
        seed = child_seed(self.seed, "adversary", number)
        changed = adversary.texts(self.student, self.attacked, seed=seed)
        if not adversary.keep:
            self._rounds, self._made = [], []
        known = {pair for before in self._rounds for pair in before}
        self._rounds.append([pair for pair in dict.fromkeys(changed) if pair not in known])
        return time.perf_counter() - start

    def _serve(self, found: Sequence[Group]) -> None:
        base, labels = self.groups.outputs, self.labels
        if labels is not None:
            labels = np.concatenate([labels, *(labels[group.examples] for group in found)])
        parts = [group.outputs for group in found if group.outputs is not None]
        outputs = base if base is None or not parts else JoinedOutputs([base, *parts])
        self.objective.serve(outputs, labels)

    def state(self) -> dict[str, torch.Tensor]:
        """The texts of attacks, as bytes of JSON."""
        if not self._rounds:
            return {}
        data = bytearray(json.dumps(self._rounds).encode())
        return {"rounds": torch.frombuffer(data, dtype=torch.uint8)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        self._rounds, self._made = [], []
        if "rounds" in state:
            for part in json.loads(state["rounds"].numpy().tobytes()):
                pairs = [(i, text if isinstance(text, str) else tuple(text)) for i, text in part]
                self._rounds.append(pairs)


def check_hardening(
    augmentation: Augmentation | None,
    adversary: Adversary | None,
    *,
    needs: frozenset[str],
    epochs: int,
) -> None:
    """Refuse what cannot be trained by.

    Args:
        augmentation: The augmentation, if any.
        adversary: The adversary, if any.
        needs: What the losses read of the teacher.
        epochs: Of the whole training.

    Raises:
        TypeError: One is not what it should be.
        ValueError: Answers of the original texts are asked for, and a loss compares tokens; or the
            first attack comes after the last epoch.
    """
    example = {"augmentation": "SubstitutionAugmentation", "adversary": "AdversarialTexts"}
    for name, part in (("augmentation", augmentation), ("adversary", adversary)):
        if part is None:
            continue
        whole = callable(getattr(part, "texts", None)) and hasattr(part, "settings")
        if isinstance(part, type) or not whole:
            raise TypeError(
                f"{name}={part!r:.80}: expected an instance that makes changed texts, such as "
                f"rosearch.attack.{example[name]}('pwws')."
            )
        if part.answers not in ("changed", "original"):
            raise ValueError(
                f"{name}: answers={part.answers!r}; expected 'changed' (the teacher reads the "
                f"changed text) or 'original' (it has read the text as it was)."
            )
        compared = sorted(needs & {"hidden_states", "values"})
        if part.answers == "original" and compared:
            raise ValueError(
                f"{name}: answers='original', and a loss compares {compared[0]} token by token, "
                f"which a changed text does not share with its original. Use answers='changed', "
                f"or leave that loss out."
            )
    if adversary is not None and adversary.first > epochs:
        raise ValueError(
            f"The adversary's first attack is in epoch {adversary.first}, and there are {epochs}. "
            f"Lower first, or train longer."
        )


def check_perturbation(
    perturbation: Any, *, needs: frozenset[str], compiled: Any, epochs: int
) -> None:
    """Refuse a perturbation that cannot be trained by.

    Args:
        perturbation: The perturbation, if any.
        needs: What the losses read of the teacher.
        compiled: How students are compiled, if at all.
        epochs: Of the whole training.

    Raises:
        TypeError: It is none.
        ValueError: Students are compiled; or words are replaced, and a loss compares tokens, or no
            epoch begins at full weight.
    """
    if perturbation is None:
        return
    if not isinstance(perturbation, (EmbeddingPerturbation, WordPerturbation)):
        raise TypeError(
            f"perturbation={perturbation!r:.80}: expected an EmbeddingPerturbation(...) or a "
            f"WordPerturbation(rosearch.attack.WordReplacements('pwws'))."
        )
    if compiled:
        raise ValueError(
            "A perturbation changes the embedding in every pass, and a compiled student is "
            "fixed. Leave out compile=, or the perturbation."
        )
    if not isinstance(perturbation, WordPerturbation):
        return
    if perturbation.ramp > (epochs - 1) / epochs:
        raise ValueError(
            f"ramp={perturbation.ramp}: the weight is full after {perturbation.ramp * epochs:.1f} "
            f"of {epochs} epochs, so none begins with it, and only such can be the best. Train "
            f"longer, or lower the ramp to {math.floor(100 * (epochs - 1) / epochs) / 100} at most."
        )
    compared = sorted(needs & {"hidden_states", "values"})
    if compared:
        raise ValueError(
            f"A WordPerturbation trains changed texts to the teacher's answer to the text as it "
            f"was, and a loss compares {compared[0]} token by token, which the two do not share. "
            f"Leave that loss out, or use an augmentation or adversary with answers='changed'."
        )


def with_labels(train: TextDataset, teacher: Teacher, *, progress: bool) -> TextDataset:
    """The training texts with labels: their own, or else the teacher's classes."""
    if train.is_labelled:
        return train
    labels = teacher.logits(train, progress=progress).argmax(axis=1)
    return TextDataset(train.texts, labels.tolist(), classes=train.classes)
