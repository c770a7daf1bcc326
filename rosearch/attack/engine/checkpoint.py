"""A file that keeps what an evaluation has computed, from which an interrupted one goes on.

JSON lines. The first has everything that the results depend on. Each other one has rows of the
victim (digests of what it read, and its probabilities) or one result: finished examples are not
attacked again, and the other searches run again on the answers that the victim gave before.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock, Timeout

from rosearch.attack.report.results import AttackResult, read_result
from rosearch.attack.resources.model_identity import digest_of_model
from rosearch.attack.settings import name_of
from rosearch.attack.victim.function import FunctionVictim, Outputs
from rosearch.attack.victim.make import describe_victim
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.precision import Bfloat16Victim
from rosearch.attack.victim.victim import RowStore, Victim
from rosearch.checks import refused
from rosearch.differences import differences
from rosearch.errors import StorageError
from rosearch.version import __version__

_FORMAT = 1
_MAGIC = "rosearch checkpoint"
_START = f'{{"{_MAGIC}": '.encode()
_DIGEST_BYTES = 16


@dataclass
class Kept:
    """What is kept of one attack."""

    results: dict[int, AttackResult] = field(default_factory=dict)
    """By the example's index. No errors: another run may be free of them."""
    rows: int = 0
    """Rows that the victim computed."""
    seconds: float = 0.0
    """Wall time."""


class Checkpoint:
    """What earlier runs kept, and the open file that keeps more; see :func:`open_checkpoint`.

    Args:
        victim: The victim; its number of classes is known.
        file: The file, to be appended to; ``None`` keeps nothing.
    """

    def __init__(self, victim: Victim, file: FileIO | None = None) -> None:
        self._file = file
        self._victim = victim
        self._stores = {name: _Rows(self, name) for name in ("exact", "approximate")}
        self._kept: dict[str | None, Kept] = {}
        self._attack: str | None = None
        self._start = 0.0
        self._outputs = "auto"

    def begin(self, attack: str | None) -> Kept:
        """Return what earlier runs kept of an attack, to which all that follows belongs.

        Args:
            attack: Its name; ``None`` for what the victim is asked apart from attacks.
        """
        kept = self._kept.setdefault(attack, Kept())
        self._attack, self._start = attack, time.perf_counter() - kept.seconds
        return kept

    def add(self, result: AttackResult) -> None:
        """Write a result, unless it is an error."""
        if result.status != "error":
            self.write({"result": asdict(result)})

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a line.

        Raises:
            StorageError: The file cannot be written.
        """
        if self._file is None:
            return
        seconds = time.perf_counter() - self._start
        outputs = getattr(self._victim.exact, "outputs", "auto")
        shared = {"attack": self._attack, "seconds": seconds, "outputs": outputs}
        try:
            _write_line(self._file, {**shared, **record})
        except OSError as error:
            raise StorageError(
                f"The checkpoint {self._file.name} cannot be written: {error}. Mend that and run "
                f"the same again; it keeps what it has."
            ) from error

    def read(self, line: bytes) -> None:
        """Take in a line of an earlier run.

        Raises:
            TypeError, ValueError, KeyError: It is no such line.
        """
        record = json.loads(line)
        kept = self._kept.setdefault(record["attack"], Kept())
        kept.seconds = float(record["seconds"])
        self._outputs = record["outputs"]
        if "result" in record:
            result = read_result(record["result"])
            kept.results[result.index] = result
        else:
            store = self._stores[record["victim"]]
            kept.rows += store.read(record["rows"], self._victim.classes or 0)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let the victim use the rows of earlier runs and keep its new ones.

        Raises:
            StorageError: The victim is a function whose outputs were taken for something else.
        """
        victim, exact = self._victim, self._victim.exact
        if isinstance(exact, FunctionVictim) and self._outputs != "auto":
            # A function's first outputs decide what they are; here they were those of another run.
            if exact.outputs not in ("auto", self._outputs):
                raise StorageError(
                    f"The function's outputs were {self._outputs} in the checkpoint, and are "
                    f"{exact.outputs} now. Pass FunctionVictim(function, "
                    f"outputs={self._outputs!r}), or name another file."
                )
            exact.outputs = cast("Outputs", self._outputs)
        try:
            victim.store, exact.store = self._stores["approximate"], self._stores["exact"]
            yield
        finally:
            victim.store = exact.store = None


class _Rows(RowStore):
    """Rows of one victim: digests of what it read, and float32 probabilities."""

    def __init__(self, checkpoint: Checkpoint, victim: str) -> None:
        self._checkpoint = checkpoint
        self._victim = victim
        self._rows: dict[bytes, bytes] = {}

    def recall(self, key: Hashable) -> np.ndarray | None:
        found = self._rows.get(_digest(key)) if self._rows else None
        return None if found is None else np.frombuffer(found, "<f4").astype(np.float32)

    def keep(self, keys: Sequence[Hashable], probabilities: np.ndarray) -> None:
        rows = b"".join(
            digest + row.astype("<f4").tobytes()
            for digest, row in zip(map(_digest, keys), probabilities, strict=True)
            if digest and not np.isnan(row).any()
        )
        self._checkpoint.write({"victim": self._victim, "rows": base64.b64encode(rows).decode()})

    def read(self, rows: str, classes: int) -> int:
        """Take in rows that :meth:`keep` wrote; return their number."""
        data, size = base64.b64decode(rows, validate=True), _DIGEST_BYTES + 4 * classes
        if len(data) % size:
            raise ValueError(f"{len(data)} bytes are not rows of {size} bytes")
        for start in range(0, len(data), size):
            middle = start + _DIGEST_BYTES
            self._rows[data[start:middle]] = data[middle : start + size]
        return len(data) // size


@contextmanager
def open_checkpoint(
    path: str | os.PathLike[str] | None, victim: Victim, settings: Mapping[str, Any]
) -> Iterator[Checkpoint]:
    """Open a checkpoint; the victim's rows are kept in it until the block ends.

    Args:
        path: A new file, or one of an earlier run. ``None``: keep nothing.
        victim: The victim; its number of classes is known.
        settings: Everything besides the victim that the results depend on, as JSON.

    Raises:
        ArgumentError: ``path`` is no path.
        StorageError: The file cannot be opened, is in use, is no checkpoint, or is one of another
            victim or other settings.
    """
    if path is None:
        yield Checkpoint(victim)
        return
    if not isinstance(path, (str, os.PathLike)):
        raise refused("checkpoint", "the path of a file", path)
    place = Path(path).resolve()
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(place.with_name(f".{place.name}.lock"))
            stack.enter_context(lock.acquire(timeout=0))
            # Unbuffered, so that lines outlive a process that is killed.
            file = stack.enter_context(place.open("ab", buffering=0))
            checkpoint = Checkpoint(victim, file)
            _resume(file, checkpoint, {**settings, "victim": _identity(victim)})
        except Timeout as error:
            raise StorageError(
                f"The checkpoint {place} is in use by another evaluation. Wait until that ends, or "
                f"name another file."
            ) from error
        except OSError as error:
            raise StorageError(
                f"The checkpoint {place} cannot be opened: {error}. Name a file that can be "
                f"written."
            ) from error
        stack.enter_context(checkpoint.attached())
        yield checkpoint


def _resume(file: FileIO, checkpoint: Checkpoint, settings: Mapping[str, Any]) -> None:
    """Read the whole lines of a file and cut a torn last one; begin a file that is empty."""
    header = {_MAGIC: _FORMAT, "rosearch": __version__, **settings}
    with Path(file.name).open("rb") as lines:
        first = next(lines, b"")
        if not first.endswith(b"\n") and _START.startswith(first[: len(_START)]):
            file.truncate(0)
            return _write_line(file, header)
        if not first.startswith(_START):
            raise StorageError(
                f"{file.name} is no checkpoint of an evaluation, and is left as it is. Name "
                f"another file."
            )
        end = 0
        for number, line in enumerate(itertools.chain([first], lines), 1):
            if not line.endswith(b"\n"):
                break
            try:
                if number == 1:
                    _compare(json.loads(line), header, file.name)
                else:
                    checkpoint.read(line)
            except (TypeError, ValueError, KeyError) as error:
                raise StorageError(
                    f"Line {number} of the checkpoint {file.name} is damaged "
                    f"({type(error).__name__}: {error}). Cut the file before this line to keep "
                    f"what is above, or name another file."
                ) from error
            end += len(line)
    file.truncate(end)
    return None


def _compare(stored: Any, header: Mapping[str, Any], name: str) -> None:
    lines = list(differences(stored, json.loads(json.dumps(header)), place="checkpoint"))
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        raise StorageError(
            f"The checkpoint {name} is one of another evaluation:\n{listed}\nEvaluate the same "
            f"victim with the same settings to go on, or name another file."
        )


def _write_line(file: FileIO, record: Mapping[str, Any]) -> None:
    line = json.dumps(record).encode() + b"\n"
    while line:  # a full disk takes a part and fails at the rest
        line = line[file.write(line) :]


def _identity(victim: Victim) -> dict[str, Any]:
    """What is known of a victim, as JSON: a model's weights and tokenizer, a function's name."""
    exact, described = victim.exact, describe_victim(victim)
    if isinstance(exact, ModelVictim):
        described["model"] = digest_of_model(exact.model, exact.tokens.tokenizer)
    if isinstance(exact, FunctionVictim):
        described["function"] = name_of(exact.function)
    if isinstance(victim, Bfloat16Victim):
        described["margin"] = victim.margin
    return described


def _digest(key: Hashable) -> bytes:
    """A hash of what a victim reads of a text; empty if that is not plain data."""
    try:
        plain = json.dumps(key)
    except TypeError:
        return b""
    return hashlib.blake2b(plain.encode(), digest_size=_DIGEST_BYTES).digest()
