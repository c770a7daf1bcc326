"""Genome in, metrics out: distil a student, then attack it."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosearch import checks
from rosearch.attack import RobustnessEvaluator
from rosearch.distill import Distiller
from rosearch.errors import ArgumentError, DataError
from rosearch.machine import free_memory, own_memory
from rosearch.pipeline.rungs import (
    Rung,
    attack_rung,
    complete_rungs,
    mean_metrics,
    training_seeds,
)
from rosearch.pipeline.store import StudentStore
from rosearch.space import Genome, LatencyTable, Task, genome_cost
from rosearch.space.cost.additive import parts
from rosearch.student import StudentForSequenceClassification, latency
from rosearch.threads import batches_at_once

if TYPE_CHECKING:
    from rosearch.evolve import Parent

_LEAST_MEMORY = 2**30
"""Bytes of a process that has loaded PyTorch and transformers, and trains a small student."""


class Pipeline:
    """Distil a genome's student, attack it, and measure what it costs.

    Picklable, so that it is the unit of work of a distributed search.

    Args:
        distiller: Trains the students.
        attacker: Attacks them.
        students: Folder for trained students, one folder a candidate. ``None`` keeps none, and
            :meth:`load` trains again, to the same weights. With rungs or inheritance it also holds
            what a search needs while it runs; without it, that is in a temporary folder.
        rungs: How far candidates are evaluated before it is decided which go on; the last rung is
            the whole evaluation. Training resumes from the rung below, and so does the attack
            where further training has not changed the student, so the last rung gives the metrics
            of an evaluation without rungs. Default: one rung.
        inherit: Whether students start from the weights of a parent, see
            :func:`rosearch.student.inherit`; a search then chooses the parents.
        latencies: Makes ``latency`` the table's estimate, the same on every machine and known
            before training, so that limits apply to it. Default: it is measured.
        keep_all: Whether to keep the students that a search no longer needs. Default: only those of
            its front and its best are kept.
        length: Tokens of the text for which FLOPs and latency are measured.
        clock: What ``seconds`` are counted by: ``time.perf_counter``, or ``time.process_time`` for
            those of the processor, which depend less on what else the machine does.

    Raises:
        DataError: Distiller and attacker differ in the number of classes.
        ArgumentError: ``length`` is more than the students read, or differs from that of
            ``latencies``; the rungs do not lead up to the whole evaluation; or training perturbs
            another text of pairs than is attacked.
    """

    def __init__(
        self,
        distiller: Distiller,
        attacker: RobustnessEvaluator,
        *,
        students: str | os.PathLike[str] | None = None,
        rungs: Sequence[Rung] = (),
        inherit: bool = False,
        latencies: LatencyTable | None = None,
        keep_all: bool = False,
        length: int = 32,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        teacher = distiller.teacher
        self.length = checks.whole_number("length", length, 1, distiller.positions)
        if attacker.classes != teacher.num_labels:
            raise DataError(
                f"The teacher has {teacher.num_labels} classes, the attacker's examples have "
                f"{attacker.classes}."
            )
        _check_sides(distiller, attacker)
        if latencies is not None and latencies.length != length:
            raise ArgumentError(
                f"latencies are for {latencies.length} tokens and length={length}; measure them "
                f"with the same length."
            )
        self.plan = complete_rungs(rungs, distiller, attacker)
        self.inherits = bool(inherit)
        self.latencies = latencies
        self.distiller = distiller
        self.attacker = attacker
        self.students = None if students is None else Path(students)
        self.keep_all = keep_all
        self.clock = clock
        self._saves_students = self.students is not None or self.inherits
        last = len(self.plan) - 1 if self.plan else None
        self._store = StudentStore(self.students, settings=self.settings, last_rung=last)
        for place, rung in enumerate(self.plan):
            if (rung.epochs or 0) < distiller.first_counted:
                warnings.warn(
                    f"rungs[{place}] ends after epochs={rung.epochs}, before adversarial training "
                    f"starts in epoch {distiller.first_counted} (Distiller.first_counted): its "
                    f"students are judged by plain training. Train longer there, or start "
                    f"adversarial training earlier.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    @property
    def rungs(self) -> int:
        """Number of rungs of an evaluation, from 1."""
        return max(1, len(self.plan))

    @property
    def processes(self) -> int:
        """Candidates to evaluate at a time, in processes of their own, if nobody says.

        On a CPU as many as have cores for their threads and memory (counted as much for each as
        this process takes, at least 1 GiB); else 1.
        """
        if self.distiller.device.type != "cpu":
            return 1
        count = batches_at_once() // (self.distiller.threads or 1)
        free = free_memory()
        if free is not None:
            count = min(count, free // max(_LEAST_MEMORY, own_memory() or 0))
        return max(1, count)

    @property
    def positions(self) -> int:
        """Positions of the students; see :attr:`rosearch.Distiller.positions`."""
        return self.distiller.positions

    @cached_property
    def _task(self) -> Task:
        return Task.of(self.distiller, length=self.length)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides a genome's metrics, as plain values."""
        settings: dict[str, Any] = {
            "distiller": self.distiller.settings,
            "attacker": dict(self.attacker.settings),
            "length": self.length,
        }
        if self.plan:
            settings["rungs"] = [rung.settings for rung in self.plan]
        if self.inherits:
            settings["inherit"] = True
        if self.latencies is not None:
            settings["latencies"] = self.latencies.to_dict()
        if self.clock is not time.perf_counter:
            settings["clock"] = getattr(self.clock, "__name__", type(self.clock).__name__)
        return settings

    def __call__(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> dict[str, float]:
        """Evaluate one candidate.

        Args:
            genome: The architecture.
            seed: Fixes the student's initial weights, data order and dropout. The attack has its
                own seed, so that all candidates face the same attack.
            rung: How far to evaluate, from 0; ``None`` for the whole evaluation. :meth:`finish`
                deletes what is kept for the next rung.
            parent: The candidate whose weights it inherits. If the parent's student is not stored,
                it is trained again and then stored.

        Returns:
            ``accuracy`` on the distiller's dev set; on the attacker's examples
            ``accuracy_under_attack``, ``worst_class_under_attack`` (the lowest rate of a class, 0
            if one has no attacked example), ``attack_success_rate`` and ``mean_queries``, where an
            example that ends in an error counts as a successful attack; ``certified``, if the
            attacker certifies: the share that no combination of the attacks' substitutions breaks;
            the values of :meth:`cost`; ``latency`` in seconds of one forward pass over one text of
            ``length`` tokens, the median of 20 or the estimate of ``latencies``; ``seconds`` by the
            clock, including the rungs below. Of several trainings (:class:`Rung`) the means, their
            number ``trainings``, and the standard deviations ``accuracy_std`` and
            ``accuracy_under_attack_std``.

        Raises:
            EvaluationError: The student cannot be trained or attacked.
            ArgumentError: There is no such rung.
        """
        seeds = training_seeds(seed, self._step(rung).trainings)
        # The one whose student is stored comes last: a candidate that fails leaves none.
        found = {
            one: self._training(genome, seed=one, rung=rung, parent=parent, is_stored=one == seed)
            for one in reversed(seeds)
        }
        return mean_metrics([found[one] for one in seeds])

    def _training(
        self, genome: Genome, *, seed: int, rung: int | None, parent: Parent | None, is_stored: bool
    ) -> dict[str, float]:
        """Train one student and attack it; the first of a candidate is the one that is stored."""
        start = self.clock()
        origin = self._parent_student(parent)
        if rung is None:
            result = self.distiller.distill(genome, seed=seed, parent=origin)
            student, report = result.student, self.attacker.evaluate(result.student)
        else:
            step = self._step(rung)
            files = self._store.rung_files(genome, seed=seed, parent=parent)
            result = self.distiller.distill(
                genome,
                seed=seed,
                epochs=step.epochs,
                checkpoint=files.checkpoint(rung, origin),
                parent=origin,
            )
            student = result.student
            report, reports = attack_rung(self.attacker, student, step, files.reports(student))
        student.record = student.record.attacked(report, "dev")
        metrics = {
            "accuracy": result.accuracy,
            # The worse bounds: a student must not gain by raising errors under attack.
            "accuracy_under_attack": report.accuracy_under_attack_bounds.low,
            "worst_class_under_attack": report.worst_class(self.attacker.classes),
            "attack_success_rate": report.attack_success_rate_bounds.high,
            "mean_queries": report.mean_queries,
            **({} if report.certified is None else {"certified": report.certified}),
            "latency": 0.0,
            **self.cost(genome),
        }
        if self.latencies is None:
            metrics["latency"] = latency(student, length=self.length)
        if self._saves_students and is_stored:
            folder = self._store.folder(genome, seed=seed, rung=rung, parent=parent)
            self._store.save(student, folder)
        seconds = self.clock() - start
        if rung is not None:
            seconds = files.store(student, reports, rung=rung, seconds=seconds, parent=origin)
            if rung > 0 and is_stored:
                below = self._store.folder(genome, seed=seed, rung=rung - 1, parent=parent)
                shutil.rmtree(below, ignore_errors=True)
        return {**metrics, "seconds": seconds}

    def cost(self, genome: Genome) -> dict[str, float]:
        """What is known of a candidate before it is trained.

        Returns:
            ``parameters``; ``compression``, the teacher's parameters over the student's; ``flops``
            of one forward pass over one text of ``length`` tokens, by torch's counter; ``latency``
            in seconds where there are ``latencies``.
        """
        # Not of the whole student: a search asks for every genome that it draws.
        cost = genome_cost(genome, self._task)
        known = {
            "parameters": float(cost.parameters),
            "compression": (self._task.reference_parameters or 0) / cost.parameters,
            "flops": float(cost.flops),
        }
        if self.latencies is not None:
            known["latency"] = float(sum(self.latencies.of(part) for part in parts(genome)))
        return known

    def where(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> Path | None:
        """Return the absolute folder of the candidate's student; ``None`` without ``students``."""
        if self.students is None:
            return None
        return self._store.folder(genome, seed=seed, rung=rung, parent=parent).absolute()

    def load(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> StudentForSequenceClassification:
        """The candidate's student: read from its folder, or trained again to the same weights.

        Args:
            genome: The architecture.
            seed: The seed of its evaluation.
            rung: How far it was evaluated.
            parent: The candidate whose weights it inherited. If its student has to be trained
                again, it is stored afterwards, as it may have more children.
        """
        if self._saves_students:
            folder = self._store.folder(genome, seed=seed, rung=rung, parent=parent)
            student = self._store.load(folder, self.distiller.device)
            if student is not None:
                return student
        origin = self._parent_student(parent)
        epochs = self._step(rung).epochs
        return self.distiller.distill(genome, seed=seed, epochs=epochs, parent=origin).student

    def discard(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> None:
        """Delete the candidate's stored student, unless all are kept."""
        if self._saves_students and not self.keep_all:
            folder = self._store.folder(genome, seed=seed, rung=rung, parent=parent)
            shutil.rmtree(folder, ignore_errors=True)

    def finish(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> None:
        """Delete what was kept for the candidate's next rung."""
        if self.plan:
            for one in training_seeds(seed, self.plan[-1].trainings):
                self._store.rung_files(genome, seed=one, parent=parent).remove()

    def _parent_student(self, parent: Parent | None) -> StudentForSequenceClassification | None:
        if parent is None:
            return None
        student = self.load(parent.genome, **parent.arguments)
        if self.inherits:
            folder = self._store.folder(parent.genome, **parent.arguments)
            if not folder.is_dir():
                self._store.save(student, folder, replace=False)
        return student

    def _step(self, rung: int | None) -> Rung:
        """The rung, for ``None`` the whole evaluation."""
        if rung is None:
            return self.plan[-1] if self.plan else Rung()
        if not 0 <= rung < len(self.plan):
            raise ArgumentError(
                f"rung={rung!r}: this Pipeline has rungs 0 to {len(self.plan) - 1}."
            )
        return self.plan[rung]


def _check_sides(distiller: Distiller, attacker: RobustnessEvaluator) -> None:
    """Check that training perturbs the text of a pair that is attacked."""
    if not distiller.train.is_pairs:
        return
    for name in ("augmentation", "adversary", "perturbation"):
        part = getattr(distiller, name)
        sides = set() if part is None else set(_sides(part.settings))
        if sides - {attacker.attacked_side}:
            raise ArgumentError(
                f"The {name} perturbs text {sides.pop()} of each pair, and the attacker attacks "
                f"text {attacker.attacked_side} (counted from 0). Give both the same "
                f"attacked_side."
            )


def _sides(settings: Any) -> Iterator[int]:
    """Yield what settings, and those of their parts, call ``attacked_side``."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if name == "attacked_side":
                yield value
            else:
                yield from _sides(value)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _sides(value)
