"""What a student's folder holds besides configuration and weights, and its upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi

from rosearch.caching import apply_umask
from rosearch.student.remote_code import plug_in_packages, write_code
from rosearch.student.tokenizer_files import save_tokenizer

MODEL_CARD = "README.md"

_TITLE = "# A text classifier made with rosearch"
"""First line of a model card of ours; another card, written by hand, is kept."""

_CARD = """---
library_name: transformers
pipeline_tag: text-classification
tags:
{tags}
---

{title}

It has {parameters:,} parameters, reads up to {positions} tokens and tells these classes apart:
{classes}.

## How to load it

transformers knows this model once `rosearch` is imported (`pip install rosearch`):

```python
{imports}
{load}
```
"""

_PIPELINE = """from transformers import pipeline
classify = pipeline("text-classification", model="{place}", truncation=True)"""

_MODEL = """from transformers import AutoModelForSequenceClassification
student = AutoModelForSequenceClassification.from_pretrained("{place}")"""


def complete_folder(student: Any, folder: Path, before: Mapping[str, float], card: str) -> None:
    """Add tokenizer and model card to a folder of a student, readable as the umask has it.

    Args:
        student: The student, whose configuration and weights are in the folder.
        folder: The folder.
        before: When each file in it was last written before the student was saved.
        card: Text of the model card. One written by hand stays.
    """
    if student.tokenizer is not None:
        save_tokenizer(student.tokenizer, folder, student.config)
    write_code(student, folder)
    path = folder / MODEL_CARD
    if not path.exists() or _TITLE in path.read_text(encoding="utf-8", errors="replace"):
        path.write_text(card, encoding="utf-8")
    for path in written(folder, before):
        apply_umask(path)  # safetensors makes files that only their owner can read


def model_card(student: Any, place: str, tags: Sequence[str] = ()) -> str:
    """Return what a student is and how to load it, in Markdown with the hub's metadata.

    Args:
        student: The student.
        place: Folder or name on the hub to load it from.
        tags: Tags on the hub besides the student's own.
    """
    config = student.config
    names = dict.fromkeys(["rosearch", *(student.model_tags or ()), *tags])
    return _CARD.format(
        title=_TITLE,
        tags="\n".join(f"  - {name}" for name in names),
        parameters=student.num_parameters(),
        positions=config.max_position_embeddings,
        classes=", ".join(str(config.id2label[k]) for k in sorted(config.id2label)),
        imports="\n".join(f"import {name}" for name in ("rosearch", *plug_in_packages(student))),
        load=(_MODEL if student.tokenizer is None else _PIPELINE).format(place=place),
    )


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
