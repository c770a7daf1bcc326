"""Create and describe victims."""

from __future__ import annotations

from typing import Any, Literal

import torch

from rosearch.attack.settings import name_of
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.precision import Bfloat16Victim
from rosearch.attack.victim.victim import Victim
from rosearch.encode import Chain, Encoding
from rosearch.encode.tokenizer import EncodedTokenizer
from rosearch.errors import ArgumentError, DataError

Precision = Literal["float32", "bfloat16"]


def make_victim(
    model: Any,
    tokenizer: Any = None,
    *,
    encoding: Encoding | None = None,
    max_length: int | None = None,
    token_budget: int | None = None,
    precision: Precision = "float32",
) -> Victim:
    """Return a :class:`Victim` for a model, a function or a victim.

    Args:
        model: A :class:`Victim`, a Hugging Face sequence classifier, an object with attributes
            ``model`` and ``tokenizer`` (such as a teacher), or a function from texts to an array of
            shape ``(texts, classes)``.
        tokenizer: The model's tokenizer. Default: ``model.tokenizer``.
        encoding: Applied to every text before the model reads it. Default: that of the tokenizer,
            if it is an :class:`~rosearch.encode.tokenizer.EncodedTokenizer`.
        max_length: See :class:`ModelVictim`; ignored for victims and functions.
        token_budget: See :class:`ModelVictim`; ignored for victims and functions.
        precision: ``"bfloat16"`` makes a :class:`Bfloat16Victim` of a model; ignored for victims
            and functions.

    Raises:
        DataError: A model has no tokenizer, or with ``encoding`` one that is slow or applies an
            encoding already; or ``model`` is none of the above.
        ArgumentError: ``encoding`` is no encoding, or is given with a :class:`Victim`.
    """
    if isinstance(model, Victim):
        if encoding is not None:
            raise ArgumentError(
                f"encoding must be None for a {type(model).__name__}, which decides itself what it "
                f"reads. Make the victim with it, as by FunctionVictim(function, encoding=...)."
            )
        return model
    if tokenizer is None:
        tokenizer = getattr(model, "tokenizer", None)
    wrapped = getattr(model, "model", None)
    if isinstance(wrapped, torch.nn.Module) and not isinstance(model, torch.nn.Module):
        model = wrapped
    if isinstance(model, torch.nn.Module):
        if tokenizer is None:
            raise DataError(
                f"{type(model).__name__} has no tokenizer attribute. Pass its tokenizer as the "
                f"second argument."
            )
        if encoding is not None:
            tokenizer = EncodedTokenizer.wrap(tokenizer, encoding)
        make = Bfloat16Victim if precision == "bfloat16" else ModelVictim
        return make(model, tokenizer, max_length=max_length, token_budget=token_budget)
    if callable(model):
        return FunctionVictim(model, encoding=encoding)
    raise DataError(
        f"Cannot attack {type(model).__name__}. Expected a Hugging Face sequence classifier, or a "
        f"function from a list of texts to an array of shape (texts, classes)."
    )


def describe_victim(victim: Victim) -> dict[str, Any]:
    """Return how a victim computes its answers, as JSON.

    For a model: the parameters' dtype, the dtype that searches query if it differs, the maximum
    input length in tokens and the tokenizer's class. For anything else: the kind of victim. With an
    encoding: name and settings of its parts, and its fingerprint.
    """
    exact = victim.exact
    if isinstance(exact, FunctionVictim):
        return {"kind": "function", **_described(exact.encoding)}
    if not isinstance(exact, ModelVictim):
        return {"kind": name_of(exact)}
    rough = victim.rough if isinstance(victim, Bfloat16Victim) else None
    return {
        "kind": "model",
        "dtype": _dtypes(exact.model),
        "screening_dtype": _dtypes(rough.model) if rough else None,
        "max_length": exact.tokens.max_length,
        "tokenizer": type(exact.tokens.tokenizer).__name__,
        **_described(exact.tokens.encoding),
    }


def _described(encoding: Encoding | None) -> dict[str, Any]:
    if encoding is None:  # nothing, as in reports made before there were encodings
        return {}
    parts = encoding.encodings if isinstance(encoding, Chain) else (encoding,)
    return {
        "encoding": {
            "parts": [
                {"name": part.registered_name(), "settings": dict(part.settings)} for part in parts
            ],
            "fingerprint": encoding.fingerprint,
        }
    }


def _dtypes(model: torch.nn.Module) -> str:
    """The dtypes of a model's parameters, sorted and separated by commas."""
    return ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters()}))
