"""Packages that only some functions need."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any

from rosearch.errors import MissingResourceError


def try_import(module: str, needed_for: str, extra: str, otherwise: str = "") -> Any:
    """Import a package where it is needed.

    Args:
        module: Its dotted name, such as ``"scipy.stats"``.
        needed_for: What needs it, the subject of the message: ``"to_pandas()"``.
        extra: The extra of rosearch that installs it.
        otherwise: A sentence on how to do without, if one can.

    Raises:
        MissingResourceError: It cannot be imported; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{needed_for} needs {package} ({error}): pip install 'rosearch[{extra}]'."
        raise MissingResourceError(f"{message} {otherwise}".strip()) from error


def package_folder(name: str) -> Path | None:
    """Return the folder of a package without importing it; ``None`` if it is not installed."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) if places else None
