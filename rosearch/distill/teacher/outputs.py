"""A teacher's outputs for the examples of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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
    """One output for some distinct texts."""

    values: torch.Tensor
    """``(texts, width)`` or ``(tokens, width)``."""

    offsets: np.ndarray
    """int64 ``(texts + 1,)``, the first row of each text, and the end."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self, text: int) -> torch.Tensor:
        """Return the output for one text, ``(1, width)`` or ``(tokens, width)``."""
        return self.values[self.offsets[text] : self.offsets[text + 1]]


@dataclass(frozen=True, eq=False)
class Output:
    """One output for the examples of a data set, in its order."""

    parts: Sequence[OutputPart]
    """Texts may be in several parts, and parts may hold other texts too."""

    index: np.ndarray
    """int64 ``(examples,)``, the position of each example among the texts of all parts."""

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 ``(parts + 1,)``, the position of each part's first text, and the end."""
        return np.cumsum([0, *map(len, self.parts)])

    def texts(self, examples: np.ndarray) -> list[torch.Tensor]:
        """Return the rows of each of some examples."""
        places = self.index[examples]
        owners = np.searchsorted(self.starts, places, side="right") - 1
        return [
            self.parts[owner].rows(place)
            for owner, place in zip(owners, places - self.starts[owners], strict=True)
        ]


class TeacherOutputs:
    """The teacher's outputs for the examples of a data set, in its order.

    Values may be memory maps; a batch reads only its own rows.

    Args:
        outputs: By the names of :attr:`Wanted.names`, all for the same examples.
    """

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = dict(outputs)

    @classmethod
    def joined(cls, several: Sequence[TeacherOutputs]) -> Self:
        """Return the outputs for the examples of several data sets, one after the other."""
        return cls(
            {
                name: _joined([outputs._outputs[name] for outputs in several])
                for name in several[0]._outputs
            }
        )

    def select(self, examples: np.ndarray) -> TeacherOutputs:
        """Return the outputs for some examples, which may repeat.

        Args:
            examples: int64 ``(selected,)``, their positions.
        """
        return TeacherOutputs(
            {name: Output(o.parts, o.index[examples]) for name, o in self._outputs.items()}
        )

    def logits(self) -> np.ndarray:
        """Return all logits, float32 ``(examples, classes)``, read-only."""
        output = self._outputs["logits"]
        stored = torch.cat([part.values for part in output.parts])
        values: np.ndarray = stored[torch.from_numpy(output.index)].numpy()
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
        found: dict[str, torch.Tensor] = {}
        for name, output in self._outputs.items():
            texts = output.texts(rows)
            tensor = torch.cat(texts) if is_per_text(name) else _padded(texts, length)
            found[name] = tensor.to(device, non_blocking=True)
        return Outputs(
            logits=found.get("logits"),
            pooled=found.get("pooled"),
            hidden_states=_layers(found, "hidden"),
            values=_layers(found, "values"),
        )


def _joined(several: Sequence[Output]) -> Output:
    starts = np.cumsum([0, *(output.starts[-1] for output in several)])
    index = [output.index + start for output, start in zip(several, starts, strict=False)]
    return Output([part for output in several for part in output.parts], np.concatenate(index))


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
