"""Keeping other libraries' bars off the screen for as long as we work, and no longer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def no_transformers_bars() -> Iterator[None]:
    """No progress bars from transformers inside; afterwards as the user had it.

    Saving and loading a student takes milliseconds, and a search does it for every candidate.
    """
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
