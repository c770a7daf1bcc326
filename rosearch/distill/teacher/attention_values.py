"""The values of a teacher's attention, which Hugging Face models do not return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rosearch.errors import DataError

_PROJECTIONS = ("value", "value_proj", "v_lin", "v_proj", "v")
"""Names of the linear map to the values: BERT and its relatives ``value``, DeBERTa-v2
``value_proj``, DistilBERT ``v_lin``, Llama ``v_proj``, MPNet ``v``."""


class AttentionValues:
    """Records each layer's values, all heads concatenated, while a model runs.

    Layers that share weights (ALBERT) are told apart by the order of calls. Several threads may run
    the model at once; each sees only the values that it computed.

    Args:
        model: A Hugging Face classifier; hooks are registered on it until :meth:`close`.
        width: Channels of the model's hidden states.

    Raises:
        DataError: The model has no attention of a known kind, or its values have another width
            than its hidden states.
    """

    def __init__(self, model: nn.Module, *, width: int) -> None:
        self._own = threading.local()
        self._model = type(model).__name__
        sources = _sources(model)
        if not sources:
            raise DataError(
                f"The loss 'relations' needs attention values, and {self._model} has no attention "
                f"module with a value projection of a known name ({', '.join(_PROJECTIONS)}). Use "
                f"'hidden_states' instead."
            )
        for _, channels, _ in sources:
            if channels not in (None, width):
                raise DataError(
                    f"The loss 'relations' needs attention values as wide as the hidden states. "
                    f"{self._model}'s attention values have {channels} channels and its hidden "
                    f"states {width} (its heads share values, or have another size). Use "
                    f"'hidden_states' instead."
                )
        self._handles = [
            module.register_forward_hook(self._hook(read)) for module, _, read in sources
        ]

    def clear(self) -> None:
        """Discard the values that this thread has computed."""
        self._own.calls = []

    def collected(self, layers: int) -> list[torch.Tensor]:
        """Return the values that this thread has computed since :meth:`clear`.

        Args:
            layers: Expected number of layers.

        Returns:
            One ``(batch, length, width)`` per layer.

        Raises:
            DataError: The model computed values more or less than once per layer.
        """
        calls: list[torch.Tensor] = self._own.calls
        if len(calls) != layers:
            raise DataError(
                f"{self._model} computed attention values {len(calls)} times in {layers} layers, "
                f"so they cannot be assigned to layers. Leave out the loss 'relations'."
            )
        return calls

    def close(self) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, read: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            self._own.calls.append(read(output))

        return hook


def _sources(
    model: nn.Module,
) -> list[tuple[nn.Module, int | None, Callable[[torch.Tensor], torch.Tensor]]]:
    """Find the modules that compute values.

    Returns:
        For each module, its channels (``None`` if unknown) and a function that takes the values
        from its output.
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
    # The first version of DeBERTa has query, key and value of a head side by side in one
    # projection, and adds the bias of the values afterwards.
    def read(output: torch.Tensor) -> torch.Tensor:
        heads = output.view(*output.shape[:-1], attention.num_attention_heads, 3, -1)
        values: torch.Tensor = heads[..., 2, :].flatten(-2) + attention.v_bias
        return values

    return read
