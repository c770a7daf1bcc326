"""What a model is, whatever it is called: files in the Hugging Face cache, digests of weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch


def cached_files(name: str) -> Path | None:
    """The folder of a model in the Hugging Face cache, if its weights are there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return folder if weight_files(folder) else None


def weight_files(folder: Path) -> list[Path]:
    """A model's weights: safetensors, else PyTorch's own format."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def digest_of_files(folder: Path, files: Iterable[Path]) -> str:
    """Hash of files and of their names within ``folder``; those that are missing are left out."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        if path.is_file():
            place = path.relative_to(folder).as_posix()
            digest.update(f"{place} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    return digest.hexdigest()


def digest_of_weights(model: Any, tokenizer: Any = None, *, limit: Any = None) -> str:
    """Hash of a PyTorch model's parameters and buffers.

    Args:
        model: A module.
        tokenizer: Its tokenizer, whose vocabulary counts too.
        limit: Anything else that decides what it answers, the longest input for one.
    """
    vocabulary = [] if tokenizer is None else sorted(tokenizer.get_vocab().items())
    digest = hashlib.blake2b(json.dumps([vocabulary, repr(limit)]).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
