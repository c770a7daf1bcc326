"""Opening the place where studies are kept, with an answer for every way it can fail."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from rosearch.errors import StorageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_JOURNAL = "journal:///"
_TABLES = {"studies", "trials", "version_info"}
"""Some of those that Optuna makes."""
_RETRIES = 5
_LOCK_SECONDS = 60.0
"""How long to wait for a database that another process is writing to; SQLite's own is 5."""
_MADE_MEANWHILE = ("UNIQUE constraint failed", "already exists", "UniqueViolation", "Duplicate")
_EXAMPLES = (
    '"sqlite:///search.db" (a file on a local disk), "journal:////shared/search.log" (a file on a '
    'shared disk), "postgresql://user:password@host/database", or None (in memory)'
)


def open_storage(storage: str | BaseStorage | None, *, existing: bool = False) -> BaseStorage:
    """The Optuna storage that ``storage`` stands for.

    Args:
        storage: A database URL as SQLAlchemy reads it, ``"journal:///"`` and the path of a
            journal file, an Optuna storage, or ``None`` for one in memory.
        existing: Refuse a URL without Optuna's studies. Else a new database gets Optuna's tables,
            and a new journal its file.

    Raises:
        StorageError: It cannot be opened; the message says why and what to do.
    """
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if isinstance(storage, optuna.storages.BaseStorage):
        return optuna.storages.get_storage(storage)
    if "://" not in str(storage):
        raise StorageError(f"Expected a storage URL, got {storage!r}. A storage is {_EXAMPLES}.")
    try:
        with quiet_optuna():
            is_journal = storage.startswith(_JOURNAL)
            file = Path(storage[len(_JOURNAL) :]) if is_journal else _sqlite_file(storage)
            if existing and file is not None and not file.is_file():
                raise StorageError(f"Expected the storage of a study; there is no file {file}.")
            if file is not None and is_journal:
                return _open_journal(file)
            if file is not None:
                _check_sqlite_file(storage, file)
            url = _with_driver(storage)
            if existing and not _has_studies(url, file):
                raise StorageError(
                    f"The database {_redacted(storage)} holds no studies of Optuna, which rosearch "
                    f"keeps its own as. Check the path or URL; nothing was written there."
                )
            return _open_database(url)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(_explain(storage, error)) from error


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's reports of routine steps, and leave its logger as it was."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _redacted(url: str) -> str:
    """``url`` without its password."""
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string(hide_password=True)
    except Exception:  # noqa: BLE001 - what cannot be read may hold a password anywhere
        return url.split("://", maxsplit=1)[0] + "://..."


def _open_journal(file: Path) -> BaseStorage:
    from optuna.storages.journal import JournalFileBackend

    if not file.parent.is_dir():
        raise StorageError(f"The folder {file.parent} is not there. Make it, or use another path.")
    return optuna.storages.JournalStorage(JournalFileBackend(str(file)))


def _has_studies(url: str, file: Path | None) -> bool:
    """Whether a database, of which ``file`` is the SQLite file, has Optuna's tables; only reads."""
    from sqlalchemy import create_engine, inspect

    if file is None:
        engine = create_engine(url)
    else:
        place = f"{file.resolve().as_uri()}?mode=ro"
        engine = create_engine(url, creator=lambda: sqlite3.connect(place, uri=True))
    try:
        return set(inspect(engine).get_table_names()) >= _TABLES
    except Exception as error:
        # A killed writer's half-written change can be seen only by who may undo it, as Optuna does.
        if "readonly" in root_cause(error):
            return True
        raise
    finally:
        engine.dispose()


def _open_database(url: str) -> BaseStorage:
    for _ in range(_RETRIES):
        try:
            return optuna.storages.get_storage(_database(url))
        except Exception as error:  # noqa: PERF203 - it is tried again
            # Several processes that open a new database at once all want to make its tables.
            if not any(sign in root_cause(error) for sign in _MADE_MEANWHILE):
                raise
            time.sleep(0.5)
    return optuna.storages.get_storage(_database(url))


def _database(url: str) -> BaseStorage:
    """Optuna's storage; of an SQLite file one that waits long for its lock."""
    if _sqlite_file(url) is None:
        return optuna.storages.RDBStorage(url)
    return optuna.storages.RDBStorage(
        url, engine_kwargs={"connect_args": {"timeout": _LOCK_SECONDS}}
    )


def _with_driver(url: str) -> str:
    """``url``; of PostgreSQL without a driver, with the one of rosearch's extra where it is there.

    SQLAlchemy's own choice has changed from psycopg2 to psycopg.
    """
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgresql", "postgres") and find_spec("psycopg"):
        scheme = "postgresql+psycopg"
    return scheme + separator + rest


def _sqlite_file(url: str) -> Path | None:
    """The file that ``url`` names, if it names an SQLite file by its path."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    database = parsed.database
    if parsed.get_backend_name() != "sqlite" or not database or database.startswith("file:"):
        return None
    return None if database == ":memory:" else Path(database)


def _check_sqlite_file(url: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise StorageError(
            f"Cannot open the storage {url}: the folder {path.parent} is not there. Make it, or "
            f"use another path (sqlite:///relative/path.db, sqlite:////absolute/path.db)."
        )
    if path.is_dir():
        raise StorageError(f"Cannot open the storage {url}: {path} is a folder, not a file.")


def root_cause(error: BaseException) -> str:
    """Class and first line of the error that ``error`` came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _explain(url: str, error: Exception) -> str:
    name, text = root_cause(error).split(": ", maxsplit=1)
    if isinstance(error, ImportError):
        advice = (
            f"Install the database driver that the URL asks for ({text}); for PostgreSQL: "
            f"pip install 'rosearch[postgresql]'."
        )
    elif name == "NoSuchModuleError":
        advice = f"SQLAlchemy knows no such database. A storage is {_EXAMPLES}."
    elif "not a database" in text:
        advice = "The file is there but is no SQLite database; use another path."
    elif "alembic" in text or "schema" in text or "storage upgrade" in text:
        advice = "Another version of Optuna wrote it: `optuna storage upgrade --storage URL`."
    else:
        advice = "Check the path, its permissions, or that the database server is reachable."
    return f"Cannot open the storage {_redacted(url)}: {name}: {text}. {advice}"
