"""Models from the Hugging Face Hub: found in its cache, or downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from rosearch.errors import MissingResourceError
from rosearch.quiet import quiet_transformers

_TIMEOUT = 10.0  # seconds


def model_folder(
    name: str, kind: str, how_to_get: str, download: Callable[[str], object] | None = None
) -> Path:
    """Return the folder of a model: a local folder, or a snapshot in the Hub's cache.

    Args:
        name: A folder, or a name on the Hub.
        kind: The kind of model, for the error message.
        how_to_get: Advice at the end of the error message.
        download: Loads the model by its name, which downloads it into the Hub's cache. ``None``
            disables downloading.

    Raises:
        MissingResourceError: The model is not found and cannot be downloaded.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    found = cached_model(name)
    missing = f"The {kind} {name!r} is neither a folder nor in the Hugging Face cache"
    if found is None and download is not None:
        try:
            # Asked first, because without a network a download is retried for over a minute.
            HfApi().model_info(name, timeout=_TIMEOUT)
            with quiet_transformers(warnings=False):
                download(name)
        except Exception as error:
            raise MissingResourceError(
                f"{missing}, and cannot be downloaded ({type(error).__name__}). {how_to_get}"
            ) from error
        found = cached_model(name)
    if found is None:
        raise MissingResourceError(f"{missing}. {how_to_get}")
    return found


def load_pretrained(auto_class: Any, name: str, kind: str, tokenizer: Any) -> tuple[Any, Any]:
    """Load a model and its tokenizer.

    Args:
        auto_class: The class of transformers that loads the model.
        name: Its folder, or its name on the Hub.
        kind: The kind of model, for the error message.
        tokenizer: Another tokenizer than the model's own, or ``None``.

    Raises:
        MissingResourceError: The model or its tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers(warnings=False):
            tokenizer = tokenizer or AutoTokenizer.from_pretrained(name)
            return auto_class.from_pretrained(name), tokenizer
    except (OSError, ValueError) as error:
        raise MissingResourceError(
            f"The {kind} {name!r} cannot be loaded: {error}. Give a folder or the name of one."
        ) from error


def cached_model(name: str) -> Path | None:
    """Return the snapshot of a model in the Hub's cache, if it holds the model's weights."""
    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    if isinstance(config, str) and weight_files(Path(config).parent):
        return Path(config).parent
    return None


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: safetensors, otherwise PyTorch's own format."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
