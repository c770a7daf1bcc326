"""Importing TextAttack without its side effects.

The import of version 0.3.11, and that of flair underneath, downloads NLTK data, closes the handlers
of all loggers and disables the loggers, sets environment variables, and fails without NLTK's stop
words.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import logging.config
import os
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from rosearch.attack.resources.nltk_data import prepare_nltk, prepare_stop_words
from rosearch.errors import MissingResourceError

_PACKAGES = ("textattack", "flair", "greenlet", "nltk")
_LOUD = ("textattack", "flair", "jieba")
_LOADING = threading.RLock()
_ABSENT = object()


def load_textattack() -> Any:
    """Import the package ``textattack``, if it is not imported yet, and return it.

    NLTK's data folders come first; the folder made by
    :func:`~rosearch.attack.resources.prepare_nltk` is appended to ``nltk.data.path`` for what they
    lack. The logging configuration of this process is restored after the import, so other threads
    should not configure logging during it.

    Raises:
        MissingResourceError: TextAttack or a package that it needs is not installed.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingResourceError(
            f"TextAttack's attacks need packages that are not installed: {', '.join(missing)}. Get "
            f'all with: pip install "rosearch[textattack]" (it needs transformers below 5, so a '
            f"separate environment may be best)."
        )
    with _LOADING:
        _add_nltk_folder()
        if "textattack" in sys.modules:
            return importlib.import_module("textattack")
        with undisturbed():
            return importlib.import_module("textattack")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Prevent downloads by TextAttack's code, and undo its changes of global state."""
    import nltk

    with (
        _LOADING,
        mock.patch.dict(os.environ),
        warnings.catch_warnings(),
        _generators(),
        _logging(),
        _without_post_install(),
        mock.patch.object(nltk, "download", return_value=True),
    ):
        warnings.simplefilter("ignore")
        yield


def generator_states() -> tuple[Any, ...]:
    """The states of the global CPU generators of Python, NumPy and PyTorch."""
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - TextAttack draws from it
    return random.getstate(), numpy, torch.get_rng_state()


def restore_generators(states: tuple[Any, ...]) -> None:
    """Set the global generators to the states from :func:`generator_states`."""
    python, numpy, pytorch = states
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(pytorch)


def seed_generators(seed: int) -> None:
    """Seed the global CPU generators, all with the same ``seed`` below ``2**32``."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)


def _add_nltk_folder() -> None:
    import nltk

    try:
        folder = str(prepare_nltk())
    except MissingResourceError:
        # Recipes without WordNet run; one with it names what is missing when it is made.
        folder = str(prepare_stop_words())
    if folder not in nltk.data.path:
        nltk.data.path.append(folder)


@contextlib.contextmanager
def _generators() -> Iterator[None]:
    before = generator_states()
    try:
        yield
    finally:
        restore_generators(before)


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Restore all loggers, close no handler, and reset new loggers of TextAttack's packages."""
    before = [
        (log, log.level, log.handlers[:], log.filters[:], log.propagate, log.disabled)
        for log in _loggers()
    ]
    disabled = logging.root.manager.disable
    try:
        # dictConfig closes every handler of the process before it configures anything.
        with mock.patch.object(logging.config, "dictConfig"):
            yield
    finally:
        new = set(_loggers())
        for log, level, handlers, filters, propagate, was_disabled in before:
            log.handlers[:], log.filters[:] = handlers, filters
            log.propagate, log.disabled = propagate, was_disabled
            log.setLevel(level)
            new.discard(log)
        for log in new:
            if log.name.split(".")[0] in _LOUD:
                log.handlers.clear()
                log.propagate = True
                log.setLevel(logging.NOTSET)
        logging.root.manager.disable = disabled


def _loggers() -> list[logging.Logger]:
    found = logging.root.manager.loggerDict.values()
    return [logging.root, *(log for log in found if isinstance(log, logging.Logger))]


@contextlib.contextmanager
def _without_post_install() -> Iterator[None]:
    """Keep TextAttack's first import from a download by stanza and from noting that it is done."""
    cache = os.environ.get("TA_CACHE_DIR") or "~/.cache/textattack"
    note = Path(cache).expanduser() / "post_install_check_3"
    noted = note.exists()
    before = sys.modules.get("stanza", _ABSENT)
    sys.modules["stanza"] = None  # type: ignore[assignment] # makes its import fail
    try:
        yield
    finally:
        del sys.modules["stanza"]
        if before is not _ABSENT:
            sys.modules["stanza"] = before  # type: ignore[assignment]
        if not noted:
            # TextAttack used without rosearch still has to download.
            note.unlink(missing_ok=True)
