"""Oracles: models that a search asks besides the victim, such as taggers and sentence encoders.

An oracle's answers do not depend on the victim, so each question is computed once: answers are kept
in memory, and for later victims in a file that processes share. A search yields an :class:`Ask` and
is sent the answers; the engine combines the questions of all running searches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from rosearch.attack.settings import Part
from rosearch.caching import CACHE_VARIABLE, cache_folder
from rosearch.errors import EvaluationError

_T = TypeVar("_T")
_MAX_MEMORY = 256 << 20  # bytes
_AT_ONCE = 500  # questions of one query; SQLite allows 999 values


class Oracle(Part, ABC):
    """Answers questions whose answers never change, and caches them.

    Subclasses implement :meth:`compute`. The cache file is named after :attr:`settings`, which must
    hold everything that affects the answers, such as a digest of the model's weights.

    Instances are shared by threads and pickled for other processes. Cached answers are pickled with
    them only if there is no cache file.

    Args:
        cache: ``True``: a file in the cache folder (``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``);
            a path: a file in that folder; ``False``: memory only.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Increase it when the answers change, which invalidates the cache file."""

    def __init__(self, *, cache: bool | str | os.PathLike[str] = True) -> None:
        self._cache = cache
        self._computed = 0
        self._known: dict[Hashable, Any] = {}
        self._known_bytes = 0  # approximately
        self._lock = threading.RLock()
        self._store: AnswerStore | None = None

    @abstractmethod
    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        """Return the answers to distinct questions, in their order.

        Questions are strings, numbers or tuples of them; answers are JSON values.
        """

    @property
    def computed(self) -> int:
        """Number of questions that this instance computed, cached answers not counted."""
        return self._computed

    def recall(self, questions: Sequence[Hashable]) -> list[Any] | None:
        """Return the answers if all of them are in memory, otherwise ``None``."""
        known = self._known
        try:
            return [known[question] for question in questions]
        except KeyError:
            return None

    def answer(self, questions: Sequence[Hashable]) -> list[Any]:
        """Return the answers in the order of ``questions``, from the caches or computed.

        Raises:
            EvaluationError: :meth:`compute` did not return one answer for each question.
        """
        with self._lock:
            found = self.recall(questions)
            if found is not None:
                return found
            if self._known_bytes > _MAX_MEMORY:
                self._known.clear()
                self._known_bytes = 0
            known = self._known
            new = [question for question in dict.fromkeys(questions) if question not in known]
            store = self._open()
            if store is not None:
                self._remember(store.get(new))
                new = [question for question in new if question not in known]
            if new:
                answers = self.compute(new)
                if len(answers) != len(new):
                    raise EvaluationError(
                        f"{type(self).__name__}.compute must return one answer for each of "
                        f"{len(new)} questions, got {len(answers)} answers."
                    )
                fresh = dict(zip(new, answers, strict=True))
                self._computed += len(new)
                if store is not None:
                    store.put(fresh)
                self._remember(fresh)
            return [known[question] for question in questions]

    def _remember(self, answers: dict[Hashable, Any]) -> None:
        self._known.update(answers)
        self._known_bytes += sum(_size(pair) for pair in answers.items())

    def _open(self) -> AnswerStore | None:
        if self._store is None and self._cache is not False:
            identity = json.dumps([self.name, self.version, self.settings], sort_keys=True)
            digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
            root = None if self._cache is True else self._cache
            folder = cache_folder("attack", folder=root, create=False)
            self._store = AnswerStore(folder / f"{self.name}-{digest}.sqlite")
        return self._store

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_lock": None, "_store": None}
        if self._cache is not False:
            state.update(_known={}, _known_bytes=0)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Yielded by a search to ask an oracle; the search is sent the list of answers."""

    oracle: Oracle
    questions: Sequence[Hashable]


Asking: TypeAlias = Generator[Ask, Any, _T]
"""A generator that yields :class:`Ask` objects and returns a value."""


class AnswerStore:
    """Answers in an SQLite file, which any number of processes may share.

    A damaged file is renamed and a new one started. If the file cannot be opened or written, a
    warning is shown once and nothing is stored.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._broken = False

    def get(self, questions: Sequence[Hashable]) -> dict[Hashable, Any]:
        """Return the stored answers to some of ``questions``."""
        keys = {_key(question): question for question in questions}
        found: dict[Hashable, Any] = {}

        def read(connection: sqlite3.Connection) -> None:
            wanted = list(keys)
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                select = f"SELECT key, value FROM answers WHERE key IN ({marks})"  # noqa: S608
                for key, value in connection.execute(select, part):
                    with contextlib.suppress(ValueError):  # a damaged answer is computed again
                        found[keys[key]] = json.loads(value)

        self._run(read)
        return found

    def put(self, answers: dict[Hashable, Any]) -> None:
        """Store answers."""
        rows = [(_key(q), json.dumps(a, separators=(",", ":"))) for q, a in answers.items()]
        insert = "INSERT OR REPLACE INTO answers VALUES (?, ?)"
        self._run(lambda connection: connection.executemany(insert, rows))

    def _run(self, action: Callable[[sqlite3.Connection], object]) -> None:
        if self._broken:
            return
        try:
            try:
                self._act(action)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._set_aside()
                self._act(action)
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            warnings.warn(
                f"The cache {self.path} cannot be used ({error}); answers are kept in memory only. "
                f"Name a writable folder with the environment variable {CACHE_VARIABLE}.",
                stacklevel=2,
            )

    def _act(self, action: Callable[[sqlite3.Connection], object]) -> None:
        with self._connect() as connection:
            action(connection)

    def _set_aside(self) -> None:
        warnings.warn(
            f"The cache {self.path} is damaged; it is renamed and a new one started.", stacklevel=2
        )
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process may have been faster
            self.path.replace(self.path.with_suffix(".damaged"))

    def _connect(self) -> sqlite3.Connection:
        # A connection must not be used in a forked process.
        if self._connection is None or self._process != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            # A power failure may lose the last answers but cannot corrupt the file.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, value TEXT NOT NULL) "
                "WITHOUT ROWID"
            )
            self._connection, self._process = connection, os.getpid()
        return self._connection


def _size(value: Any) -> int:
    """Return the bytes that a value takes in memory; shared objects are counted each time."""
    parts = value if isinstance(value, (tuple, list)) else ()
    return sys.getsizeof(value) + sum(map(_size, parts))


def _key(question: Hashable) -> bytes:
    text = json.dumps(question, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
