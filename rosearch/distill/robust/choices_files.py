"""Replacements of words in the cache, so that processes and searches look them up once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from rosearch.caching import cache_folder, read_or_make
from rosearch.data import TextDataset
from rosearch.distill.robust.word_perturbation import Replacements
from rosearch.distill.teacher.fingerprint import fingerprint
from rosearch.distill.tensor_files import read_tensors, write_tensors
from rosearch.tokens import Truncation, WordChoices
from rosearch.version import __version__

_LEFT = "left"


def cached_choices(
    replacements: Replacements,
    dataset: TextDataset,
    tokenizer: Any,
    *,
    max_length: int,
    cache_dir: str | os.PathLike[str] | None = None,
) -> WordChoices:
    """Return the replacements in texts, looked up once for each content.

    Only replacements with a true attribute ``is_told_by_settings`` are kept in the cache, if they
    say how texts are cut.

    Args:
        replacements: The allowed replacements.
        dataset: The texts.
        tokenizer: Their tokenizer.
        max_length: Maximum tokens of a text.
        cache_dir: Cache folder; default: ``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``.
    """
    if not getattr(replacements, "is_told_by_settings", False):
        return replacements.choices(dataset, tokenizer, max_length=max_length)
    reading = fingerprint("", tokenizer, max_length)
    parts = [dict(replacements.settings), dataset.fingerprint, reading, __version__]
    key = json.dumps(parts, sort_keys=True).encode(errors="surrogatepass")
    name = f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.safetensors"
    path = cache_folder("replacements", folder=cache_dir, create=False) / name

    def look_up() -> WordChoices:
        found = replacements.choices(dataset, tokenizer, max_length=max_length)
        if found.truncation is not None:
            with contextlib.suppress(OSError):  # a full or read-only disk
                write_tensors(path, _tensors(found, found.truncation))
        return found

    return read_or_make(path, _read, look_up)


def _tensors(choices: WordChoices, truncation: Truncation) -> dict[str, torch.Tensor]:
    arrays = {
        field.name: getattr(part, field.name)
        for part in (choices, truncation)
        for field in fields(part)
        if field.name not in (_LEFT, "truncation")
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return tensors | {_LEFT: torch.tensor(truncation.left)}


def _read(path: Path) -> WordChoices | None:
    tensors = read_tensors(path)
    if tensors is None:
        return None
    left = bool(tensors.pop(_LEFT))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    names = {field.name for field in fields(Truncation)} - {_LEFT}
    truncation = Truncation(**{name: arrays.pop(name) for name in names}, left=left)
    return WordChoices(**arrays, truncation=truncation)
