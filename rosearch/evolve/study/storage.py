"""Opening the place where studies are kept, with an answer for every way it can fail."""

from __future__ import annotations

import contextlib
import copy
import logging
import sqlite3
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError

from rosearch.errors import StorageError
from rosearch.evolve.study.journal import Journal, damaged_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import Connection, Engine

_JOURNAL = "journal:///"
_TABLES = {"studies", "trials", "version_info"}
"""Some of those that Optuna makes."""
_PARAMETER_COLUMNS = {"param_id", "trial_id", "param_name", "param_value", "distribution_json"}
_KNOWN: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()
"""Whether the database has that table; asked once."""
_DRIVERS = {
    "postgresql": ("postgresql", "psycopg"),
    "postgres": ("postgresql", "psycopg"),
    "mysql": ("mysql", "pymysql"),
}
"""Database and driver of rosearch's extra, by what a URL begins with."""
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
def one_transaction(storage: BaseStorage) -> Iterator[Connection | None]:
    """Let all that this thread writes to a database within the block be one transaction.

    Optuna commits every value by itself, and on a disk a commit costs many times what the value
    does. A process that is killed within the block leaves nothing of it. Storages that are no
    database write each value by itself.

    Args:
        storage: What :func:`open_storage` returned.

    Yields:
        The connection, of a database; else ``None``.

    Raises:
        StorageInternalError: The database cannot be written.
    """
    # Behind the one that remembers finished trials.
    database = getattr(storage, "_backend", None)
    if not isinstance(database, optuna.storages.RDBStorage):
        yield None
        return
    from sqlalchemy.exc import SQLAlchemyError

    sessions = database.scoped_session
    sessions.remove()
    try:
        with database.engine.connect() as connection:
            connection.begin()
            # The sessions' commits wait for the connection's. If one of them is undone, and Optuna
            # then tries again by itself, that and what follows is committed as without this.
            sessions(bind=connection, join_transaction_mode="rollback_only")
            yield connection
            connection.commit()
    except SQLAlchemyError as error:
        raise StorageInternalError("The transaction failed.") from error
    finally:
        sessions.remove()


def add_trial(storage: BaseStorage, study_id: int, trial: FrozenTrial) -> int:
    """Store a new trial in one step and return its id.

    Optuna needs three statements for each parameter that it writes to a database. Here it is one
    for all of them, into Optuna's table; where that is another than is known here, Optuna does it.

    Args:
        storage: What :func:`open_storage` returned.
        study_id: The study.
        trial: With all that is known of it.

    Raises:
        StorageInternalError: The storage cannot be written.
    """
    with one_transaction(storage) as connection:
        if connection is None or not (trial.params and _knows_parameters(connection)):
            return int(storage.create_new_trial(study_id, template_trial=trial))
        from sqlalchemy import column, insert, table

        bare = copy.copy(trial)
        bare.params, bare.distributions = {}, {}
        trial_id = int(storage.create_new_trial(study_id, template_trial=bare))
        rows = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": kind.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(kind),
            }
            for name, kind in trial.distributions.items()
        ]
        connection.execute(insert(table("trial_params", *map(column, rows[0]))), rows)
    return trial_id


def _knows_parameters(connection: Connection) -> bool:
    """Whether Optuna's table of parameters is the one that :func:`add_trial` writes."""
    from sqlalchemy import inspect

    known = _KNOWN.get(connection.engine)
    if known is None:
        there = {c["name"] for c in inspect(connection).get_columns("trial_params")}
        known = _KNOWN[connection.engine] = there == _PARAMETER_COLUMNS
    return known


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
    if not file.parent.is_dir():
        raise StorageError(f"The folder {file.parent} is not there. Make it, or use another path.")
    try:
        return optuna.storages.JournalStorage(Journal(file))
    except ValueError as error:
        raise StorageError(
            f"The journal {file} cannot be read: line {damaged_line(file)} is damaged, and others "
            f"follow. Go on from a copy of the file, or take that line out and lose what it says."
        ) from error


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
    """``url``; without a driver, with the one of rosearch's extra where it is there.

    SQLAlchemy's own choice for PostgreSQL has changed from psycopg2 to psycopg; for MySQL it is one
    that has to be compiled.
    """
    scheme, separator, rest = url.partition("://")
    database, driver = _DRIVERS.get(scheme, (scheme, ""))
    if driver and find_spec(driver):
        scheme = f"{database}+{driver}"
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
            f"pip install 'rosearch[postgresql]', for MySQL: pip install 'rosearch[mysql]'."
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
