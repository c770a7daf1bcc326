"""A journal file whose writer did not come to the end of its line."""

from __future__ import annotations

import os
import signal

import pytest

import rosearch as rs
from rosearch.errors import StorageError
from rosearch.evolve import Evolver
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.helpers import sequence


def evolver(file):
    return Evolver(SPACE, synthetic, FITNESS, population=4, seed=2, storage=f"journal:///{file}")


@pytest.fixture(scope="module")
def whole():
    return Evolver(SPACE, synthetic, FITNESS, population=4, seed=2).run(8, progress=False)


@pytest.mark.parametrize("left", [1, 20, -1])
def test_an_incomplete_last_line_is_cut_off_before_a_write(tmp_path, whole, left):
    file = tmp_path / "search.log"
    evolver(file).run(4, progress=False)
    lines = file.read_bytes().splitlines(keepends=True)
    long = b'{"op_code":8,"worker_id":"' + b"a" * 10_000 + b'"}\n'
    file.write_bytes(b"".join(lines) + long[:left])
    assert len(rs.load_search(f"journal:///{file}").trials) == 4
    assert file.read_bytes().endswith(long[:left])  # reading changes nothing
    assert sequence(evolver(file).run(8, progress=False)) == sequence(whole)
    assert file.read_bytes().startswith(b"".join(lines) + b"{")
    assert sequence(rs.load_search(f"journal:///{file}")) == sequence(whole)


def test_an_incomplete_first_line_is_cut_off(tmp_path, whole):
    file = tmp_path / "search.log"
    file.write_bytes(b'{"op_code":0,"work')
    assert sequence(evolver(file).run(8, progress=False)) == sequence(whole)


@pytest.mark.slow
def test_a_full_disk_loses_only_running_candidates(tmp_path, whole):
    resource = pytest.importorskip("resource")
    file = tmp_path / "search.log"
    evolver(file).run(1, progress=False)
    for room in (100, 5_003, 10_007):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + room, before[1]))
        try:
            with pytest.raises(StorageError, match=r"cannot be (read or )?written|File too large"):
                evolver(file).run(8, progress=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert file.read_bytes().endswith(b"\n")
        rs.load_search(f"journal:///{file}")
    assert not os.path.lexists(f"{file}.lock")
    assert sequence(evolver(file).run(8, progress=False)) == sequence(whole)


def test_an_error_names_a_damaged_line(tmp_path):
    file = tmp_path / "search.log"
    evolver(file).run(2, progress=False)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:9] + lines[4]
    file.write_bytes(b"".join(lines))
    for reading in (lambda: evolver(file), lambda: rs.load_search(f"journal:///{file}")):
        with pytest.raises(StorageError, match=r"line 5 is damaged, and it is not the last"):
            reading()
