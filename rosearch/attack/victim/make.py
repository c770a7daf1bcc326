"""Create and describe victims."""

from __future__ import annotations

from typing import Any, Literal

import torch

from rosearch.attack.settings import name_of
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.precision import Bfloat16Victim
from rosearch.attack.victim.victim import Victim
from rosearch.errors import DataError

Precision = Literal["float32", "bfloat16"]


def make_victim(
    model: Any,
    tokenizer: Any = None,
    *,
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
        max_length: See :class:`ModelVictim`; ignored for victims and functions.
        token_budget: See :class:`ModelVictim`; ignored for victims and functions.
        precision: ``"bfloat16"`` makes a :class:`Bfloat16Victim` of a model; ignored for victims
            and functions.

    Raises:
        DataError: A model has no tokenizer, or ``model`` is none of the above.
    """
    if isinstance(model, Victim):
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
        make = Bfloat16Victim if precision == "bfloat16" else ModelVictim
        return make(model, tokenizer, max_length=max_length, token_budget=token_budget)
    if callable(model):
        return FunctionVictim(model)
    raise DataError(
        f"Cannot attack {type(model).__name__}. Expected a Hugging Face sequence classifier, or a "
        f"function from a list of texts to an array of shape (texts, classes)."
    )


def describe_victim(victim: Victim) -> dict[str, Any]:
    """Return how a victim computes its answers, as JSON.

    For a model: the parameters' dtype, the dtype that searches query if it differs, the maximum
    input length in tokens and the tokenizer's class. For anything else: the kind of victim.
    """
    exact = victim.exact
    if not isinstance(exact, ModelVictim):
        return {"kind": "function" if isinstance(exact, FunctionVictim) else name_of(exact)}
    rough = victim.rough if isinstance(victim, Bfloat16Victim) else None
    return {
        "kind": "model",
        "dtype": _dtypes(exact.model),
        "screening_dtype": _dtypes(rough.model) if rough else None,
        "max_length": exact.tokens.max_length,
        "tokenizer": type(exact.tokens.tokenizer).__name__,
    }


def _dtypes(model: torch.nn.Module) -> str:
    """The dtypes of a model's parameters, sorted and separated by commas."""
    return ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters()}))
