"""The file that keeps the finished runs of a confirmation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from rosearch.caching import replace_text
from rosearch.differences import differences
from rosearch.errors import StorageError, StudyMismatchError
from rosearch.evolve.confirmation.result import ConfirmedRun
from rosearch.evolve.study.trials import Failure

_FORMAT = 1


class ConfirmationFile:
    """Finished runs by the genome's key and the seed, in a JSON file that is replaced atomically.

    Args:
        path: The file; ``None`` keeps the runs in memory.
        settings: Everything that the runs depend on, as plain data.

    Raises:
        StorageError: The path is a folder, or a file with other content.
        StudyMismatchError: The file was made with other settings.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = dict(settings)
        self.runs: dict[tuple[str, int], ConfirmedRun] = {}
        if path is not None and path.is_dir():
            raise StorageError(f"storage must be a file, and {path} is a folder.")
        if path is not None and path.exists():
            self.runs = self._read(path)

    def add(self, key: str, run: ConfirmedRun) -> None:
        """Keep a finished run of the genome with ``key``."""
        self.runs[key, run.seed] = run
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            # Another process may have added runs.
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
        replace_text(path, json.dumps(data, indent=1))

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
                f"{path} is not a confirmation of this version of rosearch ({error}). Choose "
                f"another file with storage=."
            ) from error
        listed = "\n".join(f"  {line}" for line in differences(settings, self._settings))
        if listed:
            raise StudyMismatchError(
                f"The confirmation in {path} was made with other settings:\n{listed}\n"
                f"Choose another file with storage=, or repeat the call that made it."
            )
        return runs
