"""Temporarily silence progress bars and warnings of transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def quiet_transformers(*, warnings: bool = True) -> Iterator[None]:
    """Context without progress bars of transformers; the user's settings are restored after it.

    A search saves and loads a student for every candidate, which takes milliseconds.

    Args:
        warnings: Whether to show warnings of transformers.
    """
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    if not warnings:
        logging.set_verbosity(max(verbosity, logging.ERROR))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
