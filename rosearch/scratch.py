"""Temporary folders, and what killed processes have left of them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

from rosearch.owners import Owner

_PREFIX = "rosearch-scratch-"
_OLD_SECONDS = 24 * 3600.0


class ScratchFolder:
    """A temporary folder that the processes of one machine share, made when it is first needed.

    It is removed with the process that made it, or, where that was killed, when the next one on
    this machine is made. So it names its owner: a file ``owner.json`` in it.
    """

    def __init__(self) -> None:
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder; another one on a machine that does not have it."""
        if self._path is None or not self._path.is_dir():
            _remove_orphans()
            self._path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
            owner = Owner.this_process().leased(math.inf)
            (self._path / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
            weakref.finalize(self, _remove, self._path, os.getpid())
        return self._path

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self.path}  # copies in other processes are to find the same one


_OWNER = "owner.json"


def remove_old(folder: Path, prefix: str) -> None:
    """Remove the folders in ``folder`` that begin so and have not been changed for a day."""
    for path in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _remove_orphans() -> None:
    """Remove the temporary folders of processes of this machine that are gone."""
    own = Owner.this_process()
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Without a name it is just being made, or it is another user's.
        with contextlib.suppress(OSError, ValueError, KeyError):
            owner = json.loads((path / _OWNER).read_text(encoding="utf-8"))
            if owner["host"] == own.host and own.judge(owner) == "gone":
                shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child must not take it from its parent
        shutil.rmtree(path, ignore_errors=True)
