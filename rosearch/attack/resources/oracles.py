"""What searches ask besides the victim: taggers, sentence encoders, masked language models.

Such answers do not depend on the victim, so each question is computed once: it is
remembered in memory and, in a file that processes share, for every later victim. A search
yields an :class:`Ask` and is sent the answers; the engine pools what all searches ask.
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
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

from rosearch.attack.settings import Part
from rosearch.caching import cache_folder
from rosearch.errors import EvaluationError

_T = TypeVar("_T")
_REMEMBERED = 256 << 20  # bytes
_AT_ONCE = 500  # SQLite allows 999 parameters a statement in its older builds


class Oracle(Part, ABC):
    """Answers questions whose answers never change.

    Subclasses give :meth:`compute`; :attr:`settings` must tell apart whatever gives other answers
    (name of a model, digest of its weights), because it names the cache.

    Instances are shared by threads and pickled to other processes. Remembered answers
    stay behind where a cache file holds them.

    Args:
        cache: ``True``: a file in the cache folder (``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``);
            a folder: a file there; ``False``: memory only.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Raise it when answers change, so that cached ones are not used again."""

    def __init__(self, *, cache: bool | str | os.PathLike[str] = True) -> None:
        self._cache = cache
        self._computed = 0
        self._known: dict[Hashable, Any] = {}
        self._held = 0  # bytes in it, roughly
        self._lock = threading.RLock()
        self._store: AnswerStore | None = None

    @abstractmethod
    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        """Answers to distinct questions, in their order; values that JSON has.

        Questions are strings, numbers or tuples of them.
        """

    @property
    def computed(self) -> int:
        """Questions that this instance computed, rather than knew."""
        return self._computed

    def recall(self, questions: Sequence[Hashable]) -> list[Any] | None:
        """Answers from memory, or ``None`` if one is not there."""
        known = self._known
        try:
            return [known[question] for question in questions]
        except KeyError:
            return None

    def answer(self, questions: Sequence[Hashable]) -> list[Any]:
        """Answers in the order of ``questions``: from memory, the cache file, or computed."""
        with self._lock:
            found = self.recall(questions)
            if found is not None:
                return found
            if self._held > _REMEMBERED:
                self._known.clear()
                self._held = 0
            known = self._known
            new = list(dict.fromkeys(q for q in questions if q not in known))
            store = self._open()
            if store is not None:
                self._remember(store.get(new))
                new = [q for q in new if q not in known]
            if new:
                answers = self.compute(new)
                if len(answers) != len(new):
                    raise EvaluationError(
                        f"{type(self).__name__}.compute was given {len(new)} questions and gave "
                        f"{len(answers)} answers. Expected one for each, in their order."
                    )
                fresh = dict(zip(new, answers, strict=True))
                self._computed += len(new)
                if store is not None:
                    store.put(fresh)
                self._remember(fresh)
            return [known[question] for question in questions]

    def _remember(self, answers: dict[Hashable, Any]) -> None:
        self._known.update(answers)
        self._held += sum(_size(pair) for pair in answers.items())

    def _open(self) -> AnswerStore | None:
        if self._cache is False:
            return None
        if self._store is None:
            identity = json.dumps([self.name, self.version, self.settings], sort_keys=True)
            digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
            root = None if self._cache is True else self._cache
            folder = cache_folder("attack", folder=root, create=False)
            self._store = AnswerStore(folder / f"{self.name}-{digest}.sqlite")
        return self._store

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_lock": None, "_store": None}
        if self._cache is not False:
            state.update(_known={}, _held=0)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """What a search yields to ask an oracle; it is sent the list of answers."""

    oracle: Oracle
    questions: Sequence[Hashable]


Asking: TypeAlias = Generator[Ask, Any, _T]
"""A generator that asks oracles and returns something."""


class AnswerStore:
    """Answers in an SQLite file, by content. Any number of processes may share it.

    A file that cannot be read is set aside and begun anew; a folder that cannot be written to
    is a warning, and answers then live in memory only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._broken = False

    def get(self, questions: Sequence[Hashable]) -> dict[Hashable, Any]:
        """Those answers that are known."""
        keys = {_key(question): question for question in questions}
        found: dict[Hashable, Any] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._run(f"SELECT key, value FROM answers WHERE key IN ({marks})", part)  # noqa: S608 - question marks only
            for key, value in rows:
                # A damaged answer counts as unknown and is replaced.
                with contextlib.suppress(ValueError):
                    found[keys[key]] = json.loads(value)
        return found

    def put(self, answers: dict[Hashable, Any]) -> None:
        """Add answers."""
        rows = [(_key(q), json.dumps(a, separators=(",", ":"))) for q, a in answers.items()]
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows, many=True)

    def _run(self, statement: str, values: Sequence[Any], *, many: bool = False) -> list[Any]:
        if self._broken:
            return []
        try:
            return self._execute(statement, values, many)
        except (sqlite3.OperationalError, OSError) as error:
            return self._give_up(error)
        except sqlite3.DatabaseError:
            pass
        try:
            self._set_aside()
            return self._execute(statement, values, many)
        except (sqlite3.Error, OSError) as error:
            return self._give_up(error)

    def _execute(self, statement: str, values: Sequence[Any], many: bool) -> list[Any]:
        connection = self._connect()
        with connection:
            run = connection.executemany if many else connection.execute
            return run(statement, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        # A connection must not cross a fork.
        if self._connection is None or self._owner != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may lose the last answers, never spoil the file.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, value TEXT NOT NULL) "
                "WITHOUT ROWID"
            )
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def _set_aside(self) -> None:
        warnings.warn(
            f"The cache {self.path} cannot be read; it is renamed and begun anew.", stacklevel=2
        )
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        # Another process may have been faster.
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self.path.with_suffix(".unreadable"))

    def _give_up(self, error: Exception) -> list[Any]:
        self._broken = True
        warnings.warn(
            f"The cache {self.path} cannot be used ({error}); answers are kept in memory only. "
            f"Name a folder that can be written to with the environment variable ROSEARCH_CACHE.",
            stacklevel=2,
        )
        return []


def _size(value: Any) -> int:
    """Bytes in memory; what several share is counted for each."""
    parts = value if isinstance(value, (tuple, list)) else ()
    return sys.getsizeof(value) + sum(map(_size, parts))


def _key(question: Hashable) -> bytes:
    text = json.dumps(question, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
