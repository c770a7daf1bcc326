"""Ctrl-C from within a test."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def interrupted_when(ready: Callable[[], bool], *, within: float = 10) -> Iterator[None]:
    """The block is interrupted as soon as ``ready`` (or after two minutes), and ends soon.

    Args:
        ready: Called many times a second, in another thread.
        within: Seconds from Ctrl-C to the end of the block.
    """
    main, sent = threading.get_ident(), []

    def press() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not ready():
            time.sleep(0.05)
        sent.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        thread.join()
        assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert time.monotonic() - sent[0] < within
