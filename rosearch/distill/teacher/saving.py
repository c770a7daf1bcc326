"""Saving a fine-tuned teacher to a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rosearch.caching import apply_umask, new_folder
from rosearch.encode import ENCODING_FILE
from rosearch.errors import DataError
from rosearch.quiet import quiet_transformers
from rosearch.student.tokenizer_files import limited, save_tokenizer
from rosearch.tokens import position_limit


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
    with new_folder(target) as draft:
        with quiet_transformers():
            model.save_pretrained(draft)
        save_tokenizer(limited(tokenizer, position_limit(model)), draft, model.config)
        apply_umask(draft)
        if not target.exists():
            return
        written = {path.name for path in draft.iterdir()}
        # transformers prefers weights in one file to those in several.
        for path in [*target.glob("model*.safetensors*"), target / ENCODING_FILE]:
            if path.name not in written:
                path.unlink(missing_ok=True)
        # config.json last: with it the folder counts as a model.
        for name in sorted(written, key="config.json".__eq__):
            (draft / name).replace(target / name)
