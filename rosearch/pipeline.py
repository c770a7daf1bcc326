"""Genome in, numbers out: the one place that composes distillation and attack."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from rosearch.attack import RobustnessEvaluator
from rosearch.caching import share
from rosearch.distill import Distiller
from rosearch.errors import DataError
from rosearch.quiet import quiet_transformers
from rosearch.space import Genome
from rosearch.student import StudentForSequenceClassification, latency, student_cost


class Pipeline:
    """Distils a genome's student, attacks it, and measures what it costs.

    Picklable, so that it is the unit of work of a distributed search.

    Args:
        distiller: Trains the students.
        attacker: Attacks them.
        students: Folder where trained students are kept, one folder a candidate; ``None`` keeps
            none, and :meth:`load` trains again, to the same weights.
        keep_all: Whether students stay that a search no longer needs; else only those of its
            front and its best do.
        length: Tokens of the text for which FLOPs and latency are measured.

    Raises:
        DataError: Distiller and attacker differ in the number of classes.
        ValueError: ``length`` is more than the students read.
    """

    def __init__(
        self,
        distiller: Distiller,
        attacker: RobustnessEvaluator,
        *,
        students: str | os.PathLike[str] | None = None,
        keep_all: bool = False,
        length: int = 32,
    ) -> None:
        if not 1 <= length <= distiller.teacher.max_length:
            raise ValueError(
                f"length={length!r}: students read 1 to {distiller.teacher.max_length} tokens, as "
                f"their teacher does."
            )
        if attacker.classes != distiller.teacher.num_labels:
            raise DataError(
                f"The teacher tells {distiller.teacher.num_labels} classes apart, the attacker's "
                f"examples have {attacker.classes}."
            )
        self.distiller = distiller
        self.attacker = attacker
        self.students = None if students is None else Path(students)
        self.keep_all = keep_all
        self.length = length

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what a genome scores, as plain values."""
        return {
            "distiller": self.distiller.settings,
            "attacker": dict(self.attacker.settings),
            "length": self.length,
        }

    def __call__(self, genome: Genome, *, seed: int) -> dict[str, float]:
        """Evaluate one candidate.

        Args:
            genome: The architecture.
            seed: Fixes the student's initial weights, order and dropout. The attack has a seed of
                its own, so that all candidates face the same one.

        Returns:
            ``accuracy`` on the distiller's dev examples; ``accuracy_under_attack``,
            ``attack_success_rate`` and ``mean_queries`` on the attacker's examples, where an
            example that ends in an error counts as broken; the three of :meth:`cost`; ``latency``
            of one forward pass over one text of ``length`` tokens in seconds, the median of 20;
            ``seconds`` for all of this.

        Raises:
            EvaluationError: The student cannot be trained or attacked.
        """
        start = time.perf_counter()
        result = self.distiller.distill(genome, seed=seed)
        student = result.student
        report = self.attacker.evaluate(student)
        metrics = {
            "accuracy": result.accuracy,
            # The worse bound: a student must not gain by failing when it is attacked.
            "accuracy_under_attack": report.accuracy_under_attack_bounds.low,
            "attack_success_rate": report.attack_success_rate_bounds.high,
            "mean_queries": report.mean_queries,
            **self.cost(genome),
            "latency": latency(student, length=self.length),
        }
        if self.students is not None:
            self._keep(student, self.folder(genome, seed=seed))
        return {**metrics, "seconds": time.perf_counter() - start}

    def cost(self, genome: Genome) -> dict[str, float]:
        """What is known of a candidate before it is trained.

        Returns:
            ``parameters``; ``compression``, the teacher's parameters over the student's; ``flops``
            of one forward pass over one text of ``length`` tokens, by torch's counter.
        """
        cost = student_cost(self.distiller.config(genome), length=self.length)
        return {
            "parameters": float(cost["parameters"]),
            "compression": self.distiller.teacher.parameters / cost["parameters"],
            "flops": float(cost["flops"]),
        }

    def folder(self, genome: Genome, *, seed: int) -> Path:
        """Where the candidate's student is kept.

        Raises:
            ValueError: No students are kept.
        """
        if self.students is None:
            raise ValueError("This Pipeline keeps no students; make it with students=FOLDER.")
        # Pipelines that train differently may share the folder.
        digest = hashlib.blake2b(json.dumps(self.settings).encode(), digest_size=4).hexdigest()
        return self.students / f"{genome.key}-{seed}-{digest}"

    def load(self, genome: Genome, *, seed: int) -> StudentForSequenceClassification:
        """The candidate's student: from its folder where it is kept, else trained again."""
        if self.students is not None and self.folder(genome, seed=seed).is_dir():
            folder = self.folder(genome, seed=seed)
            with quiet_transformers():
                student: Any = StudentForSequenceClassification.from_pretrained(folder)
            return student.to(self.distiller.device).eval()  # type: ignore[no-any-return]
        return self.distiller.distill(genome, seed=seed).student

    def discard(self, genome: Genome, *, seed: int) -> None:
        """Delete the candidate's kept student, if there is one, unless all are kept."""
        if self.students is not None and not self.keep_all:
            shutil.rmtree(self.folder(genome, seed=seed), ignore_errors=True)

    def _keep(self, student: StudentForSequenceClassification, folder: Path) -> None:
        # Saved beside its place and moved there, so that a killed process leaves no half student.
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".student-"))
        try:
            with quiet_transformers():
                student.save_pretrained(scratch)
            share(scratch)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
