"""Ctrl-C where nothing is half done.

Python raises ``KeyboardInterrupt`` between any two instructions of the main thread. Within a
database's transaction it leaves a lock behind, for which the next one waits; within a callback of
the garbage collector it is printed and lost.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType

from typing_extensions import Self

_PATIENCE_SECONDS = 2.0
"""Ctrl-C that is pressed again later than this is raised wherever the program is."""


class Interrupts:
    """Holds Ctrl-C back, except where it is let through; a context manager.

    At the end what was held back is raised. Does nothing in other threads than the main one, which
    are never interrupted, nor where the program has a handler of its own for SIGINT.

    Attributes:
        is_forced: Whether one was raised where it was to be held back, because it was pressed
            again.
    """

    def __init__(self) -> None:
        self.is_forced = False
        self._first: float | None = None
        self._is_open = False
        self._is_set = False

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Within this block Ctrl-C is raised at once; what was held back, at its beginning.

        Raises:
            KeyboardInterrupt: At the end, too, where the block has swallowed it.
        """
        self._is_open = True
        try:
            self._raise_held()
            yield
        finally:
            self._is_open = False
        self._raise_held()

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            self._is_set = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_set and signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if not isinstance(error, KeyboardInterrupt):
            self._raise_held()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if self._is_open or now - self._first > _PATIENCE_SECONDS:
            self.is_forced = not self._is_open
            raise KeyboardInterrupt

    def _raise_held(self) -> None:
        if self._first is not None:
            raise KeyboardInterrupt
