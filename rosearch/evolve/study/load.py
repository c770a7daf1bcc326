"""Read a study without the search that made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rosearch.errors import RegistryError
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.storage import open_storage
from rosearch.fitness import Fitness

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def load_search(storage: str | Path | BaseStorage, study: str | None = None) -> SearchResult:
    """The current result of a study, finished or not, without its evaluation.

    Nothing is written. The front and the best candidate follow from the scores in the study.
    ``trial.student`` loads a student that was stored, such as ``search.best.student``, from its
    folder. Of the others, ``trial.genome`` and ``trial.seed`` say what to train.

    Args:
        storage: URL of the storage, path of an SQLite file, or an Optuna storage.
        study: The study's name; may be omitted if the storage has only one study.

    Raises:
        StorageError: The storage cannot be opened, has no such study (the message lists the
            existing ones), or a genome has an operator that is not registered.
        RegistryError: The study's fitness has a term that is not registered: import the module
            that defines it first.
    """
    if isinstance(storage, Path) or (isinstance(storage, str) and "://" not in storage):
        storage = f"sqlite:///{Path(storage).resolve()}"
    ledger = Ledger.existing(open_storage(storage, existing=True), study)
    try:
        fitness = Fitness.from_settings(ledger.settings["fitness"])
    except RegistryError as error:
        raise RegistryError(
            f"Import the module that registers the fitness terms of the study {ledger.study!r} "
            f"first. {error}"
        ) from error
    return ledger.result(fitness)
