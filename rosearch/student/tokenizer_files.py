"""Saving of tokenizers so that they are read back as they are."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rosearch.caching import change_json
from rosearch.encode import ENCODING_FILE
from rosearch.encode.tokenizer import EncodedTokenizer, generic

# Whether AutoTokenizer rebuilds a tokenizer, by its class, backend, settings and type of model.
_REBUILT: dict[tuple[type[Any], str, str, str], bool] = {}


def save_tokenizer(tokenizer: Any, folder: str | os.PathLike[str], config: Any) -> None:
    """Save a tokenizer so that ``AutoTokenizer`` reads back the same backend.

    From version 5 of transformers on, classes such as ``BertTokenizer`` are rebuilt from their
    vocabulary when they are loaded, and lose a normalizer or pre-tokenizer of their own. Such a
    tokenizer is saved as a ``PreTrainedTokenizerFast``, which is not rebuilt.

    Args:
        tokenizer: Any Hugging Face tokenizer.
        folder: The model's folder.
        config: The model's configuration.
    """
    chosen = generic(tokenizer) if _is_rebuilt(tokenizer, config) else tokenizer
    chosen.save_pretrained(folder)
    _write_for_all_versions(Path(folder) / "tokenizer_config.json")
    if not isinstance(tokenizer, EncodedTokenizer):
        (Path(folder) / ENCODING_FILE).unlink(missing_ok=True)  # of the model that was there before


def _write_for_all_versions(config: Path) -> None:
    """Rename what transformers before version 5 does not read, and later ones read either way."""
    values = json.loads(config.read_text(encoding="utf-8"))
    if values.get("tokenizer_class") == "TokenizersBackend":
        change_json(config, tokenizer_class="PreTrainedTokenizerFast")
    if values.get("extra_special_tokens") == []:
        change_json(config, extra_special_tokens=None)


def limited(tokenizer: Any, positions: int | None) -> Any:
    """Return a tokenizer that truncates to at most ``positions`` tokens.

    ``truncation=True`` means the tokenizer's own limit, which must be one that the model can read.
    The given tokenizer does not change: where it allows more, a copy is returned that shares its
    vocabulary. ``None`` is no limit.
    """
    if positions is None or getattr(tokenizer, "model_max_length", 0) <= positions:
        return tokenizer
    limited = copy.copy(tokenizer)
    limited.model_max_length = positions
    return limited


def _is_rebuilt(tokenizer: Any, config: Any) -> bool:
    if not tokenizer.is_fast or type(tokenizer) in (PreTrainedTokenizerFast, EncodedTokenizer):
        return False
    state = _state(tokenizer)
    settings = repr(sorted(tokenizer.init_kwargs.items(), key=str))
    key = type(tokenizer), state, settings, config.model_type
    if key not in _REBUILT:
        _REBUILT[key] = _read_back(tokenizer, config) != state
        if _REBUILT[key] and _read_back(generic(tokenizer), config) != state:
            warnings.warn(
                f"{type(tokenizer).__name__} is saved, but transformers will load it with other "
                f"components than it has now. Compare tokenizer.backend_tokenizer.to_str() before "
                f"and after.",
                stacklevel=4,
            )
    return _REBUILT[key]


def _read_back(tokenizer: Any, config: Any) -> str:
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return _state(AutoTokenizer.from_pretrained(folder, config=config))


def _state(tokenizer: Any) -> str:
    """Return a hash of the backend, apart from truncation and padding, which each call sets."""
    text: str = tokenizer.backend_tokenizer.to_str()
    parts = text[text.index('"added_tokens"') :]  # behind those two
    return hashlib.blake2b(parts.encode(errors="surrogatepass"), digest_size=16).hexdigest()
