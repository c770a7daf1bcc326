"""What a model is, whatever it is called: files in the Hugging Face cache, digests of models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from rosearch.attack.settings import name_of, public_settings, without_addresses

# Models that the Hub once kept without an owner are found there under either name.
_OWNERS = {
    "albert": "albert",
    "bert": "google-bert",
    "distilbert": "distilbert",
    "distilroberta": "distilbert",
    "roberta": "FacebookAI",
    "xlm": "FacebookAI",
}
_OTHER_FORMATS = frozenset(
    ".gguf .h5 .msgpack .mlmodel .onnx .ot .pdf .png .jpg .tflite .md".split()
)
# Where files lie, and what wrote them, does not change answers.
_INCIDENTAL = frozenset(
    "_commit_hash _name_or_path name_or_path is_local local_files_only transformers_version".split()
)


def hub_folder() -> Path:
    """The Hugging Face Hub's cache, as huggingface_hub finds it, which is not imported for it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.path.expandvars(os.environ[variable])).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def cached_files(name: str) -> Path | None:
    """The folder of a model in the Hugging Face cache, if its weights are there.

    Args:
        name: Its name on the Hub; old names without an owner stand for those with one, and the
            other way round.
    """
    for spelled in _spellings(name):
        repository = hub_folder() / f"models--{spelled.replace('/', '--')}"
        try:
            commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            continue
        folder = repository / "snapshots" / commit
        if weight_files(folder):
            return folder
    return None


def _spellings(name: str) -> list[str]:
    owner, _, bare = name.rpartition("/")
    known = _OWNERS.get(bare.partition("-")[0])
    if known is None or owner not in ("", known):
        return [name]
    return [name, bare if owner else f"{known}/{bare}"]


def weight_files(folder: Path) -> list[Path]:
    """A model's weights: safetensors, else PyTorch's own format."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def model_files(folder: Path) -> list[Path]:
    """All files of a model that may decide its answers.

    These are all in its folder, and in those that the ``modules.json`` of sentence-transformers
    names, besides weights in formats that are not loaded and texts for people.
    """
    places = [path for path in folder.glob("*") if path.is_file()]
    for module in _modules(folder):
        places += [path for path in (folder / module).rglob("*") if path.is_file()]
    return sorted({path for path in places if _counts(path)})


def _modules(folder: Path) -> list[str]:
    try:
        found = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return [str(module["path"]) for module in found if module["path"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _counts(path: Path) -> bool:
    if path.name.startswith((".", "README", "LICENSE")) or path.suffix in _OTHER_FORMATS:
        return False
    return path.suffix != ".bin" or path in weight_files(path.parent)


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


def digest_of_model(model: Any, tokenizer: Any = None, *, other: Any = None) -> str:
    """Hash of what decides a model's answers.

    That is the kind and the configuration of each of its modules, parameters, buffers, and how
    texts become tokens.

    Args:
        model: A module of PyTorch.
        tokenizer: Its tokenizer.
        other: Anything else that decides what it answers, in a form that JSON has.
    """
    about = [_about_modules(model), _about_tokenizer(tokenizer), _plain(other)]
    text = json.dumps(about, sort_keys=True, default=lambda x: without_addresses(repr(x)))
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _about_modules(model: Any) -> list[Any]:
    if not isinstance(model, torch.nn.Module):
        return [name_of(model)]
    told: list[Any] = []
    seen: set[int] = set()
    for name, module in model.named_modules():
        about = [name, name_of(type(module)), module.extra_repr()]
        config = getattr(module, "config", None)
        # Modules of one network share their configuration.
        if config is not None and hasattr(config, "to_dict") and id(config) not in seen:
            seen.add(id(config))
            about.append(_plain(config.to_dict()))
        # Modules of sentence-transformers tell their own.
        if hasattr(module, "get_config_dict"):
            about.append(_plain(module.get_config_dict()))
        told.append(about)
    return told


def _about_tokenizer(tokenizer: Any) -> list[Any]:
    if tokenizer is None:
        return []
    names = "model_max_length truncation_side padding_side special_tokens_map"
    told = [_plain(getattr(tokenizer, name, None)) for name in names.split()]
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    try:
        steps = json.loads(backend.to_str())
    except Exception:  # noqa: BLE001 - there is none, or it has parts written in Python
        given = getattr(tokenizer, "init_kwargs", None) or public_settings(tokenizer)
        return [name_of(tokenizer), *told, _vocabulary(tokenizer), _plain(given)]
    # These two are set anew by each call.
    return [*told, {k: v for k, v in steps.items() if k not in ("truncation", "padding")}]


def _vocabulary(tokenizer: Any) -> Any:
    found = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else []
    return sorted(found.items()) if isinstance(found, Mapping) else list(found)


def _plain(value: Any) -> Any:
    """A configuration as JSON has it, without what does not change answers."""
    if isinstance(value, Mapping):
        return {
            str(key): _plain(each)
            for key, each in value.items()
            if key not in _INCIDENTAL and not str(key).endswith("_file")
        }
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
