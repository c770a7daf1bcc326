"""TextAttack, imported without what it does to the process that imports it.

Its import (version 0.3.11, and that of flair underneath) downloads NLTK data, closes the handlers
of all loggers and switches the loggers off, sets environment variables, and dies without NLTK's
stop words.
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

import numpy as np
import torch

from rosearch.attack.resources.nltk_data import prepare_nltk, prepare_stop_words
from rosearch.errors import MissingResourceError

_PACKAGES = ("textattack", "flair", "greenlet", "nltk")
_NOISY = ("textattack", "flair", "jieba")
_LOADING = threading.RLock()
_ABSENT = object()


def load_textattack() -> Any:
    """The package ``textattack``, imported if it was not yet.

    NLTK's data folders come first; ours, made by
    :func:`~rosearch.attack.resources.prepare_nltk`, is appended to ``nltk.data.path`` and serves
    where they lack something. While the import runs, this process's logging configuration is
    protected from it, so other threads should not configure logging meanwhile.

    Raises:
        MissingResourceError: TextAttack or a package that it needs is not installed.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingResourceError(
            f"TextAttack's attacks need {', '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Get all with: "
            f'pip install "rosearch[textattack]" (it needs transformers below 5, so an '
            f"environment of its own may be best)."
        )
    with _LOADING:
        _name_nltk_folder()
        if "textattack" in sys.modules:
            return importlib.import_module("textattack")
        with undisturbed():
            return importlib.import_module("textattack")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No download and no lasting change of global state by what TextAttack does inside."""
    import nltk

    with (
        _LOADING,
        _environment(),
        warnings.catch_warnings(),
        _generators(),
        _logging(),
        _without_post_install(),
        _replaced(nltk, "download", lambda *_, **__: True),
    ):
        warnings.simplefilter("ignore")
        yield


def _name_nltk_folder() -> None:
    import nltk

    try:
        folder = str(prepare_nltk())
    except MissingResourceError:
        # Recipes without WordNet run; one with it says what is missing when it is made.
        folder = str(prepare_stop_words())
    if folder not in nltk.data.path:
        nltk.data.path.append(folder)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextlib.contextmanager
def _generators() -> Iterator[None]:
    before = GeneratorStates.now()
    try:
        yield
    finally:
        before.restore()


class GeneratorStates:
    """States of the global generators on the CPU: Python's, NumPy's and PyTorch's."""

    def __init__(self, python: Any, numpy: Any, pytorch: torch.Tensor) -> None:
        self._python = python
        self._numpy = numpy
        self._pytorch = pytorch

    @classmethod
    def now(cls) -> GeneratorStates:
        """The states as they are."""
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - TextAttack draws from it
        return cls(random.getstate(), numpy, torch.get_rng_state())

    def restore(self) -> None:
        """Set the generators to these states."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._pytorch)


def seed_generators(seed: int) -> None:
    """Seed the global generators on the CPU, all three with ``seed`` below ``2**32``."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Loggers as they are, no handler closed, and no new one of TextAttack or its packages."""
    manager = logging.Logger.manager
    loggers = [logging.root, *_loggers(manager)]
    states = [
        (log, log.level, log.handlers[:], log.filters[:], log.propagate, log.disabled)
        for log in loggers
    ]
    disabled = manager.disable
    try:
        # dictConfig closes every handler of the process before it configures anything.
        with _replaced(logging.config, "dictConfig", lambda *_, **__: None):
            yield
    finally:
        for log, level, handlers, filters, propagate, was_off in states:
            log.handlers[:], log.filters[:] = handlers, filters
            log.propagate, log.disabled = propagate, was_off
            if log.level != level:
                log.setLevel(level)
        known = {id(log) for log in loggers}
        for log in _loggers(manager):
            if id(log) not in known and log.name.split(".")[0] in _NOISY:
                log.handlers.clear()
                log.propagate = True
                log.setLevel(logging.NOTSET)
        manager.disable = disabled


def _loggers(manager: logging.Manager) -> list[logging.Logger]:
    return [log for log in manager.loggerDict.values() if isinstance(log, logging.Logger)]


@contextlib.contextmanager
def _without_post_install() -> Iterator[None]:
    """TextAttack's first import asks stanza for a download and notes that all was downloaded."""
    cache = os.environ.get("TA_CACHE_DIR") or "~/.cache/textattack"
    note = Path(cache).expanduser() / "post_install_check_3"
    noted = note.exists()
    before = sys.modules.get("stanza", _ABSENT)
    sys.modules["stanza"] = None  # type: ignore[assignment] # an import of it fails meanwhile
    try:
        yield
    finally:
        if before is _ABSENT:
            sys.modules.pop("stanza", None)
        else:
            sys.modules["stanza"] = before  # type: ignore[assignment]
        if not noted:
            # Nothing was downloaded; TextAttack on its own still has to.
            note.unlink(missing_ok=True)


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
