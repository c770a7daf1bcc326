"""Files of tensors: replaced atomically, mapped into memory, damage detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rosearch.distill.tensor_files import read_tensors, read_unverified, write_tensors


def test_what_is_written_is_read_in_its_type(tmp_path: Path) -> None:
    shared = torch.randn(3, 4)
    tensors = {"a": shared, "b": shared, "c": shared.bfloat16(), "empty": torch.zeros(0, 5)}
    tensors["empty array"] = torch.from_numpy(np.array([], dtype=np.int32))
    write_tensors(tmp_path / "folder" / "x", tensors)
    found = read_tensors(tmp_path / "folder" / "x")
    assert found is not None
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in tensors.items())


def test_replacing_a_file_leaves_the_mapped_one_readable(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_tensors(path, {"a": torch.ones(1000)})
    before = read_tensors(path)
    write_tensors(path, {"a": torch.zeros(1000)})
    after = read_tensors(path)
    assert before is not None
    assert after is not None
    assert before["a"].sum() == 1000
    assert after["a"].sum() == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    write_tensors(path, {"a": torch.ones(3)})
    with monkeypatch.context() as patch:
        patch.setattr("rosearch.caching.apply_umask", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_tensors(path, {"a": torch.zeros(3)})
    found = read_tensors(path)
    assert found is not None
    assert found["a"].sum() == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"", b"no header", b"\xff" * 100])
def test_missing_and_damaged_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    assert read_tensors(path) is None


def test_a_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    tensors = {"a": torch.randn(100), "b": torch.ones(3, dtype=torch.bool)}
    write_tensors(path, tensors)
    content = path.read_bytes()
    for bit in (len(content) - 1, len(content) - 200):
        path.unlink()
        path.write_bytes(content[:bit] + bytes([content[bit] ^ 1]) + content[bit + 1 :])
        assert read_tensors(path) is None
    path.unlink()
    path.write_bytes(content)
    assert read_tensors(path) is not None


def test_one_tensor_is_read_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_tensors(path, {"a": torch.arange(5), "b": torch.randn(100)})
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of b
    assert read_tensors(path) is None
    found = read_unverified(path, "a")
    assert found is not None
    assert found.tolist() == [0, 1, 2, 3, 4]
    assert read_unverified(path, "c") is None
    write_tensors(path, {"a": torch.zeros(2)})
    again = read_unverified(path, "a")
    assert again is not None
    assert again.tolist() == [0, 0]
    path.unlink()
    assert read_unverified(path, "a") is None
