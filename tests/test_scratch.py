"""Temporary folders go with their process, or are swept by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rosearch.scratch import ScratchFolder

KILLED = """
import os, signal
from rosearch.scratch import ScratchFolder
scratch = ScratchFolder()
print(scratch.path, flush=True)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
input()
"""


def process(folder: Path, *, killed: bool) -> tuple[subprocess.Popen[str], Path]:
    found = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(killed=killed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
        text=True,
    )
    assert found.stdout is not None
    return found, Path(found.stdout.readline().strip())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_folders_of_killed_processes_are_swept_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, theirs = process(tmp_path, killed=False)
    dead, orphan = process(tmp_path, killed=True)
    dead.wait()
    assert theirs.is_dir()
    assert orphan.is_dir()
    elsewhere = tmp_path / "rosearch-scratch-1-abc"  # of another machine, or just being made
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = ScratchFolder(), ScratchFolder()
    assert set(tmp_path.iterdir()) == {theirs, orphan, elsewhere}
    assert {first.path, second.path} == set(tmp_path.iterdir()) - {theirs, elsewhere}
    assert f"-{os.getpid()}-" in first.path.name
    living.communicate("\n")
    assert not theirs.exists()
    del first, second
    assert list(tmp_path.iterdir()) == [elsewhere]
