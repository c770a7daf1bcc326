"""The example of a search on Dask is interrupted, goes on, and does nothing twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rosearch as rs
from tests.examples import material

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")]


def test_what_is_finished_before_ctrl_c_is_not_done_again(
    dataset: rs.TextDataset, large_teacher: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    material.write(dataset, tmp_path / "reviews.tsv")
    out = tmp_path / "out"
    command = [sys.executable, material.__file__, "resume_on_dask", str(tmp_path / "reviews.tsv")]
    arguments = ["--teacher", str(large_teacher), "--out", str(out), "--candidates", "8"]
    result = subprocess.run(
        [*command, *material.SIZE, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # As shells start jobs in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "interrupted" in lines
    before, after = map(int, re.findall(r"finished before: (\d+), after: (\d+)", result.stdout)[0])
    assert 3 <= before < 8
    assert before + after == 8
    assert "finished before and evaluated again: 0" in lines
    # The notes of the workers themselves.
    search = rs.load_search(f"sqlite:///{out}/search.db")
    ended = (out / "evaluated.txt").read_text(encoding="utf-8").split()
    assert {trial.key for trial in search.trials if trial.state == "complete"} == set(ended)
    assert len(ended) - len(set(ended)) <= 2, "at most what both workers had in hand"
