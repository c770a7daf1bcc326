"""A journal file that survives a writer that did not come to the end of its line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from optuna.exceptions import StorageInternalError
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

_BLOCK = 4096


class Journal(JournalFileBackend):
    """Optuna's journal file, with another way of writing to it.

    Optuna reads past a torn last line, as of a full disk or a machine that went down, but appends
    to it, and then nothing can be read any more. Here what is torn is cut off before more is
    written, and a write that fails takes back what it has written.

    Args:
        file: Its path.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writers = JournalFileSymlinkLock(str(file))
        super().__init__(str(file), self._writers)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write changes, all of them or none.

        Raises:
            StorageInternalError: They cannot be written.
        """
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        try:
            # Without a buffer, which would be written again when the file is closed.
            with self._only_writer(), self._file.open("ab+", buffering=0) as file:
                end = _whole(file)
                try:
                    _write(file, "".join(lines).encode())
                    os.fsync(file.fileno())
                except BaseException:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise StorageInternalError(f"The journal {self._file} cannot be written.") from error

    @contextlib.contextmanager
    def _only_writer(self) -> Iterator[None]:
        self._writers.acquire()
        try:
            yield
        finally:
            self._writers.release()


def damaged_line(file: Path) -> int:
    """Number of the first line, from 1, that is no change and is not the last; 0 if there is none.

    What is torn at the end is not counted: it is cut off by the next that writes.
    """
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                try:
                    json.loads(line)
                except ValueError:
                    return number
    return 0


def _whole(file: BinaryIO) -> int:
    """Cut ``file`` after its last whole line and return its size."""
    size = end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            end = start + place + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    return end


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data``: a file without a buffer takes as much as there is room for."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
