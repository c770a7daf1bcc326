"""Keeping another library's bars and warnings off the screen while we work, and no longer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def quiet_transformers(*, warnings: bool = True) -> Iterator[None]:
    """No progress bars from transformers inside; afterwards all is as the user had it.

    Saving and loading a student takes milliseconds, and a search does it for every candidate.

    Args:
        warnings: Whether its warnings still show.
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
