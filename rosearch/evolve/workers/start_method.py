"""How child processes are started."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

import torch

_ALWAYS = "rosearch.evolve.workers.child_processes"
_IF_LOADED = {"rosearch.pipeline": "transformers.modeling_utils"}
"""Modules that take seconds to load, each loaded if another one is loaded in this process."""

_PACKAGES = ("rosearch", "torch", "numpy", "networkx", "optuna", "sqlalchemy", "transformers")
"""The packages that they consist of, and that a current folder might have others of."""


@functools.cache
def process_context() -> ForkServerContext | SpawnContext:
    """Return the context to start child processes with; called where interrupts are blocked.

    Forked copies of PyTorch's threads hang, and so does CUDA, so that a child cannot be a copy of
    this process. Each new interpreter takes seconds to load PyTorch. On Linux without a GPU, one
    process loads it, has no threads of PyTorch's, and the children are copies of that one. Where
    there is a GPU, a package that looks for it while it is loaded would break the copies.
    """
    spawn = multiprocessing.get_context("spawn")
    if sys.platform != "linux" or _has_gpu() or _hidden_in(Path.cwd()):
        return spawn
    context = multiprocessing.get_context("forkserver")
    loaded = [name for name, other in _IF_LOADED.items() if other in sys.modules]
    context.set_forkserver_preload([_ALWAYS, *loaded])
    try:
        forkserver.ensure_running()
    except OSError:  # no socket: the path of TMPDIR is too long, or none is allowed
        return spawn
    return context


def start_afresh(variables: Mapping[str, str]) -> None:
    """Undo what a copied process has of the one that it is a copy of.

    Args:
        variables: The environment variables of the process that asked for this one: it may have
            changed them since the first child was started.
    """
    gc.freeze()  # else a collection would write to every inherited object, and copy its memory
    os.environ.clear()
    os.environ.update(variables)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # else all copies would draw the same numbers


def _hidden_in(folder: Path) -> bool:
    """Whether a folder has other modules of the names of loaded ones.

    The process that is copied finds those of its current folder first.
    """
    for name in _PACKAGES:
        found = PathFinder.find_spec(name, [str(folder)])
        origin = None if found is None else found.origin
        if origin is not None and origin != getattr(sys.modules.get(name), "__file__", origin):
            return True
    return False


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.xpu.is_available()
