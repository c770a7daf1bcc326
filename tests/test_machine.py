"""Cores and memory of this machine, or of a container on it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rosearch import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")


def test_own_memory_grows_with_what_is_allocated():
    before = machine.own_memory()
    kept = np.ones(64 * 2**20, dtype=np.uint8)
    assert 32 * 2**20 < machine.own_memory() - before < 128 * 2**20
    assert kept.all()


def test_free_memory_is_at_most_what_a_container_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    whole = machine.free_memory()
    assert whole > 2**20
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert machine.free_memory() == 500000
    (tmp_path / "memory.current").write_text("1500000\n")
    assert machine.free_memory() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory() > 2**20


def test_memory_is_unknown_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    assert machine.free_memory() is None
    assert machine.own_memory() is None
