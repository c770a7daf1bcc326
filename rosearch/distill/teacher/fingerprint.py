"""A teacher's identity: a hash of everything that decides its outputs."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rosearch.distill.training.checkpoints import is_plain, weights_digest
from rosearch.encode import encoding_of
from rosearch.tokens import pads_left, tokenize

_PROVENANCE = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "architectures", "dtype",
    "torch_dtype", "transformers_version",
}  # fmt: skip
"""Entries of a configuration that say where a model comes from, not what it computes."""

_NOT_COMPUTED_WITH = {
    *vars(nn.Module()), "config", "max_seq_len_cached", "name_or_path", "pooling_mult", "seq_len",
    "warnings_issued", "_is_hf_initialized",
}  # fmt: skip
"""Attributes of modules that are left by the last call, do not decide outputs, or are seen
otherwise."""

_LIBRARIES = ("accelerate", "rosearch", "torch", "transformers")
"""Their hooks read outputs or move weights, and come and go with use."""

_DEPTH = 4
"""Levels of objects in objects that are looked into."""

_LARGE = 1 << 20
_ROW = 1 << 13
"""Bytes of a tensor from which it is summed, and of a row of the sums."""


class ModelDigest:
    """A hash of weights, buffers, configuration and modules, up to date at every call.

    Hashing a large model takes seconds, so it is done only when a quick checksum of all weights has
    changed. PyTorch's version counters would be quicker still, but writing to ``parameter.data``,
    as merging an adapter does, does not raise them.

    Of functions and objects that are assigned to a module or hooked onto it, name, code, closure
    and attributes are seen, a few levels deep; not what else they read.
    """

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None

    def of(self, model: Any) -> str:
        """Return the hash of a model."""
        tensors = {**dict(model.named_buffers()), **model.state_dict()}
        config = {k: v for k, v in model.config.to_dict().items() if k not in _PROVENANCE}
        if config.get("problem_type") == "single_label_classification":
            config["problem_type"] = None  # which training with labels sets
        parts = [type(model).__qualname__, config, _modules(model)]
        quick = _hash([*parts, _checksums(tensors)])
        if self._last is None or self._last[0] != quick:
            self._last = quick, _hash([*parts, weights_digest(tensors)])
        return self._last[1]


def fingerprint(model: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    """Return a hash of a model, by its digest, with tokenizer and maximum length."""
    (row,) = tokenize(tokenizer, ["a"], max_length=max_length)
    encoding = encoding_of(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rest = [
        {k: str(v) for k, v in tokenizer.special_tokens_map.items()},
        [pads_left(tokenizer), tokenizer.truncation_side, row.types],
        max_length,
        None if encoding is None else encoding.fingerprint,
    ]
    if backend is None:
        return _hash([model, _python_rules(tokenizer), *rest])
    return _of_backend(model, backend.to_str(), json.dumps(rest))


@lru_cache(maxsize=8)
def _of_backend(model: str, rules: str, rest: str) -> str:
    """Return the hash for a tokenizer in Rust; reading its rules takes a tenth of a second."""
    # Truncation and padding are settings of the last call, not of the tokenizer.
    own = {k: v for k, v in json.loads(rules).items() if k not in ("truncation", "padding")}
    return _hash([model, own, *json.loads(rest)])


def _hash(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _checksums(tensors: Mapping[str, Any]) -> str:
    """Return a hash that changes with the tensors, at the speed of reading them."""
    return weights_digest({name: _summary(value) for name, value in tensors.items()})


def _summary(value: Any) -> Any:
    """Return the sums of the rows and columns of a large tensor's bytes, else the tensor."""
    if not is_plain(value) or value.nbytes < _LARGE:
        return value
    content = value.detach().contiguous().flatten().view(torch.uint8)
    if content.storage_offset() % 8:
        content = content.clone()
    end = len(content) // _ROW * _ROW
    rows = content[:end].view(torch.int64).view(-1, _ROW // 8)
    sums = torch.cat([rows.sum(dim=0), rows.sum(dim=1)]).cpu()
    return torch.cat([sums.view(torch.uint8), content[end:].cpu()])


def _modules(model: nn.Module) -> list[Any]:
    """Return class and plain attributes of all modules, and the names of what is hooked on."""
    found = []
    for name, module in model.named_modules():
        own = {k: _plain(v) for k, v in vars(module).items() if k not in _NOT_COMPUTED_WITH}
        if isinstance(module, PreTrainedModel):  # whose own ones are about loading and saving
            own = {k: v for k, v in own.items() if not k.startswith("_")}
        # Before version 5, models are patched for hidden states, and keep a bound method.
        if own.get("forward") == type(module).forward.__qualname__:
            del own["forward"]
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        found.append(
            [
                name,
                type(module).__qualname__,
                {k: v for k, v in own.items() if v is not None},
                [_plain(h) for h in hooks if not _of_library(h)],
            ]
        )
    return found


def _of_library(value: Any) -> bool:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return str(getattr(kind, "__module__", "")).partition(".")[0] in _LIBRARIES


def _plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return what a value computes with, as far as it is known, as text; ``None`` if nothing is."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, torch.dtype)):
        return None if value is None else repr(value)
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, torch.Tensor):
        return weights_digest({"": value.detach()})
    name = getattr(value, "__qualname__", None)
    if depth == 0 or isinstance(value, type):
        return name
    inner = partial(_plain, depth=depth - 1)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [inner(item) for item in value]
        return items if isinstance(value, (list, tuple)) else sorted(map(str, items))
    if isinstance(value, dict):
        return {str(key): inner(item) for key, item in value.items()}
    if isinstance(value, partial):
        return [inner(part) for part in (value.func, value.args, value.keywords)]
    if _of_library(value):
        return name
    if isinstance(value, MethodType):
        # A model's own method leads back to the model, whose attributes are seen anyway.
        owner = value.__self__
        return [inner(value.__func__), None if isinstance(owner, nn.Module) else inner(owner)]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        known = [cell for cell in cells if not isinstance(cell, nn.Module)]
        code = value.__code__
        constants = [part for part in code.co_consts if not isinstance(part, CodeType)]
        body = [code.co_code.hex(), code.co_names, inner(constants)]
        return [name, body, inner(known), inner(value.__defaults__), inner(value.__kwdefaults__)]
    state = getattr(value, "__dict__", None)
    if state is None:
        return name
    return [type(value).__qualname__, inner({k: v for k, v in state.items() if v is not value})]


def _python_rules(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return what decides how texts become tokens in a tokenizer in Python, as plain values."""
    # They are only known by its arguments. Files and special tokens
    # are left out: the vocabulary holds them, and saving changes their form.
    parameters = inspect.signature(type(tokenizer).__init__).parameters
    arguments = {
        name: value
        for name, value in tokenizer.init_kwargs.items()
        if name in parameters and not name.endswith(("_file", "_token", "_tokens"))
    }
    return [type(tokenizer).__qualname__, arguments, sorted(tokenizer.get_vocab().items())]
