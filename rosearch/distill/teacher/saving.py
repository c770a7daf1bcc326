"""Saving a fine-tuned teacher to a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rosearch.caching import apply_umask
from rosearch.errors import DataError
from rosearch.quiet import quiet_transformers


def require_model_folder(target: Path) -> None:
    """Raise a DataError if ``target`` holds files other than a model's."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        known = "model_type" in json.loads((target / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise DataError(
            f"save_to={str(target)!r} exists and holds no model (no config.json with a "
            f"model_type). Give a new or empty folder, or that of a model to be replaced."
        )


def save_model(model: Any, tokenizer: Any, target: Path) -> None:
    """Save a model and its tokenizer; a model in the folder is replaced, other files stay."""
    # A new folder gets its name once it is complete, so that a killed run leaves none.
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        with quiet_transformers():
            model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        apply_umask(scratch)
        if not target.exists():
            scratch.rename(target)
            return
        written = {path.name for path in scratch.iterdir()}
        for path in target.glob("model*.safetensors*"):
            # transformers prefers weights in one file to those in several.
            if path.name not in written:
                path.unlink()
        for name in written:
            (scratch / name).replace(target / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
