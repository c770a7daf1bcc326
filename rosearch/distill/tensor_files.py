"""Safetensors files that other processes see either complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rosearch.caching import apply_umask


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file, replacing an existing one atomically.

    A process killed while it writes leaves the previous file, if any, and processes that have the
    previous file mapped keep reading it.

    Args:
        path: Target; missing folders are created.
        tensors: Tensors by name, on any device.
        metadata: Stored in the header.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses tensors that share memory.
    copies = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    scratch = Path(name)
    try:
        save_file(copies, scratch, metadata=metadata)
        apply_umask(scratch)
        # On the disk before it has its name, so that a crash of the machine leaves no empty file.
        with scratch.open("r+b") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Map a file into memory: only the parts that are accessed are read from disk.

    Returns:
        Tensors by name, on the CPU; ``None`` if the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None
