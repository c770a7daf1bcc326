"""Progress bars: all of them are made here."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import IO, Any

from tqdm import tqdm as _Bar
from tqdm.auto import tqdm as _AutoBar

_DELAY_SECONDS = 2.0
"""Work that takes less shows no bar."""
_LINE_SECONDS = 30.0
"""Time from one line of a bar to the next where there is no terminal."""

_silent: ContextVar[bool] = ContextVar("_silent", default=False)


def progress_bar(
    iterable: Iterable[Any] | None = None, *, show: bool = True, **settings: Any
) -> Any:
    """A bar of tqdm, shown after two seconds.

    Where standard error is no terminal and no notebook, such as in a log file, it writes a line
    every 30 seconds instead.

    Args:
        iterable: What to iterate over, if anything.
        show: Whether to show it; it is never shown inside of :func:`no_bars`.
        settings: Arguments of ``tqdm``.
    """
    kind = _ScreenBar if _can_redraw(sys.stderr) else _LineBar
    hidden = _silent.get() or not show
    return kind(iterable, disable=hidden, delay=_DELAY_SECONDS, **settings)


@contextlib.contextmanager
def no_bars(silent: bool = True) -> Iterator[None]:
    """Context in which this thread shows no bars, whatever is asked for below.

    Args:
        silent: ``False`` changes nothing.
    """
    token = _silent.set(_silent.get() or silent)
    try:
        yield
    finally:
        _silent.reset(token)


def above_bars() -> contextlib.AbstractContextManager[None]:
    """Context for writing to standard error, in which the bars of a terminal are not drawn."""
    return _AutoBar.external_write_mode(file=sys.stderr)  # type: ignore[no-any-return]


def bytes_text(count: float) -> str:
    """A number of bytes in words, such as ``"2.60GB"``."""
    return str(_Bar.format_sizeof(count, "B"))


def use_thread_lock() -> None:
    """Replace tqdm's lock between processes, which a process that is killed leaves behind."""
    lock = threading.RLock()
    for kind in (_Bar, _AutoBar):
        kind.set_lock(lock)


def _can_redraw(stream: IO[str]) -> bool:
    """Whether a bar can be drawn over itself; notebooks can, although they are no terminals."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


class _ScreenBar(_AutoBar):
    """A bar that stays hidden in its first two seconds, whatever is told of it meanwhile."""

    def refresh(self, *args: Any, **settings: Any) -> Any:
        """Draw the bar."""
        if not self.disable and time.time() < self.start_t + self.delay:
            return False
        return super().refresh(*args, **settings)


class _LineBar(_Bar):
    """A bar whose every state that is shown is a line of its own."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._last_line = time.monotonic()
        super().__init__(*args, file=_Lines(sys.stderr), mininterval=_LINE_SECONDS, **settings)

    def refresh(self, *args: Any, **settings: Any) -> Any:
        """Write a line, unless there was one in the last 30 seconds."""
        now = time.monotonic()
        if now - self._last_line < _LINE_SECONDS:
            return False
        self._last_line = now
        return super().refresh(*args, **settings)


class _Lines:
    """Writes what tqdm writes as lines, without moves of the cursor and erasing blanks."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.removeprefix("\r").rstrip()
        if line and not line.startswith("\x1b"):
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()
