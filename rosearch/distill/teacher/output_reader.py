"""Runs a teacher on texts and takes the wanted outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import transformers

from rosearch.distill.losses.base import TeacherShape, Wanted
from rosearch.distill.teacher.attention_values import AttentionValues
from rosearch.errors import DataError
from rosearch.tokens import Sharing, TokenizedText, answers, pads_left


@dataclass(frozen=True)
class OutputReader:
    """A teacher's model and how to run it."""

    model: Any
    """A Hugging Face classifier."""

    tokenizer: Any
    """Its tokenizer."""

    shape: TeacherShape
    """Its sizes."""

    sharing: Sharing
    """Which texts may share a batch."""

    dtype: torch.dtype
    """Type of all outputs except logits, which are float32."""

    token_budget: int
    """Tokens of a batch, padding included."""

    def read(
        self,
        rows: Sequence[TokenizedText],
        wanted: Wanted,
        *,
        on_batch: Callable[[int], object] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute the outputs for texts.

        Args:
            rows: The tokenised texts.
            wanted: Which outputs.
            on_batch: Called with the number of texts after each batch.

        Returns:
            By name, ``(texts, width)`` or ``(tokens, width)``, on the CPU, without padding.

        Raises:
            DataError: An output is not finite, or not of the size that the configuration says.
        """
        states = wanted.pooled or bool(wanted.hidden_states)
        if set(wanted.names) - {"logits"} and getattr(
            self.model.config, "is_encoder_decoder", False
        ):
            raise DataError(
                f"{type(self.model).__name__} is an encoder-decoder, whose two stacks of layers "
                f"have no counterpart in a student. Use losses that read logits only, such as "
                f"soft_labels."
            )
        # Before version 5 some models are patched while they collect hidden states.
        threaded = not states or int(transformers.__version__.split(".")[0]) >= 5
        found: dict[int, dict[str, torch.Tensor]] = {}
        with (
            closing(AttentionValues(self.model, width=self.shape.width))
            if wanted.values
            else nullcontext()
        ) as values:
            for batch, outputs in answers(
                self.model,
                rows,
                partial(self._batch, wanted=wanted, states=states, values=values),
                pad_id=self.tokenizer.pad_token_id,
                pad_left=pads_left(self.tokenizer),
                sharing=self.sharing,
                token_budget=self.token_budget,
                threaded=threaded,
            ):
                found.update(zip(batch.tolist(), outputs, strict=True))
                if on_batch:
                    on_batch(len(batch))
        return {name: self._joined(name, found) for name in wanted.names}

    def _joined(self, name: str, found: Mapping[int, Mapping[str, torch.Tensor]]) -> torch.Tensor:
        joined = torch.cat([found[row][name] for row in range(len(found))])
        if name != "logits" and joined.shape[1] != self.shape.width:
            raise DataError(
                f"The teacher's {name} have width {joined.shape[1]}, but its configuration says "
                f"{self.shape.width}. Leave out the losses that need them."
            )
        if not bool(torch.isfinite(joined).all()):
            raise DataError(
                f"The teacher's {name} are not finite. Check its weights, or load it in float32."
            )
        return joined

    def _batch(
        self,
        inputs: dict[str, torch.Tensor],
        *,
        wanted: Wanted,
        states: bool,
        values: AttentionValues | None,
    ) -> list[dict[str, torch.Tensor]]:
        """Return the outputs of each text of a batch. Called from several threads."""
        if values is not None:
            values.clear()
        out = self.model(**inputs, output_hidden_states=states)
        hidden = self._hidden_states(out) if states else ()
        per_text: dict[str, torch.Tensor] = {}
        per_token: dict[str, torch.Tensor] = {}
        if wanted.logits:
            per_text["logits"] = out.logits.float().cpu()
        if wanted.pooled:
            place = _classified(inputs, getattr(self.tokenizer, "cls_token_id", None))
            rows = torch.arange(len(place), device=place.device)
            per_text["pooled"] = self._stored(hidden[-1][rows, place])
        for layer in wanted.hidden_states:
            per_token[f"hidden-{layer}"] = self._stored(hidden[layer])
        if values is not None:
            collected = values.collected(self.shape.layers)
            for layer in wanted.values:
                per_token[f"values-{layer}"] = self._stored(collected[layer - 1])
        mask = inputs["attention_mask"].bool().cpu()
        for name, tensor in per_token.items():
            if tensor.shape[:2] != mask.shape:
                raise DataError(
                    f"{type(self.model).__name__} pools or pads texts between its layers: its "
                    f"{name} have the shape {tuple(tensor.shape)} for {mask.shape[0]} texts of "
                    f"{mask.shape[1]} tokens. Leave out the losses that compare tokens."
                )
        return [
            {
                **{name: tensor[row : row + 1] for name, tensor in per_text.items()},
                **{name: tensor[row][mask[row]] for name, tensor in per_token.items()},
            }
            for row in range(len(mask))
        ]

    def _hidden_states(self, out: Any) -> tuple[torch.Tensor, ...]:
        hidden: tuple[torch.Tensor, ...] = getattr(out, "hidden_states", None) or ()
        if len(hidden) != self.shape.layers + 1:
            raise DataError(
                f"{type(self.model).__name__} returns {len(hidden)} hidden states instead of "
                f"{self.shape.layers + 1}, the embedding and one per layer. Leave out the losses "
                f"that need them."
            )
        return hidden

    def _stored(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.dtype).cpu()


def _classified(inputs: Mapping[str, torch.Tensor], cls_id: int | None) -> torch.Tensor:
    """Return the position of each text's classification token, else its last, ``(batch,)``."""
    ids, real = inputs["input_ids"], inputs["attention_mask"]
    place = torch.arange(ids.shape[1], device=ids.device)
    first, last = real.argmax(dim=1), (real * place).argmax(dim=1)
    if cls_id is None:
        return last
    return torch.where(ids.gather(1, first[:, None])[:, 0] == cls_id, first, last)
