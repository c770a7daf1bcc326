"""Versions of the packages that results depend on."""

from __future__ import annotations

import contextlib
import functools
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("rosearch", "optuna", "torch", "transformers", "numpy")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of these packages, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
