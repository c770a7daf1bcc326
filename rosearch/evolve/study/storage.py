"""Open the storage of a study, with an error message for every way it can fail."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import sqlalchemy
import sqlalchemy.exc
from sqlalchemy.engine import URL, make_url

from rosearch.errors import StorageError
from rosearch.evolve.study.journal import Journal, damaged_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_JOURNAL = "journal:///"
_DRIVERS = {
    "postgresql": ("postgresql", "psycopg"),
    "postgres": ("postgresql", "psycopg"),
    "mysql": ("mysql", "pymysql"),
}
"""Database and driver (that of rosearch's extra) by the scheme of a URL."""
_TRIES = 6
_LOCK_SECONDS = 60.0
"""How long to wait for a database that another process is writing to; SQLite's default is 5."""
_STUDY_NAMES = sqlalchemy.Index(
    "ix_studies_study_name",
    sqlalchemy.Table(
        "studies", sqlalchemy.MetaData(), sqlalchemy.Column("study_name", sqlalchemy.String(512))
    ).c.study_name,
    unique=True,
)
"""Optuna's index of study names. A process killed between creating the table and the index leaves a
database without it, where Optuna would create a study again instead of finding it."""
_CREATED_MEANWHILE = ("UNIQUE constraint failed", "already exists", "UniqueViolation", "Duplicate")
_EXAMPLES = (
    '"sqlite:///search.db" (a file on a local disk), "journal:////shared/search.log" (a file on a '
    'shared disk), "postgresql://user:password@host/database", or None (in memory)'
)


def open_storage(storage: str | BaseStorage | None, *, existing: bool = False) -> BaseStorage:
    """Open an Optuna storage.

    Args:
        storage: A database URL of SQLAlchemy, ``"journal:///"`` and the path of a journal file, an
            Optuna storage, or ``None`` for one in memory.
        existing: Whether the storage must hold studies already, and nothing may be written.
            Otherwise a new database gets Optuna's tables, and a new journal its file.

    Raises:
        StorageError: It cannot be opened; the message says why and what to do.
    """
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if isinstance(storage, optuna.storages.BaseStorage):
        return optuna.storages.get_storage(storage)
    if str(storage).startswith(_JOURNAL):
        file = Path(storage.removeprefix(_JOURNAL))
        _check_file(storage, file, existing=existing)
        return _open_journal(file)
    try:
        url = make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        # The text is not shown: what cannot be parsed may hold a password anywhere.
        raise StorageError(f"The storage URL cannot be read. A storage is {_EXAMPLES}.") from error
    sqlite = _sqlite_file(url)
    if sqlite is not None:
        _check_file(storage, sqlite, existing=existing)
    try:
        with quiet_optuna():
            return _open_database(_with_driver(url), sqlite, existing=existing)
    except Exception as error:
        raise StorageError(_explain(url, error, existing=existing)) from error


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's messages about routine steps, and restore its logger afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def root_cause(error: BaseException) -> str:
    """Class and first line of the first error in the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _check_file(url: str, file: Path, *, existing: bool) -> None:
    if existing and not file.is_file():
        raise StorageError(f"Expected the storage of a study; there is no file {file}.")
    if not file.parent.is_dir():
        raise StorageError(
            f"Cannot open the storage {url}: the folder {file.parent} does not exist. Create it, "
            f"or use another path (sqlite:///relative/path.db, sqlite:////absolute/path.db)."
        )
    if file.is_dir():
        raise StorageError(f"Cannot open the storage {url}: {file} is a folder, not a file.")


def _open_journal(file: Path) -> BaseStorage:
    try:
        return optuna.storages.JournalStorage(Journal(file))
    except ValueError as error:
        raise StorageError(
            f"The journal {file} cannot be read: line {damaged_line(file)} is damaged, and it is "
            f"not the last. Continue from a copy of the file, or remove the line and lose what it "
            f"records."
        ) from error
    except OSError as error:
        raise StorageError(f"The journal {file} cannot be opened: {root_cause(error)}.") from error


def _open_database(url: str, file: Path | None, *, existing: bool) -> BaseStorage:
    options = {} if file is None else {"connect_args": {"timeout": _LOCK_SECONDS}}
    for left in reversed(range(_TRIES)):
        try:
            database = optuna.storages.RDBStorage(
                url, engine_kwargs=options, skip_table_creation=existing
            )
            if not existing:
                _STUDY_NAMES.create(database.engine, checkfirst=True)
            break
        except Exception as error:
            # Several processes that open a new database at once all try to create its tables.
            created = any(sign in root_cause(error) for sign in _CREATED_MEANWHILE)
            if not left or not created:
                raise
            time.sleep(0.5)
    return optuna.storages.get_storage(database)


def _with_driver(url: URL) -> str:
    """Add the driver of rosearch's extra to a URL without a driver, if it is installed.

    SQLAlchemy's default for PostgreSQL has changed from psycopg2 to psycopg; for MySQL it has to
    be compiled.
    """
    database, driver = _DRIVERS.get(url.drivername, ("", ""))
    if driver and find_spec(driver):
        url = url.set(drivername=f"{database}+{driver}")
    return url.render_as_string(hide_password=False)


def _sqlite_file(url: URL) -> Path | None:
    """The path in the URL of an SQLite file; ``None`` for other URLs."""
    database = url.database
    if url.get_backend_name() != "sqlite" or not database or database.startswith("file:"):
        return None
    return None if database == ":memory:" else Path(database)


def _explain(url: URL, error: Exception, *, existing: bool) -> str:
    name, text = root_cause(error).split(": ", maxsplit=1)
    if isinstance(error, ImportError):
        advice = (
            f"Install the database driver that the URL asks for ({text}); for PostgreSQL: "
            f"pip install 'rosearch[postgresql]', for MySQL: pip install 'rosearch[mysql]'."
        )
    elif existing and "version_info" in text:
        advice = "It holds no studies of Optuna. Check the path or URL; nothing was written there."
    elif name == "NoSuchModuleError":
        advice = f"SQLAlchemy does not know this database. A storage is {_EXAMPLES}."
    elif "not a database" in text:
        advice = "The file exists but is not an SQLite database; use another path."
    elif "alembic" in text or "schema" in text or "storage upgrade" in text:
        advice = "Another version of Optuna wrote it: `optuna storage upgrade --storage URL`."
    else:
        advice = "Check the path, its permissions, or that the database server is reachable."
    return f"Cannot open the storage {url}: {name}: {text}. {advice}"
