"""Where rosearch keeps what is dear to compute and the same on every run."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "ROSEARCH_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder(
    *parts: str, folder: str | os.PathLike[str] | None = None, create: bool = True
) -> Path:
    """The cache folder, or one inside it.

    Args:
        parts: Names of folders inside.
        folder: The cache folder itself. Default: ``$ROSEARCH_CACHE``, else ``~/.cache/rosearch``.
        create: Make it if it is not there.

    Raises:
        OSError: It is not there and cannot be made.
    """
    root = folder or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "rosearch"
    path = Path(root).expanduser().joinpath(*parts)
    if create:
        path.mkdir(parents=True, exist_ok=True)
    return path
