"""A journal file that is repaired after an incomplete write."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from optuna.exceptions import StorageInternalError
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

_BLOCK = 4096


class Journal(JournalFileBackend):
    """Optuna's journal file, with safe writes.

    Optuna skips an incomplete last line, which a full disk or a crash of the machine leaves, but
    appends to it, and then the file cannot be read any more. This class cuts off an incomplete line
    before it writes, and a write that fails is undone.

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
            with contextlib.ExitStack() as stack:
                self._writers.acquire()
                stack.callback(self._writers.release)
                # Unbuffered: a buffer would be written again when the file is closed.
                file = stack.enter_context(self._file.open("ab+", buffering=0))
                end = _cut_incomplete_line(file)
                try:
                    _write(file, "".join(lines).encode())
                    os.fsync(file.fileno())
                except BaseException:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise StorageInternalError(f"The journal {self._file} cannot be written.") from error


def damaged_line(file: Path) -> int:
    """Number of the first line, from 1, that is damaged and complete; 0 if there is none.

    An incomplete last line does not count: the next write cuts it off.
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


def _cut_incomplete_line(file: BinaryIO) -> int:
    """Cut ``file`` after its last complete line and return its size."""
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
    """Write all of ``data``: one write to an unbuffered file may write only a part."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
