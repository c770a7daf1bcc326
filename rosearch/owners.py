"""Who evaluates a running trial, and whether that process is still there.

A trial names its owner: machine, process, the process's start time, and until when the owner
is sure to be there. On the owner's own machine the process table decides. From elsewhere
only the time does: a run renews it every :data:`RENEW_SECONDS`, and a trial whose time has passed
is free. Clocks of machines that share a study must agree to within a minute.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

LEASE_SECONDS = 300.0
"""How long a run's candidate counts as alive after its last sign of life."""
RENEW_SECONDS = 60.0
"""How often a run gives a sign of life."""
ASKED_LEASE_SECONDS = 24 * 3600.0
"""How long a candidate from ``ask`` counts as alive; nobody renews it."""


@dataclass(frozen=True)
class Owner:
    """The process that evaluates a trial.

    Attributes:
        host: Machine, its boot and its process namespace.
        pid: Process number on it.
        started: Start time of the process in the kernel's ticks; ``None`` where unknown.
        token: One evolver within the process.
        until: Unix time up to which the owner counts as alive from elsewhere.
    """

    host: str
    pid: int
    started: int | None
    token: str
    until: float

    @classmethod
    def this_process(cls) -> Owner:
        """A new owner within this process."""
        pid = os.getpid()
        return cls(_host(), pid, _start_time(pid), secrets.token_hex(8), 0.0)

    def leased(self, seconds: float) -> dict[str, Any]:
        """Plain data for the ledger, alive for ``seconds`` from now."""
        return asdict(replace(self, until=time.time() + seconds))

    def judge(self, other: Mapping[str, Any] | None) -> Literal["mine", "alive", "gone"]:
        """What has become of the owner that a trial names.

        Args:
            other: What :meth:`leased` wrote; ``None`` for a trial that was given back.
        """
        if not other:
            return "gone"
        if other["token"] == self.token:
            return "mine"
        in_time = other["until"] > time.time()
        if other["host"] != self.host or other["pid"] == self.pid:
            return "alive" if in_time else "gone"
        if not _exists(other["pid"]):
            return "gone"
        started = _start_time(other["pid"])
        if started is None or other["started"] is None:
            return "alive" if in_time else "gone"
        return "alive" if started == other["started"] else "gone"


def describe_owner(owner: Mapping[str, Any] | None) -> str:
    """Who has a trial and until when, in words.

    Args:
        owner: What :meth:`Owner.leased` wrote; ``None`` for a trial that was given back.
    """
    if not owner:
        return "nobody"
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner["until"]))
    machine = owner["host"].split(" ")[0]
    here = ", which is this one," if owner["pid"] == os.getpid() else ""
    return f"process {owner['pid']}{here} on {machine}, until {until} or its end"


def _host() -> str:
    # Containers may share a host name but not a process table: the numbers of one mean nothing
    # in the other. A boot starts the numbers anew.
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # os.kill would end the process there; the lease decides instead
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) not in ("Z", "X")


def _state(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[0] if fields else None


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on; ``None`` where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself hold brackets.
    return text[text.rindex(")") + 2 :].split()
