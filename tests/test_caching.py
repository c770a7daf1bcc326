"""The cache folder, permissions, safe writes and temporary folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rosearch.caching import (
    TemporaryFolder,
    apply_umask,
    cache_folder,
    change_json,
    locked,
    new_folder,
    replace_text,
)


def test_cache_folder_follows_argument_then_environment(
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
        apply_umask(folder)
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


def test_replace_text_leaves_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    for text in ("one", "twö"):
        replace_text(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


MAKES_A_FOLDER = """
import os, signal
from rosearch.caching import TemporaryFolder
temporary = TemporaryFolder()
print(temporary.path, flush=True)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
input()
"""


def process_with_folder(folder: Path, *, killed: bool) -> tuple[subprocess.Popen[str], Path]:
    found = subprocess.Popen(
        [sys.executable, "-c", MAKES_A_FOLDER.format(killed=killed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
        text=True,
    )
    assert found.stdout is not None
    return found, Path(found.stdout.readline().strip())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_temporary_folders_of_killed_processes_are_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, theirs = process_with_folder(tmp_path, killed=False)
    old_killed, old = process_with_folder(tmp_path, killed=True)
    new_killed, new = process_with_folder(tmp_path, killed=True)
    old_killed.wait()
    new_killed.wait()
    for folder in (theirs, old):
        os.utime(folder, (time.time() - 25 * 3600,) * 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = TemporaryFolder(), TemporaryFolder()
    assert set(tmp_path.iterdir()) == {theirs, old, new}  # made when first needed
    assert {first.path, second.path} == set(tmp_path.iterdir()) - {theirs, new}
    running.communicate("\n")
    assert not theirs.exists()
    del first, second
    assert list(tmp_path.iterdir()) == [new]


def test_members_of_a_json_file_change(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    change_json(path, a=1)
    assert not path.exists()
    path.write_text('{"a": 1, "b": null, "c": "\u00e9"}', encoding="utf-8")
    change_json(path, a=None, d=[2])
    assert json.loads(path.read_text(encoding="utf-8")) == {"b": None, "c": "\u00e9", "d": [2]}
    before = path.stat().st_mtime_ns
    change_json(path, a=None, d=[2])
    assert path.stat().st_mtime_ns == before


def test_one_makes_a_file_and_others_wait(tmp_path: Path) -> None:
    path, made = tmp_path / "made", []

    def make() -> None:
        with locked(path):
            if not path.exists():
                time.sleep(0.1)
                made.append(path)
                path.write_text("made")

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [path]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_nobody_waits_on_a_read_only_disk(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with locked(tmp_path / "made"), locked(tmp_path / "made"):
        pass
    tmp_path.chmod(0o700)


def test_no_lock_in_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with locked(tmp_path / "file" / "made"), locked(tmp_path / "file" / "made"):
        pass
