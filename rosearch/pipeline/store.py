"""Where students are kept: trained ones, and those between two rungs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rosearch.attack import RobustnessReport
from rosearch.caching import TemporaryFolder, new_folder, replace_text, replacing
from rosearch.distill.training.checkpoints import weights_digest
from rosearch.quiet import quiet_transformers
from rosearch.space import Genome
from rosearch.student import StudentForSequenceClassification

if TYPE_CHECKING:
    from rosearch.evolve import Parent


class StudentStore:
    """Folders of students, one for each genome, seed, parent and rung.

    Args:
        folder: Parent of all folders. ``None`` takes a temporary folder that is shared with copies
            of the store in other processes of the machine.
        settings: The pipeline's settings, as plain values. Pipelines that train differently may
            share ``folder``: a digest of the settings is part of every folder's name.
        last_rung: Number of the last rung, whose student is stored like that of a whole evaluation.
    """

    def __init__(
        self, folder: Path | None, *, settings: Mapping[str, Any], last_rung: int | None
    ) -> None:
        self._folder: Path | TemporaryFolder = folder or TemporaryFolder()
        self._settings = json.dumps(settings)
        self._last_rung = last_rung

    @property
    def root(self) -> Path:
        """The folder that holds all others."""
        return self._folder.path if isinstance(self._folder, TemporaryFolder) else self._folder

    def folder(
        self, genome: Genome, *, seed: int, rung: int | None = None, parent: Parent | None = None
    ) -> Path:
        """The student's folder, whether or not it exists."""
        name = self._name(genome, seed, parent)
        is_whole = rung is None or rung == self._last_rung
        return self.root / (name if is_whole else f"{name}-{rung}")

    def rung_files(self, genome: Genome, *, seed: int, parent: Parent | None = None) -> RungFiles:
        """What the candidate needs for its next rung."""
        return RungFiles(self.root / ".work" / self._name(genome, seed, parent))

    def load(self, folder: Path, device: torch.device) -> StudentForSequenceClassification | None:
        """The student in ``folder``, in eval mode; ``None`` where there is no such folder."""
        if not folder.is_dir():
            return None
        with quiet_transformers():
            student: Any = StudentForSequenceClassification.from_pretrained(folder)
        return student.to(device).eval()  # type: ignore[no-any-return]

    def save(
        self, student: StudentForSequenceClassification, folder: Path, *, replace: bool = True
    ) -> None:
        """Save a student; a process that is killed meanwhile leaves no incomplete folder.

        Args:
            student: The student, with its tokenizer.
            folder: Its folder.
            replace: Whether to replace a folder that exists. Another process may be reading it.
        """
        with new_folder(folder) as draft:
            with quiet_transformers():
                student.save_pretrained(draft, picture=False)
            if replace:
                with contextlib.suppress(OSError):  # usually there is none
                    folder.rename(draft.with_name("old"))

    def _name(self, genome: Genome, seed: int, parent: Parent | None) -> str:
        made_by = self._settings
        if parent is not None:
            # What is inherited depends on the names of the nodes, which are no part of the key.
            made_by += genome.to_json()
        while parent is not None:
            made_by += f"{parent.genome.to_json()} {parent.seed} {parent.rung}"
            parent = parent.parent
        digest = hashlib.blake2b(made_by.encode(), digest_size=4).hexdigest()
        return f"{genome.key}-{seed}-{digest}"


class RungFiles:
    """The files of one candidate between two rungs: training state and reports.

    A file that is missing, or belongs to other weights, is made again, so results do not depend on
    which machine has the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self, rung: int, parent: StudentForSequenceClassification | None = None) -> Path:
        """The file for the training state at ``rung``, which starts as that of the rung below.

        Each rung has its own file, so that a rung can be repeated while a higher one is running.
        With a ``parent`` the file belongs to its exact weights: trained on another machine, they
        may differ in the last bits.
        """
        own, below = self._training(rung, parent), self._training(rung - 1, parent)
        if not own.exists() and below.exists():
            with replacing(own) as copy:
                shutil.copyfile(below, copy)
        return own

    def reports(self, student: StudentForSequenceClassification) -> dict[str, RobustnessReport]:
        """The report on each attack, by name, from the rung below; none if the student changed."""
        found = self._read()
        if found.get("student") != weights_digest(student.state_dict()):
            return {}
        return {name: RobustnessReport.from_json(text) for name, text in found["reports"].items()}

    def store(
        self,
        student: StudentForSequenceClassification,
        reports: Mapping[str, RobustnessReport],
        *,
        rung: int,
        seconds: float,
        parent: StudentForSequenceClassification | None = None,
    ) -> float:
        """Keep the reports for the next rung, and delete the training state of the rung below.

        Args:
            student: The student after the rung.
            reports: The report on each attack, by name.
            rung: Number of the finished rung.
            seconds: Wall time of this rung alone.
            parent: As for :meth:`checkpoint`.

        Returns:
            Seconds of this rung and those below, as far as their files exist. Of a repeated rung
            the longest time counts: the repetitions found its files.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        taken = self._read().get("rung_seconds", {})
        taken[str(rung)] = max(seconds, taken.get(str(rung), 0.0))
        data = {
            "student": weights_digest(student.state_dict()),
            "rung_seconds": taken,
            "reports": {name: report.to_json() for name, report in reports.items()},
        }
        replace_text(self._results, json.dumps(data))
        self._training(rung - 1, parent).unlink(missing_ok=True)
        return float(sum(taken.get(str(below), 0.0) for below in range(rung + 1)))

    def remove(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not there, or other candidates have files in it
            self.folder.parent.rmdir()

    @property
    def _results(self) -> Path:
        return self.folder / "attacks.json"

    def _training(self, rung: int, parent: StudentForSequenceClassification | None) -> Path:
        weights = "" if parent is None else f"-{weights_digest(parent.state_dict())}"
        return self.folder / f"training-{rung}{weights}.safetensors"

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._results.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}
