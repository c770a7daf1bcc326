"""The cache folder, and who may read what is put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rosearch.caching import cache_folder, new_folder, share


def test_the_folder_is_the_argument_s_or_the_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "own"))
    assert cache_folder("a", create=False) == tmp_path / "own" / "a"
    assert not (tmp_path / "own").exists()
    assert cache_folder("a", "b", folder=tmp_path / "other").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_shared_files_have_the_rights_of_new_ones(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder, new = tmp_path / "made", tmp_path / "new"
        for made in (folder, folder / "inner"):
            made.mkdir(mode=0o700)
        file = folder / "inner" / "file"
        file.touch(mode=0o600)
        folder.chmod(0o2700)  # what is made in it belongs to its group
        new.mkdir()
        (new / "file").touch()
        share(folder)
        assert os.umask(umask) == umask
        assert file.stat().st_mode == (new / "file").stat().st_mode
        assert (folder / "inner").stat().st_mode & 0o777 == new.stat().st_mode & 0o777
        assert folder.stat().st_mode & 0o7777 == new.stat().st_mode & 0o777 | 0o2000
    finally:
        os.umask(before)


def test_new_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with new_folder(target) as draft:
        (draft / "file").write_text("first")
        assert not target.exists()
    assert (target / "file").read_text() == "first"
    with new_folder(target) as draft:
        (draft / "file").write_text("second")
    assert (target / "file").read_text() == "first"
    with pytest.raises(OSError, match="made"), new_folder(target) as draft:
        (draft / "other").touch()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "failed"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [target]
