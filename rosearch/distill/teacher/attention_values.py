"""The values of a teacher's attention, which no Hugging Face model returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rosearch.errors import DataError

_PROJECTIONS = ("value", "value_proj", "v_lin", "v_proj", "v")
"""What models call the linear map to the values: BERT and its relatives ``value``, DeBERTa-v2
``value_proj``, DistilBERT ``v_lin``, MPNet ``v``."""


class AttentionValues:
    """Takes the values of each layer while a model runs, all heads side by side.

    Layers that share weights (ALBERT) are told apart by the order of calls. Threads that run the
    model at the same time each see what they computed themselves.

    Args:
        model: A Hugging Face classifier; its hooks are there until :meth:`remove`.
        width: Channels of the model's hidden states.

    Raises:
        DataError: No attention of a known kind is found, or its values have other channels.
    """

    def __init__(self, model: nn.Module, *, width: int) -> None:
        self._own = threading.local()
        self._model = type(model).__name__
        sources = _sources(model)
        if not sources:
            raise DataError(
                f"{self._model} has no attention whose values are known by name "
                f"({', '.join(_PROJECTIONS)}). Use 'hidden_states' instead of the loss 'relations'."
            )
        for _, found, _ in sources:
            if found not in (None, width):
                raise DataError(
                    f"{self._model}'s attention values have {found} channels and its hidden states "
                    f"{width} (its heads share values, or are of another size). The loss "
                    f"'relations' needs equal ones; use 'hidden_states' instead."
                )
        self._handles = [
            module.register_forward_hook(self._hook(read)) for module, _, read in sources
        ]

    def clear(self) -> None:
        """Forget what this thread has computed so far."""
        self._own.calls = []

    def collected(self, layers: int) -> list[torch.Tensor]:
        """What this thread computed since :meth:`clear`.

        Args:
            layers: How many layers are expected.

        Returns:
            One ``(batch, length, width)`` a layer.

        Raises:
            DataError: It is another number of layers.
        """
        calls: list[torch.Tensor] = self._own.calls
        if len(calls) != layers:
            raise DataError(
                f"{self._model} computed attention values {len(calls)} times in {layers} layers, "
                f"so which is whose is not known. Leave out the loss 'relations'."
            )
        return calls

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, read: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            self._own.calls.append(read(output))

        return hook


def _sources(
    model: nn.Module,
) -> list[tuple[nn.Module, int | None, Callable[[torch.Tensor], torch.Tensor]]]:
    """Modules that compute values, each with their channels and how to read them off its output.

    Channels are ``None`` where the module does not tell.
    """
    found: list[tuple[nn.Module, int | None, Callable[[torch.Tensor], torch.Tensor]]] = []
    attention: Any
    for attention in model.modules():
        children = dict(attention.named_children())
        if "in_proj" in children and hasattr(attention, "v_bias"):
            found.append((children["in_proj"], attention.v_bias.numel(), _of_deberta(attention)))
        for name in _PROJECTIONS:
            if name in children and "Attention" in type(attention).__name__:
                channels = getattr(children[name], "out_features", None)
                found.append((children[name], channels, lambda output: output))
                break
    return found


def _of_deberta(attention: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    # DeBERTa's first version has query, key and value of a head side by side in one projection,
    # and adds the values' bias afterwards.
    def read(output: torch.Tensor) -> torch.Tensor:
        heads = output.view(*output.shape[:-1], attention.num_attention_heads, 3, -1)
        values: torch.Tensor = heads[..., 2, :].flatten(-2) + attention.v_bias
        return values

    return read
