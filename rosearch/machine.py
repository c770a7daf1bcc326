"""What this process may use of its machine: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use (cgroup v2)."""


def cores() -> int:
    """Cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes of memory that are free; ``None`` where the system does not tell (not Linux)."""
    free = [_known(_PROC / "meminfo", "MemAvailable:", 1024)]
    limit, used = (_number(_CGROUP / f"memory.{name}") for name in ("max", "current"))
    if limit is not None and used is not None:
        cached = _known(_CGROUP / "memory.stat", "inactive_file", 1)  # freed when it is needed
        free.append(limit - used + (cached or 0))
    known = [value for value in free if value is not None]
    return max(0, min(known)) if known else None


def own_memory() -> int | None:
    """Bytes of memory that this process takes; ``None`` where the system does not tell."""
    return _known(_PROC / "self" / "status", "VmRSS:", 1024)


def _known(path: Path, name: str, unit: int) -> int | None:
    """The number behind ``name`` in a table of the kernel, in bytes."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = dict(line.split()[:2] for line in lines if len(line.split()) > 1)
    return int(values[name]) * unit if name in values else None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" is no limit
