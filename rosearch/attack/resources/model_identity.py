"""Digests that identify a model by its content, so that cached answers belong to one model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rosearch.attack.resources.hub_models import weight_files
from rosearch.attack.settings import name_of, public_settings, without_addresses

# Weights in formats that are not loaded, and documentation.
_IGNORED_SUFFIXES = frozenset(
    ".gguf .h5 .msgpack .mlmodel .onnx .ot .pdf .png .jpg .tflite .md".split()
)
# Configuration entries that do not affect a model's answers.
_IGNORED_KEYS = frozenset(
    "_commit_hash _name_or_path name_or_path is_local local_files_only transformers_version".split()
)


def digest_of_folder(folder: Path) -> str:
    """Return a hash of the files in a model's folder that can affect its answers.

    These are the files in the folder itself and in the folders that the ``modules.json`` of
    sentence-transformers names, without documentation and unused weight formats.
    """
    folders = [(folder / module).rglob("*") for module in _modules(folder)]
    paths = {path for found in (folder.glob("*"), *folders) for path in found}
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for path in paths if path.is_file() and _affects_answers(path)):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _modules(folder: Path) -> list[str]:
    file = folder / "modules.json"
    modules = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return [module["path"] for module in modules if module["path"]]


def _affects_answers(path: Path) -> bool:
    if path.name.startswith((".", "README", "LICENSE")) or path.suffix in _IGNORED_SUFFIXES:
        return False
    return path.suffix != ".bin" or path in weight_files(path.parent)


def digest_of_model(model: torch.nn.Module, tokenizer: Any = None, *, other: Any = None) -> str:
    """Return a hash of everything that affects a model's answers.

    It covers the class and configuration of each module, parameters and buffers, and the
    tokenization.

    Args:
        model: The model, on any device.
        tokenizer: The model's tokenizer.
        other: Further settings that affect the answers, as JSON values.
    """
    configurations = _plain([_configurations(model), other])
    described = [name_of(model), repr(model), configurations, _tokenizer_settings(tokenizer)]
    text = without_addresses(json.dumps(described, sort_keys=True, default=repr))
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _configurations(model: torch.nn.Module) -> list[Any]:
    """Return the configurations of a model's modules, those that several share once."""
    found: dict[int, Any] = {}
    module: Any
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "to_dict"):
            found[id(config)] = config.to_dict()
        if hasattr(module, "get_config_dict"):  # of sentence-transformers
            found[id(module)] = module.get_config_dict()
    return list(found.values())


def _tokenizer_settings(tokenizer: Any) -> list[Any]:
    if tokenizer is None:
        return []
    names = ("model_max_length", "truncation_side", "padding_side", "special_tokens_map")
    settings = [_plain(getattr(tokenizer, name, None)) for name in names]
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    try:
        steps = json.loads(backend.to_str())
    except Exception:  # noqa: BLE001 - there is no backend, or it has parts written in Python
        given = getattr(tokenizer, "init_kwargs", None) or public_settings(tokenizer)
        vocabulary = sorted(getattr(tokenizer, "get_vocab", dict)().items())
        return [name_of(tokenizer), *settings, vocabulary, _plain(given)]
    # Each call of the tokenizer sets these two anew.
    return [*settings, {k: v for k, v in steps.items() if k not in ("truncation", "padding")}]


def _plain(value: Any) -> Any:
    """Return a configuration as JSON values, without entries that do not affect answers."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain(each)
            for key, each in value.items()
            if key not in _IGNORED_KEYS and not str(key).endswith("_file")
        }
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
