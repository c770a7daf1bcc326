"""The values of a teacher's attention, which Hugging Face models do not return."""

from __future__ import annotations

import threading

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
        projections = [
            child
            for module in model.modules()
            if "Attention" in type(module).__name__
            for name, child in module.named_children()
            if name in _PROJECTIONS
        ]
        if not projections:
            raise DataError(
                f"The loss 'relations' needs attention values, and {self._model} has no attention "
                f"module with a value projection of a known name ({', '.join(_PROJECTIONS)}). Use "
                f"'hidden_states' instead."
            )
        for channels in (getattr(child, "out_features", width) for child in projections):
            if channels != width:
                raise DataError(
                    f"The loss 'relations' needs attention values as wide as the hidden states. "
                    f"{self._model}'s attention values have {channels} channels and its hidden "
                    f"states {width} (its heads share values, or have another size). Use "
                    f"'hidden_states' instead."
                )
        self._handles = [child.register_forward_hook(self._record) for child in projections]

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

    def _record(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self._own.calls.append(output)
