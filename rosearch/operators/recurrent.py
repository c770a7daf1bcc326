"""Bidirectional recurrence over the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Operator, registry, tracing, unpadded

CHUNK = 16
"""Tokens that :func:`scan` computes one after the other."""

DOUBLINGS = 13
"""In a traced graph, whose length is open, :func:`scan` handles up to ``2**DOUBLINGS`` tokens."""


class Recurrence(nn.RNNBase):
    """One layer of ``nn.GRU`` or ``nn.LSTM`` that can be compiled and exported with an open length.

    Weights and their names are those of torch. Not a subclass of either, which TorchDynamo does not
    compile.

    Args:
        mode: ``"GRU"`` or ``"LSTM"``.
        width: Channels of the input.
        inner: Channels of the states.
    """

    def __init__(self, mode: str, width: int, inner: int) -> None:
        super().__init__(mode, width, inner, batch_first=True)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn ``(batch, length, width)`` into all states ``(batch, length, inner)``."""
        if torch.compiler.is_compiling():
            return self._recorded(hidden)
        start = hidden.new_zeros(1, hidden.shape[0], self.hidden_size)
        # Biases, one layer, no dropout, mode, one direction, batch first.
        settings = (True, 1, 0.0, self.training, False, True)
        weights: list[torch.Tensor] = [*self.all_weights[0]]
        if self.mode == "GRU":
            return torch.gru(hidden, start, weights, *settings)[0]
        return torch.lstm(hidden, (start, start), weights, *settings)[0]

    def _recorded(self, hidden: torch.Tensor) -> torch.Tensor:
        """Record one loop; torch's own layers are unrolled token by token."""
        # It has no public name yet; tests compile and export with it.
        from torch._higher_order_ops.scan import scan as recorded_scan

        input_weight, weight, input_bias, bias = self.all_weights[0]
        projected = functional.linear(hidden, input_weight, input_bias).transpose(0, 1)

        def gru(state: torch.Tensor, token: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            own, past = token.chunk(3, dim=-1), functional.linear(state, weight, bias).chunk(3, -1)
            reset, keep = torch.sigmoid(own[0] + past[0]), torch.sigmoid(own[1] + past[1])
            new = torch.tanh(own[2] + reset * past[2])
            state = new + keep * (state - new)
            return state, state.clone()

        def lstm(both: torch.Tensor, token: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            state, cell = both.chunk(2, dim=-1)
            gates = (token + functional.linear(state, weight, bias)).chunk(4, dim=-1)
            enter, keep, leave = (torch.sigmoid(gates[i]) for i in (0, 1, 3))
            cell = keep * cell + enter * torch.tanh(gates[2])
            state = leave * torch.tanh(cell)
            return torch.cat((state, cell), dim=-1), state

        step, size = (gru, 1) if self.mode == "GRU" else (lstm, 2)
        start = projected.new_zeros(hidden.shape[0], size * self.hidden_size)
        out: torch.Tensor = recorded_scan(step, start, projected)[1].transpose(0, 1)
        return out


class Bidirectional(Operator):
    """Base of operators with a recurrent layer in each direction, half the width each.

    Args:
        width: Channels, even.
    """

    mode: ClassVar[str]
    """As of :class:`Recurrence`."""

    family = "recurrence"

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.ahead = Recurrence(self.mode, width, width // 2)
        self.back = Recurrence(self.mode, width, width // 2)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if unpadded(mask):
            return torch.cat((self.ahead(hidden), self.back(hidden.flip(1)).flip(1)), dim=-1)
        # Both layers start at a real token: tokens are reordered so that padding comes last. By
        # indices on the device this never waits for a GPU, unlike packed sequences.
        length = mask.shape[1]
        position = torch.arange(length, device=mask.device)
        first = mask.long().argmax(dim=1, keepdim=True)
        last = first + mask.sum(dim=1, keepdim=True) - 1

        def reordered(states: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            # Wrap around; ONNX has no translation of a remainder by an open length.
            place = torch.where(place < 0, place + length, place)
            place = torch.where(place < length, place, place - length)
            return states.gather(1, place.unsqueeze(-1).expand_as(states))

        ahead = reordered(self.ahead(reordered(hidden, first + position)), position - first)
        # Reversing is its own inverse.
        back = reordered(self.back(reordered(hidden, last - position)), last - position)
        return torch.cat((ahead, back), dim=-1)

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        return None if width % 2 == 0 else f"the width {width} is odd, each direction gets half"


@registry.register("bidirectional_gru")
class BidirectionalGRU(Bidirectional):
    """A gated recurrent unit in each direction, half the width each (Cho et al. 2014,
    equations 5 to 8).
    """

    mode = "GRU"
    source = "Cho et al. 2014, equations 5 to 8"


@registry.register("bidirectional_lstm")
class BidirectionalLSTM(Bidirectional):
    """Long short-term memory in each direction, half the width each (Hochreiter and Schmidhuber
    1997, with the forget gate of Gers et al. 2000).
    """

    mode = "LSTM"
    source = "Hochreiter and Schmidhuber 1997; Gers et al. 2000"


def _doubling(keep: torch.Tensor, add: torch.Tensor) -> torch.Tensor:
    """Compute :func:`scan` in log2(length) steps (Hillis and Steele 1986)."""
    length = keep.shape[1]
    max_length = 1 << DOUBLINGS if tracing() else length
    step = 1
    while step < max_length:
        # Padded before it is cut, so that steps beyond the length change nothing.
        earlier = functional.pad(add, (0, 0, step, 0))[:, :length]
        add = torch.addcmul(add, keep, earlier)
        keep = keep * functional.pad(keep, (0, 0, step, 0))[:, :length]
        step *= 2
    return add


def scan(keep: torch.Tensor, add: torch.Tensor) -> torch.Tensor:
    """Compute ``out[t] = keep[t] * out[t - 1] + add[t]``, starting from zero.

    Chunks are computed in parallel, and the state before each is added afterwards. Without
    divisions and logarithms, every value stays in range for ``keep`` between 0 and 1.

    Args:
        keep: ``(batch, length, channels)``.
        add: ``(batch, length, channels)``.

    Returns:
        ``(batch, length, channels)``.
    """
    batch, length, channels = keep.shape
    if tracing():
        return _doubling(keep, add)
    chunks = (length + CHUNK - 1) // CHUNK
    rest = (0, 0, 0, chunks * CHUNK - length)
    keeps = functional.pad(keep, rest).view(batch, chunks, CHUNK, channels).unbind(2)
    adds = functional.pad(add, rest).view(batch, chunks, CHUNK, channels).unbind(2)
    states, shares = [adds[0]], [keeps[0]]
    for place in range(1, CHUNK):
        states.append(torch.addcmul(adds[place], keeps[place], states[-1]))
        shares.append(keeps[place] * shares[-1])
    ends = _doubling(shares[-1], states[-1])
    before = functional.pad(ends, (0, 0, 1, 0))[:, :chunks].unsqueeze(2)
    out = torch.addcmul(torch.stack(states, dim=2), torch.stack(shares, dim=2), before)
    return out.flatten(1, 2)[:, :length]


@registry.register("minimal_gru")
class MinimalGRU(Operator):
    """A gated recurrence whose gate and candidate depend on the current token only (minGRU, Feng et
    al. 2024, section 3.1), in each direction, half the width each.

    ``h[t] = (1 - z[t]) h[t - 1] + z[t] c[t]`` with ``z = sigmoid(W_z x)`` and ``c = W_c x``, by a
    parallel scan in float32 or higher precision.
    """

    family = "recurrence"
    source = "Feng et al. 2024 (minGRU), section 3.1"

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.projection = nn.Linear(width, 2 * width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        projected = self.projection(hidden)
        wide = projected.to(torch.promote_types(projected.dtype, torch.float32))
        logit, candidate = wide.chunk(2, dim=-1)
        if not unpadded(mask):
            # A closed gate keeps the state, so padding is skipped.
            logit = logit.masked_fill(~mask.unsqueeze(-1), torch.finfo(wide.dtype).min)
        logit, candidate = self._turned(logit), self._turned(candidate)
        states = scan(torch.sigmoid(-logit), torch.sigmoid(logit) * candidate)
        return self._turned(states.to(projected.dtype))

    def _turned(self, states: torch.Tensor) -> torch.Tensor:
        """Reverse the tokens in the second half of the channels, which reads from the end."""
        half = self.width // 2
        return torch.cat((states[..., :half], states[..., half:].flip(1)), dim=-1)
