"""Files that outlive a call: the cache folder, temporary folders, and safe writes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from filelock import FileLock

from rosearch.owners import host_name

T = TypeVar("T")

CACHE_VARIABLE = "ROSEARCH_CACHE"
"""Environment variable that names the cache folder."""

_TEMPORARY = "rosearch-scratch-"
_DRAFT = ".rosearch-draft-"
"""Prefix of folders that are being written."""

_OLD_SECONDS = 24 * 3600.0


def cache_folder(
    *parts: str, folder: str | os.PathLike[str] | None = None, create: bool = True
) -> Path:
    """The cache folder, or a folder inside it.

    Args:
        parts: Names of nested folders.
        folder: The cache folder itself. Default: ``$ROSEARCH_CACHE``, else ``~/.cache/rosearch``.
        create: Whether to make it if it does not exist.

    Raises:
        OSError: It cannot be made.
    """
    root = folder or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "rosearch"
    path = Path(root).expanduser().joinpath(*parts)
    if create:
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that is renamed to ``target`` when the block ends without an error.

    Other processes see the whole folder or none. If one of them was faster, its folder stays.
    Drafts that killed processes left in the parent folder are removed a day later.

    Raises:
        OSError: ``target`` cannot be written, or exists with other files in it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{_DRAFT}*"):
        _remove_old(left)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=_DRAFT, ignore_cleanup_errors=True
    ) as private:
        # A folder inside, because the temporary one itself is not readable by other users.
        draft = Path(private) / "draft"
        draft.mkdir()
        yield draft
        try:
            draft.rename(target)
        except OSError:
            if not all((target / made.name).exists() for made in draft.iterdir()):
                raise


def apply_umask(path: Path) -> None:
    """Give a file, or a folder and all in it, the permissions that the umask leaves to new files.

    ``tempfile`` and safetensors create files that only their owner can read, and several users may
    share a cache.
    """
    # The umask can only be read by setting it. A file that another thread makes meanwhile gets
    # narrower permissions, never wider ones.
    mask = os.umask(0o077)
    os.umask(mask)
    for found in (path, *path.rglob("*")):
        permissions = (0o777 if found.is_dir() else 0o666) & ~mask
        # Added to those it has, such as the bit by which a folder hands on its group.
        found.chmod(stat.S_IMODE(found.stat().st_mode) | permissions)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file that replaces ``path`` when the block ends without an error.

    Readers see the previous file or the complete new one. A process killed while it writes leaves
    the previous file, and processes that have it mapped keep reading it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        apply_umask(scratch)
        # On the disk before it has its name, so that a crash of the machine leaves no empty file.
        with scratch.open("r+b") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock beside a file that is to be made, so that one process makes it and others wait.

    Where there can be no lock, such as on a read-only disk, nobody waits.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with contextlib.suppress(OSError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def read_or_make(path: Path, read: Callable[[Path], T | None], make: Callable[[], T]) -> T:
    """Return what a file holds, or else make it, in one process while others wait.

    Args:
        path: The file.
        read: Returns what is in it, ``None`` if it is missing or of no use.
        make: Returns the same and writes it.
    """
    found = read(path)
    if found is None:
        with locked(path):
            found = read(path)
            if found is None:
                found = make()
    return found


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically; see :func:`replacing`."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def change_json(path: Path, **members: Any) -> None:
    """Set members of the object in a JSON file, if the file exists; ``None`` removes one."""
    if not path.exists():
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in before.items() if name not in members}
    after = kept | {name: value for name, value in members.items() if value is not None}
    if after != before:
        text = json.dumps(after, indent=2, sort_keys=True, ensure_ascii=False)
        replace_text(path, text + "\n")


def _remove_old(path: Path) -> None:
    """Remove a folder that is unchanged for a day."""
    with contextlib.suppress(OSError):  # another process may be removing it
        if time.time() - path.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


class TemporaryFolder:
    """A temporary folder, made when it is first needed or pickled, that pickled copies share.

    It is removed with the process that made it. Folders that killed processes left behind are
    removed a day later, when the next one is made on their machine.
    """

    def __init__(self) -> None:
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder; a new one where it does not exist, such as on another machine."""
        if self._path is None or not self._path.is_dir():
            # The process table of this machine says nothing of folders that another made here.
            host = f"{_TEMPORARY}{hashlib.blake2b(host_name().encode(), digest_size=4).hexdigest()}"
            for left in Path(tempfile.gettempdir()).glob(f"{host}-[0-9]*-*"):
                if not psutil.pid_exists(int(left.name.split("-")[3])):
                    _remove_old(left)
            self._path = Path(tempfile.mkdtemp(prefix=f"{host}-{os.getpid()}-"))
            weakref.finalize(self, _remove, self._path, os.getpid())
        return self._path

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self.path}


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child must not take it from its parent
        shutil.rmtree(path, ignore_errors=True)
