"""A teacher's outputs for the examples of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import Self

from rosearch.distill.losses.base import Outputs
from rosearch.errors import DataError


def is_per_text(name: str) -> bool:
    """Whether the output of this name has one row per text, not one per token."""
    return name in ("logits", "pooled")


@dataclass(frozen=True, eq=False)
class OutputPart:
    """The outputs for some distinct texts."""

    tensors: Mapping[str, torch.Tensor]
    """By the names of :attr:`Wanted.names`, each ``(texts, width)`` or ``(tokens, width)``."""

    offsets: np.ndarray
    """int64 ``(texts + 1,)``, the row of each text's first token, and the end."""

    def rows(self, name: str, text: int) -> torch.Tensor:
        """Return an output of one text, ``(1, width)`` or ``(tokens, width)``."""
        if is_per_text(name):
            return self.tensors[name][text : text + 1]
        return self.tensors[name][self.offsets[text] : self.offsets[text + 1]]


class TeacherOutputs:
    """The teacher's outputs for the examples of a data set, in its order.

    Parts may be memory maps; a batch reads only its own rows.

    Args:
        parts: All with the same outputs.
        index: int64 ``(examples,)``, the position of each example among the texts of all parts.
    """

    def __init__(self, parts: Sequence[OutputPart], index: np.ndarray) -> None:
        self.parts = tuple(parts)
        self.index = index
        self._starts = np.cumsum([0, *(len(part.offsets) - 1 for part in self.parts)])

    @classmethod
    def joined(cls, several: Sequence[TeacherOutputs]) -> Self:
        """Return the outputs for the examples of several data sets, one after the other."""
        starts = np.cumsum([0, *(outputs._starts[-1] for outputs in several)])
        index = [outputs.index + start for outputs, start in zip(several, starts, strict=False)]
        return cls([part for outputs in several for part in outputs.parts], np.concatenate(index))

    def select(self, examples: np.ndarray) -> TeacherOutputs:
        """Return the outputs for some examples, which may repeat.

        Args:
            examples: int64 ``(selected,)``, their positions.
        """
        return TeacherOutputs(self.parts, self.index[examples])

    def logits(self) -> np.ndarray:
        """Return all logits, float32 ``(examples, classes)``, read-only."""
        stored = torch.cat([part.tensors["logits"] for part in self.parts])
        values: np.ndarray = stored[torch.from_numpy(self.index)].numpy()
        values.setflags(write=False)
        return values

    def batch(
        self, rows: np.ndarray, *, length: int, device: torch.device | str = "cpu"
    ) -> Outputs:
        """Return the outputs for a batch, those per token padded with zeros on the right.

        Args:
            rows: int64 ``(batch,)``, positions of examples.
            length: Tokens to pad to.
            device: Device of the returned tensors.

        Raises:
            DataError: An example has more than ``length`` tokens, so the student reads other texts
                than the teacher did.
        """
        places = self.index[rows]
        owners = np.searchsorted(self._starts, places, side="right") - 1
        found: dict[str, torch.Tensor] = {}
        for name in self.parts[0].tensors:
            texts = [
                self.parts[owner].rows(name, place)
                for owner, place in zip(owners, places - self._starts[owners], strict=True)
            ]
            tensor = torch.cat(texts) if is_per_text(name) else _padded(texts, length)
            found[name] = tensor.to(device, non_blocking=True)
        return Outputs(
            logits=found.get("logits"),
            pooled=found.get("pooled"),
            hidden_states=_layers(found, "hidden"),
            values=_layers(found, "values"),
        )


def _layers(tensors: Mapping[str, torch.Tensor], kind: str) -> dict[int, torch.Tensor]:
    named = ((name.partition("-"), tensor) for name, tensor in tensors.items())
    return {int(layer): tensor for (found, _, layer), tensor in named if found == kind}


def _padded(texts: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    padded = pad_sequence(list(texts), batch_first=True)
    longest = padded.shape[1]
    if longest > length:
        raise DataError(
            f"The teacher read {longest} tokens and the student reads only {length}. Losses on "
            f"tokens need both to read the same text."
        )
    return functional.pad(padded, (0, 0, 0, length - longest))
