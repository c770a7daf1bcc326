"""A teacher's identity: a hash of everything that decides its outputs."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

from transformers import PreTrainedTokenizerBase

from rosearch.distill.training.checkpoints import weights_digest
from rosearch.encode import encoding_of
from rosearch.tokens import pads_left, tokenize

_PROVENANCE = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "architectures", "dtype",
    "torch_dtype", "transformers_version",
}  # fmt: skip
"""Entries of a configuration that say where a model comes from, not what it computes."""


def fingerprint(
    model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int, *, padded: bool = True
) -> str:
    """Return a hash of weights, configuration, tokenizer, maximum length and use of padding."""
    (row,) = tokenize(tokenizer, ["a"], max_length=max_length)
    parts = [
        type(model).__qualname__,
        {k: v for k, v in model.config.to_dict().items() if k not in _PROVENANCE},
        weights_digest(model.state_dict()),
        _tokenizer_rules(tokenizer),
        {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        [pads_left(tokenizer), tokenizer.truncation_side, row.types],
        max_length,
    ]
    if not padded:
        parts.append("no padding")
    encoding = encoding_of(tokenizer)
    if encoding is not None:
        parts.append(encoding.fingerprint)
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tokenizer_rules(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return what decides how texts become tokens, as plain values."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        # These are settings of the last call, not of the tokenizer.
        return {k: v for k, v in rules.items() if k not in ("truncation", "padding")}
    # The rules of a tokenizer in Python are only known by its arguments. Files and special tokens
    # are left out: the vocabulary holds them, and saving changes their form.
    parameters = inspect.signature(type(tokenizer).__init__).parameters
    arguments = {
        name: value
        for name, value in tokenizer.init_kwargs.items()
        if name in parameters and not name.endswith(("_file", "_token", "_tokens"))
    }
    return [type(tokenizer).__qualname__, arguments, sorted(tokenizer.get_vocab().items())]
