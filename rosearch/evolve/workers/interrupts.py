"""Delay Ctrl-C while the study is being written.

Python raises ``KeyboardInterrupt`` between any two instructions of the main thread. In a database
transaction it leaves a lock behind, for which the next transaction waits; in a callback of the
garbage collector it is printed and lost.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from typing_extensions import Self

_PATIENCE_SECONDS = 2.0
"""Ctrl-C that is pressed again later than this is raised wherever the program is."""


class Interrupts:
    """A context manager that delays Ctrl-C, except in blocks of :meth:`let_through`.

    A delayed Ctrl-C is raised at the next such block or at the end. In threads other than the main
    one, which are never interrupted, and if the program has its own handler for SIGINT, this does
    nothing.

    Attributes:
        is_forced: Whether Ctrl-C was raised outside of :meth:`let_through`, because it was pressed
            again.
    """

    def __init__(self) -> None:
        self.is_forced = False
        self._first: float | None = None
        self._is_open = False
        self._is_set = False

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """In this block Ctrl-C is raised at once, and a delayed one at its start.

        Raises:
            KeyboardInterrupt: At the end, too, if the block has swallowed it.
        """
        self._is_open = True
        try:
            self._raise_delayed()
            yield
        finally:
            self._is_open = False
        self._raise_delayed()

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._is_set = True
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._is_set and signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if not isinstance(error, KeyboardInterrupt):
            self._raise_delayed()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if self._is_open or now - self._first > _PATIENCE_SECONDS:
            self.is_forced = not self._is_open
            raise KeyboardInterrupt

    def _raise_delayed(self) -> None:
        if self._first is not None:
            raise KeyboardInterrupt
