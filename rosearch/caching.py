"""The cache folder, for results that are expensive to compute and the same in every run."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "ROSEARCH_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder(
    *parts: str, folder: str | os.PathLike[str] | None = None, create: bool = True
) -> Path:
    """Return the cache folder, or a folder inside it.

    Args:
        parts: Names of folders inside.
        folder: The cache folder itself. Default: ``$ROSEARCH_CACHE``, else ``~/.cache/rosearch``.
        create: Whether to create the folder.

    Raises:
        OSError: The folder cannot be created.
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

    Raises:
        OSError: ``target`` cannot be written, or exists with other files in it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as private:
        # A folder inside, because the temporary one itself is not readable by other users.
        draft = Path(private) / "draft"
        draft.mkdir()
        yield draft
        try:
            draft.rename(target)
        except OSError:
            if not all((target / made.name).exists() for made in draft.iterdir()):
                raise


def share(path: Path) -> None:
    """Give a file, or a folder and its content, the permissions of newly created files.

    ``tempfile`` and safetensors create files that only their owner can read, and several users may
    share a cache.
    """
    # It can only be read by setting it. A file made by another thread meanwhile is too private.
    mask = os.umask(0o077)
    os.umask(mask)
    for found in (path, *path.rglob("*")):
        rights = (0o777 if found.is_dir() else 0o666) & ~mask
        # Added to what is there, such as the bit by which a folder hands on its group.
        found.chmod(stat.S_IMODE(found.stat().st_mode) | rights)
