"""Reading a study without the search that made it."""

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
    """The result of a study as it is now, finished or not, without its evaluation.

    Nothing is written. Front and best follow from the scores that the study holds. Students are
    not loaded: ``trial.student`` raises, ``trial.genome`` and ``trial.seed`` say what to train.

    Args:
        storage: URL of the storage, path of an SQLite file, or an Optuna storage.
        study: The study's name; may be left out where the storage has one study only.

    Raises:
        StorageError: The storage cannot be opened, has no such study (the message lists those
            there are), or a genome has an operator that is not registered here.
        RegistryError: The study's fitness has a term that is not registered here: import the
            module that defines it first.
    """
    ledger = Ledger.existing(open_storage(_url(storage), existing=True), study)
    settings = ledger.settings
    try:
        fitness = Fitness.from_settings(settings["fitness"])
    except RegistryError as error:
        raise RegistryError(
            f"The fitness of the study {ledger.study!r} cannot be made here; import the module "
            f"that registers its terms first. {error}"
        ) from error
    return SearchResult.from_trials(
        ledger.study, ledger.trials(), fitness, settings=settings, versions=ledger.versions
    )


def _url(storage: str | Path | BaseStorage) -> str | BaseStorage:
    """``storage``, where a path became a URL."""
    if not isinstance(storage, (str, Path)):
        return storage
    text = str(storage)
    return text if "://" in text else f"sqlite:///{Path(text).resolve()}"
