"""What a student's folder holds besides configuration and weights, and its upload."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi

from rosearch.caching import apply_umask, replace_text
from rosearch.errors import DataError
from rosearch.student.card import PICTURE, TITLE, model_card
from rosearch.student.record import RECORD_FILE, StudentRecord
from rosearch.student.remote_code import write_code
from rosearch.student.tokenizer_files import save_tokenizer

MODEL_CARD = "README.md"

FOLDER = "path/to/this/folder"
"""Stands for the folder of a student in its card."""


def complete_folder(
    student: Any,
    folder: Path,
    before: Mapping[str, float],
    *,
    place: str,
    tags: Sequence[str],
    picture: bool,
) -> None:
    """Add what a folder with a student's configuration and weights lacks.

    That is its tokenizer, code, record and model card; all is readable as the umask has it.

    Args:
        student: The student.
        folder: The folder.
        before: When each file in it was last written before the student was saved.
        place: Folder or name on the hub to load it from, for the card.
        tags: Tags on the hub besides the student's own.
        picture: Whether to draw the architecture, if matplotlib is installed.
    """
    if student.tokenizer is not None:
        save_tokenizer(student.tokenizer, folder, student.config)
    write_code(student, folder)
    if picture and find_spec("matplotlib"):
        student.config.architecture.draw(folder / PICTURE)
    write_record(student, folder, place=place, tags=tags)
    for path in written(folder, before):
        apply_umask(path)  # safetensors makes files that only their owner can read


def write_record(
    student: Any, folder: Path, *, place: str = FOLDER, tags: Sequence[str] = ()
) -> None:
    """Write a student's record and model card into its folder; a card written by hand stays."""
    replace_text(folder / RECORD_FILE, json.dumps(student.record.to_dict(), indent=1) + "\n")
    path = folder / MODEL_CARD
    if not path.exists() or TITLE in path.read_text(encoding="utf-8", errors="replace"):
        picture = (folder / PICTURE).exists()
        path.write_text(model_card(student, place, tags, picture=picture), encoding="utf-8")


def read_record(file: str | os.PathLike[str]) -> StudentRecord:
    """Read the record of a student's folder.

    Raises:
        DataError: The file holds none.
    """
    try:
        return StudentRecord.from_dict(json.loads(Path(file).read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{file} is no record of a student: {error}") from error


def file_times(folder: Path) -> dict[str, float]:
    """Return when each file in a folder was last written."""
    return {path.name: path.stat().st_mtime for path in folder.glob("*") if path.is_file()}


def written(folder: Path, before: Mapping[str, float]) -> list[Path]:
    """Return the files in a folder that were written after ``before``, by :func:`file_times`."""
    now = file_times(folder)
    return sorted(folder / name for name, time in now.items() if before.get(name) != time)


def upload(
    files: Sequence[Path],
    repo_id: str,
    *,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    create_pr: bool = False,
) -> Any:
    """Upload files of a student to the Hugging Face Hub; a model card that is there stays.

    The arguments are those of transformers' ``push_to_hub``.

    Returns:
        The hub's answer, a ``huggingface_hub.CommitInfo``.
    """
    api = HfApi()
    repo_id = api.create_repo(repo_id, private=private, token=token, exist_ok=True).repo_id
    has_card = False
    with suppress(OSError):  # without a network, create_commit says so
        has_card = api.file_exists(repo_id, MODEL_CARD, revision=revision, token=token)
    files = [path for path in files if path.name != MODEL_CARD or not has_card]
    if revision is not None and not revision.startswith("refs/pr"):
        api.create_branch(repo_id, branch=revision, token=token, exist_ok=True)
    return api.create_commit(
        repo_id=repo_id,
        operations=[CommitOperationAdd(path.name, str(path)) for path in files],
        commit_message=commit_message or "Upload student",
        commit_description=commit_description,
        token=token,
        create_pr=create_pr,
        revision=revision,
    )
