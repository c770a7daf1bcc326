"""The process that holds a trial or a folder, and whether it still runs.

A lease names its owner: machine, process, start time of the process, and until when the lease
holds. On the owner's own machine the process table decides whether it is alive. On other machines
only the time does: a run renews its leases every :data:`RENEW_SECONDS`, and a trial whose lease has
expired is free. Clocks of machines that share a study must agree to within a minute.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

LEASE_SECONDS = 300.0
"""Length of the lease on a candidate of a run."""
RENEW_SECONDS = 60.0
"""How often a run renews its leases."""
ASKED_LEASE_SECONDS = 24 * 3600.0
"""Length of the lease on a candidate from ``ask``, which is not renewed."""
_START_TOLERANCE_SECONDS = 1.0
"""The kernel tells the time of boot, which start times are counted from, to within a second."""


@dataclass(frozen=True)
class Owner:
    """A process that holds leases.

    Attributes:
        host: Machine, its boot and its process namespace.
        pid: Process number there.
        started: Start time of the process, in seconds since the machine was started.
        token: Tells several owners within one process apart.
        until: Unix time at which the lease ends.
    """

    host: str
    pid: int
    started: float
    token: str
    until: float

    @classmethod
    def this_process(cls) -> Owner:
        """A new owner within this process."""
        pid = os.getpid()
        return cls(host_name(), pid, _started(psutil.Process(pid)), secrets.token_hex(8), 0.0)

    def leased(self, seconds: float) -> dict[str, Any]:
        """A lease for ``seconds`` from now, as plain data."""
        return asdict(replace(self, until=time.time() + seconds))

    def judge(self, lease: Mapping[str, Any] | None) -> Literal["mine", "alive", "gone"]:
        """Whether this owner, another one that is alive, or none holds a lease.

        Args:
            lease: The result of :meth:`leased`; ``None`` for a lease that was released.
        """
        if not lease:
            return "gone"
        if lease["token"] == self.token:
            return "mine"
        if lease["host"] == self.host and lease["pid"] != self.pid:
            return "alive" if _is_running(lease["pid"], lease["started"]) else "gone"
        return "alive" if lease["until"] > time.time() else "gone"


def describe_owner(lease: Mapping[str, Any] | None) -> str:
    """The process that holds a lease and the end of the lease, in words.

    Args:
        lease: The result of :meth:`Owner.leased`; ``None`` for a lease that was released.
    """
    if not lease:
        return "no process"
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lease["until"]))
    machine = lease["host"].split(" ")[0]
    this = " (this one)" if lease["pid"] == os.getpid() else ""
    return f"process {lease['pid']}{this} on {machine}, until {until} or until it ends"


def host_name() -> str:
    """The host name, with the boot and the process namespace where the system tells them.

    Containers and copies of a virtual machine may share a host name but not a process table, and a
    boot starts the numbers of processes anew.
    """
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _started(process: psutil.Process) -> float:
    # The clock may be set while a process runs: both times move by as much.
    boot = psutil.boot_time()
    return float(process.create_time() - boot)


def _is_running(pid: int, started: float) -> bool:
    """Whether a process runs that has this number and start time; a zombie does not run."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_started(process) - started) <= _START_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's
        return True
