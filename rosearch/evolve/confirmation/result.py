"""What a confirmation found, and the file that keeps it while it is under way."""

from __future__ import annotations

import importlib
import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from rosearch.caching import share
from rosearch.errors import MissingResourceError, StorageError, StudyMismatchError
from rosearch.evolve.study.settings import differences
from rosearch.evolve.study.trials import Failure
from rosearch.space import Genome

_FORMAT = 1
_SHOWN = (
    "accuracy",
    "accuracy_under_attack",
    "worst_class_under_attack",
    "attack_success_rate",
    "compression",
)
"""Metrics that the table shows first, where they are there."""
_COLUMNS = 6


@dataclass(frozen=True)
class ConfirmedRun:
    """One training and attack.

    Attributes:
        seed: Its seed.
        metrics: What the evaluation gave; empty if it failed.
        failure: Why it failed; ``None`` if it did not.
        seconds: Time it took.
    """

    seed: int
    metrics: Mapping[str, float]
    failure: Failure | None
    seconds: float


@dataclass(frozen=True)
class Confirmed:
    """One candidate, evaluated several times.

    Attributes:
        name: ``"candidate 12"`` for trial 12 of the search, else the name that was given.
        genome: The architecture.
        runs: One a seed, failed ones included.
        number: The trial's number in the search; ``None`` for a genome that was given.
        searched: Its metrics in the search; empty for a genome that was given.
        feasible: How many runs keep the constraints of the search's fitness; ``None`` where it has
            none, or the evaluation lacks their metrics.
    """

    name: str
    genome: Genome = field(repr=False)
    runs: tuple[ConfirmedRun, ...]
    number: int | None
    searched: Mapping[str, float]
    feasible: int | None = None

    @cached_property
    def mean(self) -> dict[str, float]:
        """Mean of every metric over the runs that did not fail; empty where all did.

        NaN for a metric that one of them lacks, or that is not finite in one.
        """
        return self._over_runs(statistics.fmean)

    @cached_property
    def std(self) -> dict[str, float]:
        """Standard deviation of every metric over those runs (n - 1); NaN for a single run."""
        return self._over_runs(lambda v: statistics.stdev(v) if len(v) > 1 else math.nan)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Why runs failed."""
        return tuple(run.failure for run in self.runs if run.failure is not None)

    def _over_runs(self, statistic: Callable[[list[float]], float]) -> dict[str, float]:
        good = [run.metrics for run in self.runs if run.failure is None]
        values = {
            name: [row.get(name, math.nan) for row in good]
            for name in dict.fromkeys(name for row in good for name in row)
        }
        return {
            name: statistic(row) if all(map(math.isfinite, row)) else math.nan
            for name, row in values.items()
        }


@dataclass(frozen=True)
class Confirmation:
    """All candidates of a confirmation, the search's first; print it for a table.

    Attributes:
        study: Name of the search's study.
        candidates: From the best of the search on, then the genomes that were given.
    """

    study: str
    candidates: tuple[Confirmed, ...]

    def __getitem__(self, name: str) -> Confirmed:
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        raise KeyError(f"{name!r}; there are {', '.join(c.name for c in self.candidates)}.")

    def to_pandas(self) -> Any:
        """One row a run as a ``pandas.DataFrame``, its metrics in columns ``metric_NAME``.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        try:
            pd = importlib.import_module("pandas")
        except ImportError as error:
            raise MissingResourceError(
                "to_pandas() needs pandas, which is not installed: pip install pandas"
            ) from error
        return pd.DataFrame(
            {
                "name": candidate.name,
                "number": candidate.number,
                "key": candidate.genome.key,
                "seed": run.seed,
                "seconds": run.seconds,
                "failure": str(run.failure) if run.failure else None,
                **{f"metric_{name}": value for name, value in run.metrics.items()},
            }
            for candidate in self.candidates
            for run in candidate.runs
        )

    def table(self, metrics: Sequence[str] | None = None) -> str:
        """Mean ± standard deviation as text, one row a candidate.

        Args:
            metrics: Columns. Default: accuracy, accuracy under attack, that of the worst class,
                attack success rate and compression where they are there, else the first six.
        """
        there = list(dict.fromkeys(name for c in self.candidates for name in c.mean))
        if metrics is None:
            first = [name for name in _SHOWN if name in there]
            metrics = (first or there)[:_COLUMNS]
        constrained = any(c.feasible is not None for c in self.candidates)
        rows = [["", "runs", *(["feasible"] if constrained else []), *metrics]]
        for c in self.candidates:
            done = len(c.runs) - len(c.failures)
            cells = [_cell(c.mean.get(n, math.nan), c.std.get(n, math.nan)) for n in metrics]
            kept = "-" if c.feasible is None else f"{c.feasible}/{done}"
            rows.append([c.name, f"{done}/{len(c.runs)}", *([kept] if constrained else []), *cells])
        return as_text(rows)

    def __str__(self) -> str:
        failed = [f"{c.name}: {failure}" for c in self.candidates for failure in c.failures]
        head = f"Confirmation of {self.study!r}, mean ± standard deviation over seeds"
        return "\n".join([head, self.table(), *(f"failed: {line}" for line in failed)])


class ConfirmationFile:
    """Finished runs by the genome's key and the seed, in a file that is replaced as a whole.

    Args:
        path: The file; ``None`` keeps them in memory.
        settings: Everything that the runs depend on, as plain data.

    Raises:
        StorageError: The file is there and holds something else.
        StudyMismatchError: It was made with other settings.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = dict(settings)
        self.runs: dict[tuple[str, int], ConfirmedRun] = {}
        if path is not None and path.is_dir():
            raise StorageError(f"{path} is a folder. Name a file with storage=.")
        if path is not None and path.exists():
            self.runs = self._read(path)

    def add(self, key: str, run: ConfirmedRun) -> None:
        """Keep a finished run of the genome with that key."""
        self.runs[key, run.seed] = run
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            # Another process may have added to it.
            for place, other in (self._read(self._path) if self._path.exists() else {}).items():
                if place not in self.runs or other.failure is None:
                    self.runs[place] = other
            self._write(self._path)

    def _write(self, path: Path) -> None:
        data = {
            "format": _FORMAT,
            "settings": self._settings,
            "runs": [{"key": key, **asdict(run)} for (key, _), run in self.runs.items()],
        }
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".confirm-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
            share(Path(scratch))
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise

    def _read(self, path: Path) -> dict[tuple[str, int], ConfirmedRun]:
        runs = {}
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']}, not {_FORMAT}")
            settings = dict(data["settings"])
            for row in data["runs"]:
                failure = Failure(**row["failure"]) if row["failure"] else None
                run = ConfirmedRun(row["seed"], row["metrics"], failure, row["seconds"])
                runs[row["key"], run.seed] = run
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{path} holds no confirmation of this version of rosearch ({error}). Name "
                f"another file with storage=."
            ) from error
        listed = "\n".join(f"  {line}" for line in differences(settings, self._settings))
        if listed:
            raise StudyMismatchError(
                f"The confirmation in {path} was made with other settings:\n{listed}\n"
                f"Name another file with storage=, or repeat the call that made it."
            )
        return runs


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cell(mean: float, std: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"
