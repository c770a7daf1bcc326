"""Safetensors files with a checksum, which other processes see complete or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from rosearch.caching import replacing

_CHECKSUM = "crc32"


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a file, replacing an existing one atomically; see :func:`rosearch.caching.replacing`.

    Args:
        path: Target; missing folders are created.
        tensors: Tensors by name, on any device.
        metadata: Stored in the header.

    Raises:
        OSError: It cannot be written, for example because the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses tensors that share memory.
    copies = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    with replacing(path) as scratch:
        try:
            save_file(copies, scratch, metadata={**(metadata or {}), _CHECKSUM: _checksum(copies)})
        except SafetensorError as error:  # which is no OSError
            raise OSError(f"{path} cannot be written: {error}") from error


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Map a file into memory: only the parts that are accessed are read from disk.

    A process verifies the checksum of each file once, and again if the file has changed.

    Returns:
        Tensors by name, on the CPU; ``None`` if the file is missing or damaged.
    """
    try:
        return load_file(path) if _is_sound(path, _version(path)) else None
    except (OSError, SafetensorError):
        return None


def read_unverified(path: Path, name: str) -> torch.Tensor | None:
    """Read one tensor without reading the others, and so without verifying the checksum.

    A process reads each once, and again if the file has changed.

    Returns:
        The tensor, not to be changed; ``None`` if the file is missing, has no such tensor, or is
        seen to be damaged.
    """
    try:
        return _tensor(path, _version(path), name)
    except (OSError, SafetensorError):
        return None


def _version(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(1 << 12)
def _tensor(path: Path, _version: tuple[int, ...], name: str) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor.clone()  # so that the file does not stay mapped


@cache
def _is_sound(path: Path, _version: tuple[int, ...]) -> bool:
    # A map of its own, so that the pages read for it do not stay in this process's memory.
    with safe_open(path, "pt") as file:
        recorded = (file.metadata() or {}).get(_CHECKSUM)
    return recorded == _checksum(load_file(path))


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    crc = 0
    for name in sorted(tensors):
        if tensors[name].numel():  # an empty one may have a stride that views refuse
            # As bytes, because numpy has no bfloat16.
            content: Any = tensors[name].reshape(-1).view(torch.uint8).numpy()
            crc = zlib.crc32(content, crc)
    return str(crc)
