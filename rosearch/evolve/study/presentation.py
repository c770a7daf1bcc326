"""What the stage after this one adds to results: tables, pictures, and pages for notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def report(module: str) -> Any:
    """A module of ``rosearch.report``, loaded when something is to be shown.

    It is named as text, because a stage imports only from stages before it.
    """
    return import_module(f"rosearch.report.{module}")
