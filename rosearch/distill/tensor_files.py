"""Safetensors files that other processes see either complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rosearch.caching import replacing


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file, replacing an existing one atomically; see :func:`rosearch.caching.replacing`.

    Args:
        path: Target; missing folders are created.
        tensors: Tensors by name, on any device.
        metadata: Stored in the header.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses tensors that share memory.
    copies = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    with replacing(path) as scratch:
        save_file(copies, scratch, metadata=metadata)


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Map a file into memory: only the parts that are accessed are read from disk.

    Returns:
        Tensors by name, on the CPU; ``None`` if the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None
