"""How many candidates are evaluated at a time if nobody says."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rosearch.checks import whole_number
from rosearch.registry import plug_in_modules

_LOG = logging.getLogger("rosearch")
_GUARD = re.compile(r"""^if\s.*__name__\s*==\s*['"]__main__['"]""", re.MULTILINE)


def default_executor(evaluate: Callable[..., Any], most: int, *, reason: str) -> int | None:
    """The number of processes that an evaluation asks for; ``None`` stands for this process.

    It asks by an attribute ``processes``, as a Pipeline does. It gets them where that changes
    nothing but the time: it can be sent to other processes, and a script can be imported by them.
    What was chosen is logged.

    Args:
        evaluate: The evaluation.
        most: The largest number of use.
        reason: Why it is not larger, for the log.

    Raises:
        ArgumentError: ``processes`` is not a whole number from 1.
    """
    asked = whole_number("evaluate.processes", getattr(evaluate, "processes", 1))
    if asked < 2:
        return None
    reason = reason if most < 2 else _reason_to_stay(evaluate)
    if reason:
        _LOG.info("one candidate at a time, in this process: %s", reason)
        return None
    count = min(asked, most)
    _LOG.info("%d candidates at a time, each in a process of its own", count)
    return count


def _reason_to_stay(evaluate: object) -> str:
    """Why an evaluation has to stay in this process; ``""`` if it need not."""
    if not hasattr(os, "setsid"):
        return "processes that can be killed need POSIX"
    if multiprocessing.parent_process() is not None:
        return "this is a worker process itself"
    try:
        data = pickle.dumps(evaluate)
    except Exception as error:  # noqa: BLE001 - pickling runs the user's code
        return f"the evaluation cannot be pickled ({error})"
    # Worker processes import the script, and nothing if there is none, as in a notebook.
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        has_own = b"__main__" in data or "__main__" in plug_in_modules()
        return "worker processes cannot import what a notebook defines" if has_own else ""
    try:
        is_guarded = _GUARD.search(Path(path).read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        is_guarded = False
    missing = f'{path} has no `if __name__ == "__main__":`, so worker processes would run it again'
    return "" if is_guarded else missing
