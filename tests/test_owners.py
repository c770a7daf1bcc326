"""Which process holds a lease, and whether it still runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rosearch.owners import Owner, describe_owner


def test_judge_tells_own_running_and_dead_processes_apart():
    me = Owner.this_process()
    other = Owner.this_process()
    assert me.judge(me.leased(-1)) == "mine"
    assert me.judge(None) == "gone"
    # Another owner in this process: only the lease tells.
    assert me.judge(other.leased(60)) == "alive"
    assert me.judge(other.leased(-1)) == "gone"
    code = (
        "import json; from rosearch.owners import Owner;"
        "print(json.dumps(Owner.this_process().leased(3600)), flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    theirs = json.loads(process.stdout.readline())
    assert me.judge(theirs) == "alive"
    assert me.judge(theirs | {"until": 0.0}) == "alive"  # on this machine the process table decides
    assert me.judge(theirs | {"started": theirs["started"] - 9}) == "gone"  # number used again
    process.kill()
    deadline = time.monotonic() + 10
    while me.judge(theirs) != "gone" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert me.judge(theirs) == "gone"  # a zombie
    process.communicate()
    assert me.judge(theirs) == "gone"
    # On another machine only the lease tells.
    assert me.judge(theirs | {"host": "elsewhere"}) == "alive"
    assert me.judge(theirs | {"host": "elsewhere", "until": 0.0}) == "gone"


def test_describe_owner_names_process_and_machine():
    me = Owner.this_process()
    assert describe_owner(None) == "no process"
    text = describe_owner(me.leased(60))
    assert text.startswith(f"process {me.pid} (this one) on {me.host.split()[0]}, until 20")


def test_setting_the_clock_leaves_the_start_time_as_it_is(monkeypatch):
    me = Owner.this_process()
    boot, created = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 3600)
    assert abs(Owner.this_process().started - me.started) < 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_boot_is_part_of_the_host():
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert boot in Owner.this_process().host
