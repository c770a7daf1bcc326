"""Genome in, numbers out: the one place that composes distillation and attack."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosearch.attack import RobustnessEvaluator
from rosearch.caching import share
from rosearch.distill import Distiller
from rosearch.errors import DataError
from rosearch.pipeline.rungs import Rung, Work, checked
from rosearch.quiet import quiet_transformers
from rosearch.scratch import ScratchFolder, remove_old
from rosearch.space import Genome, LatencyTable, Task, genome_cost
from rosearch.space.cost.additive import parts
from rosearch.student import StudentForSequenceClassification, latency

if TYPE_CHECKING:
    from rosearch.evolve import Parent

_SAVING = ".student-"
"""How the names of folders begin in which students are while they are saved."""


class Pipeline:
    """Distils a genome's student, attacks it, and measures what it costs.

    Picklable, so that it is the unit of work of a distributed search.

    Args:
        distiller: Trains the students.
        attacker: Attacks them.
        students: Folder where trained students are kept, one folder a candidate; ``None`` keeps
            none, and :meth:`load` trains again, to the same weights. With rungs or inheritance it
            also has what a search needs while it runs, which else is in a temporary folder of the
            machine.
        rungs: How far candidates are evaluated before it is decided who goes on; the last is the
            whole evaluation. Training goes on from the rung below, and so does the attack where
            more training has not changed the student, so the last rung gives what an evaluation
            without rungs gives. Default: one rung, the whole.
        inherit: Whether students begin with the weights of a parent, see
            :func:`rosearch.student.inherit`; a search then chooses the parents.
        latencies: Makes ``latency`` the table's estimate, the same everywhere and known before
            training, so that limits hold there. Default: it is measured.
        keep_all: Whether students stay that a search no longer needs; else only those of its
            front and its best do.
        length: Tokens of the text for which FLOPs and latency are measured.

    Raises:
        DataError: Distiller and attacker differ in the number of classes, or the rungs do not go
            up to the whole evaluation.
        ValueError: ``length`` is more than the students read, or not that of ``latencies``.
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
        if latencies is not None and latencies.length != length:
            raise ValueError(
                f"latencies are for {latencies.length} tokens and length={length}; measure them "
                f"with the same length."
            )
        self.plan = checked(rungs, distiller, attacker)
        self.inherits = bool(inherit)
        self.latencies = latencies
        self.distiller = distiller
        self.attacker = attacker
        self.students = None if students is None else Path(students)
        self.keep_all = keep_all
        self.length = length
        self._scratch = ScratchFolder() if self.plan or self.inherits else None
        for place, rung in enumerate(self.plan):
            if (rung.epochs or 0) < distiller.first_counted:
                warnings.warn(
                    f"rungs[{place}] ends after epochs={rung.epochs}, and robust training has set "
                    f"in from epoch {distiller.first_counted} on (Distiller.first_counted): its "
                    f"students are judged before they are hardened. Train longer there, or let "
                    f"robust training begin earlier.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    @property
    def rungs(self) -> int:
        """How many rungs an evaluation has."""
        return max(1, len(self.plan))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what a genome scores, as plain values."""
        settings: dict[str, Any] = {
            "distiller": self.distiller.settings,
            "attacker": dict(self.attacker.settings),
            "length": self.length,
        }
        if self.plan:
            settings["rungs"] = [asdict(rung) for rung in self.plan]
        if self.inherits:
            settings["inherit"] = True
        if self.latencies is not None:
            settings["latencies"] = self.latencies.to_dict()
        return settings

    def __call__(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> dict[str, float]:
        """Evaluate one candidate.

        Args:
            genome: The architecture.
            seed: Fixes the student's initial weights, order and dropout. The attack has a seed of
                its own, so that all candidates face the same one.
            rung: How far, from 0; ``None`` for the whole evaluation. :meth:`finish` removes what is
                kept for the next rung.
            parent: The candidate whose weights it inherits, which is trained again, and kept, if
                its student is not.

        Returns:
            ``accuracy`` on the distiller's dev examples; ``accuracy_under_attack``, the same of the
            class that fares worst as ``worst_class_under_attack`` (0 if one has no attacked
            example), ``attack_success_rate`` and
            ``mean_queries`` on the attacker's examples, where an example that ends in an error
            counts as broken; the three of :meth:`cost`; ``latency``
            of one forward pass over one text of ``length`` tokens in seconds, the median of 20 or
            the estimate of ``latencies``; ``seconds`` for all of this, the rungs below included.

        Raises:
            EvaluationError: The student cannot be trained or attacked.
            ValueError: There is no such rung.
        """
        start = time.perf_counter()
        origin = self._origin(parent)
        if rung is None:
            result = self.distiller.distill(genome, seed=seed, parent=origin)
            report = self.attacker.evaluate(result.student)
        else:
            step = self._step(rung)
            work = self._work(genome, seed, parent)
            result = self.distiller.distill(
                genome,
                seed=seed,
                epochs=step.epochs,
                checkpoint=work.checkpoint(rung, origin),
                parent=origin,
            )
            report, reports = work.attack(result.student, step)
        student = result.student
        metrics = {
            "accuracy": result.accuracy,
            # The worse bound: a student must not gain by failing when it is attacked.
            "accuracy_under_attack": report.accuracy_under_attack_bounds.low,
            "worst_class_under_attack": report.worst_class(self.attacker.classes),
            "attack_success_rate": report.attack_success_rate_bounds.high,
            "mean_queries": report.mean_queries,
            "latency": 0.0,
            **self.cost(genome),
        }
        if self.latencies is None:
            metrics["latency"] = latency(student, length=self.length)
        if self.students is not None or self.inherits:
            self._keep(student, self._folder(genome, seed, rung, parent))
        seconds = time.perf_counter() - start
        if rung is not None:
            seconds = work.store(student, reports, rung=rung, seconds=seconds, parent=origin)
            if rung > 0:
                shutil.rmtree(self._folder(genome, seed, rung - 1, parent), ignore_errors=True)
        return {**metrics, "seconds": seconds}

    def cost(self, genome: Genome) -> dict[str, float]:
        """What is known of a candidate before it is trained.

        Returns:
            ``parameters``; ``compression``, the teacher's parameters over the student's; ``flops``
            of one forward pass over one text of ``length`` tokens, by torch's counter; ``latency``
            where there are ``latencies``.
        """
        # Not of the whole student: a search asks for every genome that it draws.
        cost = genome_cost(genome, Task.of(self.distiller.teacher, length=self.length))
        known = {
            "parameters": float(cost.parameters),
            "compression": self.distiller.teacher.parameters / cost.parameters,
            "flops": float(cost.flops),
        }
        if self.latencies is not None:
            items = parts(genome)
            known["latency"] = float(sum(self.latencies.of(*item) for item in items))
        return known

    def folder(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> Path:
        """Where the candidate's student is kept.

        Raises:
            ValueError: No students are kept.
        """
        if self.students is None:
            raise ValueError("This Pipeline keeps no students; make it with students=FOLDER.")
        return self._folder(genome, seed, rung, parent)

    def where(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> Path | None:
        """Where the candidate's student is kept, from the root; ``None`` where none is for good."""
        return (
            None if self.students is None else self._folder(genome, seed, rung, parent).absolute()
        )

    def load(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> StudentForSequenceClassification:
        """The candidate's student: from its folder where it is kept, else trained again.

        Args:
            genome: The architecture.
            seed: Of its evaluation.
            rung: How far it was evaluated.
            parent: The candidate whose weights it inherited; trained again, too, if need be, and
                then kept, as it may have more children.
        """
        if self.students is not None or self.inherits:
            folder = self._folder(genome, seed, rung, parent)
            if folder.is_dir():
                with quiet_transformers():
                    student: Any = StudentForSequenceClassification.from_pretrained(folder)
                return student.to(self.distiller.device).eval()  # type: ignore[no-any-return]
        origin = self._origin(parent)
        epochs = None if rung is None else self._step(rung).epochs
        return self.distiller.distill(genome, seed=seed, epochs=epochs, parent=origin).student

    def _origin(self, parent: Parent | None) -> StudentForSequenceClassification | None:
        if parent is None:
            return None
        student = self.load(parent.genome, **parent.arguments)
        if self.inherits:
            folder = self._folder(parent.genome, **parent.arguments)
            if not folder.is_dir():
                self._keep(student, folder, replace=False)  # others may have begun to read one
        return student

    def discard(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> None:
        """Delete the candidate's kept student, if there is one, unless all are kept."""
        if (self.students is not None or self.inherits) and not self.keep_all:
            folder = self._folder(genome, seed, rung, parent)
            shutil.rmtree(folder, ignore_errors=True)

    def finish(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> None:
        """Delete what was kept of the candidate for its next rung; it has ended."""
        if self.plan:
            self._work(genome, seed, parent).remove()

    def _step(self, rung: int) -> Rung:
        if not 0 <= rung < len(self.plan):
            raise ValueError(f"rung={rung!r}: this Pipeline has rungs 0 to {len(self.plan) - 1}.")
        return self.plan[rung]

    @property
    def _home(self) -> Path:
        if self.students is not None:
            return self.students
        if self._scratch is None:
            raise ValueError("This Pipeline has neither rungs nor inheritance nor students=FOLDER.")
        return self._scratch.path

    def _work(self, genome: Genome, seed: int, parent: Parent | None) -> Work:
        return Work(self._home / ".work" / self._name(genome, seed, parent), self.attacker)

    def _folder(
        self, genome: Genome, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> Path:
        name = self._name(genome, seed, parent)
        is_whole = rung is None or rung == len(self.plan) - 1
        return self._home / (name if is_whole else f"{name}-{rung}")

    def _name(self, genome: Genome, seed: int, parent: Parent | None) -> str:
        # Pipelines that train differently may share the folder.
        made_by = json.dumps(self.settings)
        if parent is not None:
            # What is inherited depends on the names of the nodes, which are no part of the key.
            made_by += genome.to_json()
        while parent is not None:
            made_by += f"{parent.genome.to_json()} {parent.seed} {parent.rung}"
            parent = parent.parent
        digest = hashlib.blake2b(made_by.encode(), digest_size=4).hexdigest()
        return f"{genome.key}-{seed}-{digest}"

    def _keep(
        self, student: StudentForSequenceClassification, folder: Path, *, replace: bool = True
    ) -> None:
        # Saved beside its place and moved there, so that a killed process leaves no half student.
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_old(folder.parent, _SAVING)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_SAVING))
        try:
            with quiet_transformers():
                student.save_pretrained(scratch / "new")
            share(scratch / "new")
            if replace:
                with contextlib.suppress(OSError):  # mostly there is none
                    folder.rename(scratch / "old")
            (scratch / "new").rename(folder)
        except OSError as error:
            # Another process has put the same student there meanwhile.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
