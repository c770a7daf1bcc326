"""How many threads PyTorch computes with on a CPU.

Threads that share an operation wait for each other at its end, and OpenMP waits by spinning: where
another program has one of the cores, each of the thousand operations of a step lasts until the
system gives that core back. The matrices of a student are too small to be shared well, too. So its
operations get one thread, and the cores get independent work: batches of predictions in threads of
their own, candidates in processes of their own. One thread adds up in the same order everywhere, so
the number of either does not change a result. Operations that do share threads, such as those of a
teacher's fine-tuning, wait asleep.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch

from rosearch.machine import cores

LOG = logging.getLogger("rosearch")
LOG.addHandler(logging.NullHandler())  # silent unless the program sets up logging

_GRAIN = 32768
"""Elements of a tensor below which PyTorch gives an operation no further thread."""

_at_once: ContextVar[int | None] = ContextVar("batches at once", default=None)


def batches_at_once() -> int:
    """How many batches a CPU predicts at a time: PyTorch's threads outside of all contexts."""
    return _at_once.get() or torch.get_num_threads()


@contextmanager
def computing(
    device: torch.device, threads: int | None = None, *, work: str | None = None
) -> Iterator[None]:
    """A context for computation on a CPU; PyTorch's threads are restored after it.

    Args:
        device: Where the work is done; on anything but a CPU nothing changes.
        threads: Threads of an operation, and batches that are predicted at a time. ``None``: one
            thread, and as many batches at a time as PyTorch had threads.
        work: What is done, to log what was chosen.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    batches = _at_once.set(threads or batches_at_once())
    try:
        with _sleeping_threads() if threads and threads > 1 else nullcontext():
            torch.set_num_threads(threads or 1)
            if work is not None:
                chosen = torch.get_num_threads(), batches_at_once()
                LOG.info("%s: threads %d, batches predicted at a time %d", work, *chosen)
            yield
    finally:
        torch.set_num_threads(before)
        _at_once.reset(batches)


@contextmanager
def _sleeping_threads() -> Iterator[None]:
    """Let the threads of an operation sleep while they wait for each other.

    GCC's OpenMP, which PyTorch's wheels for Linux use, hardly spins while a process has more of its
    threads than there are cores (``GOMP_SPINCOUNT``). So this keeps further ones, which do nothing.
    Other OpenMP libraries do not look.
    """
    ready, over = threading.Event(), threading.Event()

    def hold() -> None:
        torch.set_num_threads(cores())
        torch.ones(2 * _GRAIN * cores()).neg_()
        ready.set()
        over.wait()

    holder = threading.Thread(target=hold, name="rosearch-threads", daemon=True)
    holder.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()
