"""How far a candidate is trained and attacked, and what is kept from one rung to the next."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosearch.attack import RobustnessEvaluator, RobustnessReport
from rosearch.attack.engine.engine import check_some_ran
from rosearch.attack.report.summary import join_attacks, join_examples, summarise
from rosearch.caching import share
from rosearch.distill import Distiller
from rosearch.distill.training.checkpoints import weights_digest
from rosearch.errors import DataError
from rosearch.student import StudentForSequenceClassification


@dataclass(frozen=True)
class Rung:
    """How far a candidate has been evaluated when it has finished a rung.

    Args:
        epochs: Epochs trained, those of the rungs below counted; ``None``: all of the distiller's.
        examples: Examples attacked, those of the rungs below counted; ``None``: all of the
            evaluator's.
        attacks: Names of the attacks that have been run; ``None``: all of the evaluator's.
    """

    epochs: int | None = None
    examples: int | None = None
    attacks: Sequence[str] | None = None


def checked(
    rungs: Sequence[Rung], distiller: Distiller, attacker: RobustnessEvaluator
) -> tuple[Rung, ...]:
    """``rungs`` with every number and name filled in.

    Raises:
        DataError: A rung asks for less than the one below or for what there is not, or the last
            is not the whole evaluation.
    """
    epochs, examples = distiller.optimization.epochs, len(attacker.indices)
    names = tuple(attack.name for attack in attacker.attacks)
    below = Rung(1, 1, ())
    plan: list[Rung] = []
    for place, rung in enumerate(rungs):
        if not isinstance(rung, Rung):
            raise DataError(f"rungs[{place}]: expected a Rung, got {rung!r}.")
        wanted = names if rung.attacks is None else tuple(rung.attacks)
        unknown = [name for name in wanted if name not in names]
        if isinstance(rung.attacks, str) or unknown or not wanted:
            raise DataError(
                f"rungs[{place}].attacks={rung.attacks!r}: expected some of the evaluator's "
                f"attacks, {names}."
            )
        full = Rung(
            epochs if rung.epochs is None else rung.epochs,
            examples if rung.examples is None else rung.examples,
            tuple(name for name in names if name in wanted),
        )
        _check("epochs", place, full.epochs, below.epochs, epochs)
        _check("examples", place, full.examples, below.examples, examples)
        missing = [name for name in below.attacks or () if name not in wanted]
        if missing:
            raise DataError(
                f"rungs[{place}] leaves out the attack {missing[0]!r} of the rung below."
            )
        plan.append(full)
        below = full
    if plan and plan[-1] != Rung(epochs, examples, names):
        raise DataError(
            f"The last rung must be the whole evaluation: epochs={epochs}, examples={examples}, "
            f"attacks={names}; got {plan[-1]}. Rung() is short for it."
        )
    return tuple(plan)


def _check(name: str, place: int, value: Any, least: Any, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise DataError(
            f"rungs[{place}].{name}={value!r}: expected a whole number from {least}, where the "
            f"rung below ends, to {most}, which is all."
        )


class Work:
    """The files of one candidate between two rungs.

    What is missing or belongs to other weights is made again, so that results do not depend on
    which machine has the files.

    Args:
        folder: The candidate's own.
        attacker: The whole evaluation.
    """

    def __init__(self, folder: Path, attacker: RobustnessEvaluator) -> None:
        self.folder = folder
        self._attacker = attacker

    def checkpoint(self, rung: int, parent: StudentForSequenceClassification | None = None) -> Path:
        """Where training up to ``rung`` puts its state; that of the rung below to begin with.

        Each rung has its own file, so that a rung can be repeated while a higher one is under way.

        Args:
            rung: The rung.
            parent: Whose weights are inherited. A file belongs to these very weights: on another
                machine the parent may have come out differently in the last bits.
        """
        own, below = self._training(rung, parent), self._training(rung - 1, parent)
        if not own.exists() and below.exists():
            scratch = own.with_suffix(f".{os.getpid()}.tmp")
            shutil.copyfile(below, scratch)
            scratch.replace(own)
        return own

    def attack(
        self, student: StudentForSequenceClassification, rung: Rung
    ) -> tuple[RobustnessReport, dict[str, RobustnessReport]]:
        """Attack on from where the rung below has stopped, if the student is still the same.

        Args:
            student: The victim.
            rung: With every number and name filled in.

        Returns:
            The report on the rung's examples and attacks, and that on each attack, for
            :meth:`store`.

        Raises:
            EvaluationError: An attack fails on every example.
        """
        count, names = rung.examples or 0, tuple(rung.attacks or ())
        done = self._reports(weights_digest(student.state_dict()))
        victim = self._attacker.victim(student)
        settings = self._attacker.part(0, count, attacks=names).settings
        reports = {}
        for name in names:
            parts = [_first(done[name], count)] if name in done else []
            have = parts[0].n if parts else 0
            if have < count:
                rest = self._attacker.part(have, count, attacks=[name])
                parts.append(rest.evaluate(victim, all_may_fail=True).attacks[name])
            own = {**settings, "attacks": parts[0].settings["attacks"]}
            reports[name] = join_examples(parts, own)
            check_some_ran(name, reports[name].examples)
        return join_attacks(reports, settings), reports

    def store(
        self,
        student: StudentForSequenceClassification,
        reports: Mapping[str, RobustnessReport],
        *,
        rung: int,
        seconds: float,
        parent: StudentForSequenceClassification | None = None,
    ) -> float:
        """Keep the reports for the next rung, and drop the training of the rung below.

        Args:
            student: As it is after the rung.
            reports: From :meth:`attack`.
            rung: The rung that is done.
            seconds: Time that it took.
            parent: As for :meth:`checkpoint`.

        Returns:
            Time that this rung and those below took, as far as their files are here. Of a rung that
            was repeated the longest time counts, as the others found its files.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        taken = self._read().get("rung_seconds", {})
        taken[str(rung)] = max(seconds, taken.get(str(rung), 0.0))
        data = {
            "student": weights_digest(student.state_dict()),
            "rung_seconds": taken,
            "reports": {name: report.to_json() for name, report in reports.items()},
        }
        scratch = self._results.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps(data), encoding="utf-8")
        share(scratch)
        scratch.replace(self._results)
        self._training(rung - 1, parent).unlink(missing_ok=True)
        return float(sum(taken.get(str(below), 0.0) for below in range(rung + 1)))

    def remove(self) -> None:
        """Delete the files, if there are any."""
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

    def _reports(self, student: str) -> dict[str, RobustnessReport]:
        found = self._read()
        if found.get("student") != student:
            return {}
        return {name: RobustnessReport.from_json(text) for name, text in found["reports"].items()}


def _first(report: RobustnessReport, count: int) -> RobustnessReport:
    """The report on the first ``count`` of its examples."""
    if report.n <= count:
        return report
    return summarise(
        report.examples[:count],
        forward_rows=report.forward_rows,
        seconds=report.seconds,
        settings=report.settings,
    )
