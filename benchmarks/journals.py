"""Studies as small files: Optuna's journal, compressed."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

DATA = Path(__file__).parent / "data"
"""Where committed studies are."""


def pack(storage: str, study: str, file: Path) -> None:
    """Write a study to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        to = JournalStorage(JournalFileBackend(str(journal)))
        optuna.copy_study(from_study_name=study, from_storage=storage, to_storage=to)
        file.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))


@contextmanager
def packed(file: Path) -> Iterator[JournalStorage]:
    """The storage in a file, to read from within the block."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        journal.write_bytes(gzip.decompress(file.read_bytes()))
        yield JournalStorage(JournalFileBackend(str(journal)))


def restore(file: Path, study: str, folder: Path) -> str:
    """URL of the study in a folder, which goes on from the committed one if there is none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder.resolve() / "study.db"
    if file.exists() and not database.exists():
        with packed(file) as committed:
            optuna.copy_study(
                from_study_name=study,
                from_storage=committed,
                to_storage=f"sqlite:///{database}",
            )
    return f"sqlite:///{database}"
