"""Kernels compile for GPUs and keep their tiles in registers, tested without a GPU."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_kernels_compile_and_spill_nothing(capability, tmp_path):
    pytest.importorskip("triton", reason="Triton is not installed")
    if platform.machine() != "x86_64":
        pytest.skip("Triton's assembler for NVIDIA is part of its x86-64 packages")
    # A cache of its own: what was compiled before must not hide what no longer compiles.
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, str(script), str(capability)],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spilled = json.loads(done.stdout)
    assert len(spilled) == 12
    assert {name: bytes_ for name, bytes_ in spilled.items() if bytes_} == {}
