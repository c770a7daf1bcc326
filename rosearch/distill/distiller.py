"""From a genome to a trained student."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rosearch.checks import choice, number, refused, whole_number
from rosearch.data import TextDataset, as_dataset, class_names, warn_if_useless
from rosearch.distill.losses import Losses, LossMix
from rosearch.distill.objective import DistillationObjective
from rosearch.distill.positions import StudentPositions
from rosearch.distill.reading import Reading, RobustTraining, kept_readings
from rosearch.distill.record import training_record
from rosearch.distill.result import DistillationResult
from rosearch.distill.robust.compatibility import check_genome, check_robust_training
from rosearch.distill.robust.freelb import EmbeddingPerturbation
from rosearch.distill.robust.perturbed_texts import Adversary, Augmentation
from rosearch.distill.robust.word_perturbation import WordPerturbation
from rosearch.distill.robust.worst_case import WorstCase
from rosearch.distill.student_texts import StudentTexts, TeacherReads
from rosearch.distill.teacher.teacher import Teacher
from rosearch.distill.training.checkpoints import (
    CheckpointFile,
    Epoch,
    best_epoch,
    weights_digest,
)
from rosearch.distill.training.loop import fit, isolated_rng
from rosearch.distill.training.settings import Optimization
from rosearch.encode import Encoding, Evidence, Exchanges, fitted_chain, plain_tokenizer
from rosearch.errors import DataError
from rosearch.operators import EmbeddingOperator, NearestWords, Vocabulary
from rosearch.operators.scopes import cue_tokens
from rosearch.pickling import state_without_cached
from rosearch.seeding import child_seed
from rosearch.space import Genome, TextEncoding
from rosearch.student import (
    CachedNearestWords,
    EmbeddingNearestWords,
    StudentConfig,
    StudentForSequenceClassification,
    inherit,
    start_from_teacher,
)
from rosearch.threads import computing
from rosearch.tokens import default_device, predict

if TYPE_CHECKING:
    from transformers import TrainerCallback


class Distiller:
    """Trains students of any genome to reproduce the outputs of one teacher.

    The teacher's outputs are computed once, for all candidates and processes. The same genome and
    seed give the same student on the same kind of machine with the same ``threads``.

    Args:
        teacher: The teacher.
        train: Training texts. Labels are needed only if a loss reads them.
        dev: Labelled texts that select the best epoch.
        epochs: Passes over ``train``.
        losses: Name of each loss to its weight, or to its weight and settings, such as
            ``{"soft_labels": 1.0, "hidden_states": {"weight": 0.5, "layers": (6, 12)}}``; names are
            registered in ``rosearch.distill.distillation_losses``. The weighted losses are added.
            Default: ``soft_labels``.
        temperature: Softens the probabilities of teacher and student (Hinton et al. 2015).
        learning_rate: Peak learning rate of AdamW.
        dropout: Dropout rate of students, at least 0 and below 1.
        nearest_words: Nearest words for embedding operators that need them, such as
            ``neighbour_smoothed_embedding``. Default: an
            :class:`~rosearch.student.EmbeddingNearestWords` over the teacher's token vectors.
        positions: Maximum tokens of a text for students, whose position table has as many rows;
            longer texts are cut. Default: twice the longest text of ``train`` and ``dev``, because
            attacks split words, rounded up to a power of two, from 128 to the teacher's
            ``max_length``.
        device: Device of students; default: the GPU if available.
        callbacks: transformers' ``TrainerCallback`` objects, such as ``TensorBoardCallback()`` or
            ``WandbCallback()``, called during the training of every student.
        progress: Whether to show progress bars.
        threads: CPU threads of a training. Default: one, and as many batches of predictions at a
            time as PyTorch has threads; see :mod:`rosearch.threads`. Changes only the last bits.
        augmentation: Adds perturbed texts to the training, such as
            :class:`rosearch.attack.SubstitutionAugmentation`.
        adversary: Attacks the student between epochs and adds the adversarial texts to the
            training, such as :class:`rosearch.attack.AdversarialTexts`. Epochs before its first
            attack are not the best, unless all later ones are constant classifiers.
        perturbation: :class:`~rosearch.distill.WorstCase` fits the token scores of genomes with a
            bound against their exact worst case, before the graph is trained on what the scores
            leave; it changes nothing for other genomes.
            :class:`~rosearch.distill.WordPerturbation` trains every step on worst-case word
            substitutions, :class:`~rosearch.distill.EmbeddingPerturbation` on shifted token
            embeddings. Default: plain training.
        exchanges: What encodings of words learn that substitutions exchange, such as
            ``rosearch.attack.WordExchanges(["pwws", "textfooler"])``. Default: WordNet's synonyms.
        teacher_reads: For genomes with encodings, whether the teacher answers to the
            ``"original"`` texts or to the ``"encoded"`` ones, as losses need that compare tokens.
        optimization: Further settings of :class:`~rosearch.distill.Optimization`, such as
            ``batch_size=64``, ``warmup=0.05``, ``weight_decay=0.1``, ``precision="bfloat16"``,
            ``micro_batch_size=8``, ``schedule="cosine"``, ``patience=2`` or ``compile=True``.

    Raises:
        ArgumentError: A setting is out of range, or two settings cannot be combined.
        DataError: Teacher, ``train`` and ``dev`` do not fit together, labels are missing, or the
            teacher does not have the outputs that a loss reads.
        RegistryError: A loss is not registered.
        TypeError: A setting is unknown.
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
        learning_rate: float = 1e-3,
        dropout: float = 0.1,
        nearest_words: NearestWords | None = None,
        positions: int | None = None,
        device: torch.device | str | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        progress: bool = True,
        threads: int | None = None,
        augmentation: Augmentation | None = None,
        adversary: Adversary | None = None,
        perturbation: EmbeddingPerturbation | WordPerturbation | WorstCase | None = None,
        exchanges: Exchanges | None = None,
        teacher_reads: TeacherReads = "original",
        **optimization: Any,
    ) -> None:
        self.teacher = teacher
        self.train = as_dataset("train", train)
        self.dev = as_dataset("dev", dev)
        self.losses = LossMix.of(losses, teacher=teacher.shape, temperature=temperature)
        self._check_data()
        teacher.check_outputs(self.train, self.losses.wanted)
        self.dropout = number("dropout", dropout, 0.0, 1.0, open_maximum=True)
        self.nearest_words = nearest_words
        Optimization.check_names(optimization)
        self.optimization = Optimization(learning_rate, epochs, **optimization)
        for callback in callbacks:
            if not hasattr(callback, "on_train_begin"):
                raise refused("each of callbacks", "a transformers.TrainerCallback", callback)
        self.callbacks = tuple(callbacks)
        self.device = torch.device(device) if device is not None else default_device()
        self.progress = progress
        self.threads = None if threads is None else whole_number("threads", threads)
        check_robust_training(
            augmentation,
            adversary,
            perturbation,
            needs=self.losses.needs,
            epochs=epochs,
            compiled=self.optimization.compile,
        )
        self.exchanges = exchanges
        self.teacher_reads: TeacherReads = choice(
            "teacher_reads", teacher_reads, ("original", "encoded")
        )
        self.augmentation = augmentation
        self.adversary = adversary
        self.perturbation = perturbation
        self._made_from: str | None = None
        self._positions = StudentPositions(teacher, self.train, self.dev, positions)
        self._positions.check(self.losses.needs)

    def _check_data(self) -> None:
        train, dev = self.train, self.dev
        if train.classes != dev.classes or train.is_pairs != dev.is_pairs:
            raise DataError(
                f"train and dev do not fit together: {train!r} and {dev!r}. Both must have the "
                f"same classes, and both single texts or both pairs."
            )
        self.teacher.check_for_students()
        self.teacher.check(train)
        if not dev.is_labelled:
            raise DataError(f"dev selects the best epoch and needs labels, got {dev!r}.")
        self.teacher.check(dev)
        if self.losses.needs_labels and not train.is_labelled:
            raise DataError(
                f"The loss {self.losses.needs_labels[0]!r} reads true labels, but train has none. "
                f"Leave out the loss, or give labelled texts."
            )

    def __repr__(self) -> str:
        losses = ", ".join(self.losses.settings)
        return f"Distiller({self.teacher!r}, {self.train!r}, {self.dev!r}, losses: {losses})"

    @property
    def settings(self) -> dict[str, Any]:
        """What decides which student a genome becomes, as plain values.

        Of default exchanges (WordNet) and of what encodings learn, only the data they follow from.
        """
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
        # Default nearest words follow from the teacher.
        parts = "nearest_words augmentation adversary perturbation exchanges"
        for name in parts.split():
            part = getattr(self, name)
            if part is not None:
                settings[name] = dict(part.settings)
        if self.positions != self.teacher.max_length:
            settings["positions"] = self.positions
        if self.teacher_reads != "original":
            settings["teacher_reads"] = self.teacher_reads
        return settings

    @property
    def positions(self) -> int:
        """Maximum tokens of a text for students, and rows of their position table."""
        return self._positions.count

    @property
    def first_counted(self) -> int:
        """The first epoch, from 1, in which robust training is in full effect."""
        first = 1 if self.adversary is None else self.adversary.first
        if isinstance(self.perturbation, WordPerturbation):
            first = max(first, self.perturbation.first_counted(self.optimization.epochs))
        return first

    def encoding(self, genome: Genome) -> Encoding | None:
        """Return the genome's encodings as one, fitted to ``train`` and cached on disk.

        They learn from the teacher's answers to ``train``, too. ``None`` if the genome has none:
        its students then read texts as the teacher does.
        """
        return self._texts(genome).encoding

    def config(self, genome: Genome) -> StudentConfig:
        """Return the configuration of the genome's student."""
        teacher = self.teacher
        embedding = teacher.embedding
        (row,) = teacher.tokenize(self.train.texts[:1])
        names = class_names(teacher.config, self.train.classes)
        return StudentConfig(
            genome,
            vocab_size=len(embedding.tokens),
            max_position_embeddings=self.positions,
            # XLNet has no table of types, but gives the classification token its own type.
            type_vocab_size=max(2, len(embedding.types), max(row.types or (0,)) + 1),
            dropout=self.dropout,
            pad_token_id=teacher.pad_id,
            cues=cue_tokens(teacher.tokenizer) if genome.scopes else (),
            num_labels=teacher.num_labels,
            id2label=dict(enumerate(names)),
            label2id={name: k for k, name in enumerate(names)},
        )

    def student(
        self,
        genome: Genome,
        *,
        seed: int = 0,
        parent: StudentForSequenceClassification | None = None,
    ) -> StudentForSequenceClassification:
        """Return an untrained student with an embedding initialised from the teacher's.

        Args:
            genome: The architecture.
            seed: Seed of the initial weights.
            parent: A student of the same teacher whose weights are inherited by shared nodes; see
                :func:`rosearch.student.inherit`.
        """
        tokenizer = self._texts(genome).tokenizer
        config = self.config(genome)
        with isolated_rng(child_seed(seed, "weights")):
            student = StudentForSequenceClassification(config)
            embedding = None if genome.bound == 0 else student.embedding
            # Most embedding operators need nothing prepared; then no nearest words are computed.
            if embedding is not None and type(embedding).prepare is not EmbeddingOperator.prepare:
                nearest = CachedNearestWords(self.nearest_words or self._nearest)
                embedding.prepare(self._vocabulary, nearest)
            start_from_teacher(student, self.teacher.embedding)
        if parent is not None:
            inherit(student, parent)
        student.tokenizer = tokenizer
        student.to(self.device)
        return student

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

        With ``epochs`` and ``checkpoint``, training can be interrupted and resumed on any machine
        that has the file: ``distill(genome, epochs=1, checkpoint=file)`` followed by
        ``distill(genome, epochs=3, checkpoint=file)`` gives exactly the result of
        ``distill(genome, epochs=3)`` on the same kind of machine.

        Args:
            genome: The architecture.
            seed: Seed of initial weights, order of texts, and dropout.
            epochs: Epoch to stop after, with the learning rates of the Distiller's ``epochs``.
                Default: the last.
            checkpoint: File to resume from, if it exists, and to update after every epoch. Each
                genome, seed and parent needs its own file.
            parent: As for :meth:`student`.

        Raises:
            ArgumentError: ``epochs`` is more than the Distiller's, or a loss compares the tokens of
                an encoded text with those of its original.
            DataError: The checkpoint belongs to another training, or is past ``epochs``.
            MissingResourceError: An encoding needs a resource that is not installed.
            EvaluationError: The loss is not finite, memory is not enough, a callback stopped the
                training before the first epoch, or the student lacks what a loss compares.
        """
        check_genome(
            genome,
            self.perturbation,
            needs=self.losses.needs,
            teacher_reads=self.teacher_reads,
            teacher_encodes=self.teacher.encoding is not None,
        )
        with computing(self.device, self.threads, work=f"distillation of {genome.key[:8]}"):
            result = self._distill(genome, seed, epochs, checkpoint, parent)
        warn_if_useless(result.accuracy, self.dev, owner=f"Student {genome.key[:8]}")
        result.warn_if_plain(owner=f"Student {genome.key[:8]}")
        result.student.record = training_record(
            self.teacher, (self.train, self.dev),
            (result.accuracy, vars(self).get("_teacher_accuracy")),  # else that takes a pass
            seed=seed, settings=self.settings,
        )  # fmt: skip
        return result

    def _distill(
        self,
        genome: Genome,
        seed: int,
        epochs: int | None,
        checkpoint: str | os.PathLike[str] | None,
        parent: StudentForSequenceClassification | None,
    ) -> DistillationResult:
        texts = self._texts(genome)
        outputs = texts.outputs
        if outputs is not None:
            _ = self._teacher_accuracy  # warns if the teacher is no better than a constant
        start = time.perf_counter()
        student = self.student(genome, seed=seed, parent=parent)
        if student.token_scores is not None:
            loss = self._reading(genome).fit_scores(student.token_scores)
            if genome.bound == 0:
                return self._scored(student, loss, start)
            given = self.perturbation
            is_joint = isinstance(given, WordPerturbation) or getattr(given, "joint", False)
            student.token_scores.requires_grad_(is_joint)  # else the graph learns what they leave
        with isolated_rng(child_seed(seed, "losses")):
            objective = DistillationObjective(
                self.losses, student, outputs=outputs, labels=self._labels
            )
        file = None
        if checkpoint is not None:
            identity = {
                "settings": self.settings,
                "genome": genome.key,
                "seed": seed,
                "parent": None if parent is None else weights_digest(parent.state_dict()),
            }
            if texts.encoding is not None:
                identity["encoding"] = texts.encoding.fingerprint
            file = CheckpointFile(Path(checkpoint), identity)
        history = fit(
            student,
            texts.train_rows,
            objective,
            texts.dev_rows,
            self.dev.labels,
            optimization=self.optimization,
            pad_id=self.teacher.pad_id,
            seed=seed,
            until=epochs,
            checkpoint=file,
            callbacks=self.callbacks,
            name=f"{genome.key[:8]}-{seed}",
            progress=f"distill {genome.key[:8]}" if self.progress else None,
            hooks=self._reading(genome).hooks(student, objective, seed),
        )
        if student.token_scores is not None:
            student.token_scores.requires_grad_(True)
        seconds = time.perf_counter() - start
        best = best_epoch(history, self.dev.labels)
        return DistillationResult(student, best, seconds, history)

    def _scored(
        self, student: StudentForSequenceClassification, loss: float, start: float
    ) -> DistillationResult:
        """The result of a student that is complete once its token scores are fitted."""
        student.eval()
        texts = self._texts(student.config.architecture)
        found = predict(student, texts.dev_rows, pad_id=self.teacher.pad_id).argmax(axis=1)
        share = float((found == self.dev.labels).mean())
        seconds = time.perf_counter() - start
        epoch = Epoch(1, loss, share, seconds)
        return DistillationResult(student, epoch, seconds, (epoch,))

    def cache_size(self) -> int:
        """Return the bytes of disk that the teacher outputs for ``train`` will still take.

        With ``teacher_reads="encoded"``, every encoding takes as much again.
        """
        if not self.losses.needs:
            return 0
        return self.teacher.cache_size(self.train, self.losses.wanted)

    def _texts(self, genome: Genome) -> StudentTexts:
        return self._reading(genome).texts

    def _reading(self, genome: Genome) -> Reading:
        """Return what students with the genome's encodings share.

        Called before all else, because it drops what was made of the teacher before it changed.
        """
        fingerprint = self.teacher.fingerprint
        if self._made_from != fingerprint:
            for name in vars(self).keys() - state_without_cached(self).keys():
                del vars(self)[name]
            if self._made_from is not None:
                self._positions = replace(self._positions)
            self._made_from = fingerprint
        reading = self._readings.get(genome.encodings)
        if reading is None:
            parts = [(part.name, part.parameters) for part in genome.encodings]
            texts = StudentTexts(
                self.teacher,
                self.train,
                self.dev,
                self._fitted(parts) if parts else None,
                self.losses.wanted if self.losses.needs else None,
                self.teacher_reads,
                self.progress,
                self.positions,
            )
            robust = RobustTraining(self.augmentation, self.adversary, self.perturbation)
            reading = Reading(texts, robust, self._labels)
            for oldest in list(self._readings)[: 1 - kept_readings(len(self.train))]:
                self._readings.pop(oldest, None)  # another thread may have done so
            self._readings[genome.encodings] = reading
        return reading

    def _fitted(self, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> Encoding | None:
        teacher = self.teacher
        logits = torch.from_numpy(teacher.logits(self.train, progress=self.progress).copy())
        evidence = Evidence(
            self.train,
            tokenizer=plain_tokenizer(teacher.tokenizer),
            answers=logits.softmax(dim=1).numpy(),
            exchanges=self.exchanges,
        )
        return fitted_chain(parts, evidence, cache_dir=teacher.cache_dir)

    @property
    def _labels(self) -> np.ndarray | None:
        return self.train.labels if self.losses.needs_labels else None

    # The following are made once per process and not pickled; see __getstate__.

    @cached_property
    def _readings(self) -> dict[tuple[TextEncoding, ...], Reading]:
        return {}

    @cached_property
    def _teacher_accuracy(self) -> float:
        return self.teacher.accuracy(self.dev, progress=self.progress)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.teacher.tokenizer, size=len(self.teacher.embedding.tokens))

    @cached_property
    def _nearest(self) -> EmbeddingNearestWords:
        return EmbeddingNearestWords(self._vocabulary, self.teacher.embedding.tokens)

    def __getstate__(self) -> dict[str, Any]:
        return state_without_cached(self)
