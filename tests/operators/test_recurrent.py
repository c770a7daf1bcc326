"""Recurrences against torch and against loops over the tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import rosearch.operators as ops
from rosearch.operators.recurrent import CHUNK, scan
from tests.operators.examples import make, text


@pytest.mark.parametrize(
    ("name", "layer"), [("bidirectional_gru", nn.GRU), ("bidirectional_lstm", nn.LSTM)]
)
def test_recurrences_agree_with_torch_on_packed_texts(name: str, layer: type[nn.RNNBase]) -> None:
    operator = make(name, 8)
    theirs = layer(8, 4, batch_first=True, bidirectional=True)
    state = dict(operator.ahead.state_dict())
    state |= {f"{key}_reverse": value for key, value in operator.back.state_dict().items()}
    theirs.load_state_dict(state)
    hidden, mask = text(4, 8)
    packed = nn.utils.rnn.pack_padded_sequence(
        hidden, mask.sum(dim=1), batch_first=True, enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(operator(hidden, mask), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, CHUNK + 4])
def test_minimal_gru_agrees_with_its_definition(length: int) -> None:
    operator = make("minimal_gru", 5)
    hidden, mask = text(length, 5)
    gates, candidates = operator.projection(hidden[0, :length]).chunk(2, dim=1)
    gates = torch.sigmoid(gates)
    expected = torch.zeros(length, 5)
    for channel in range(5):
        state = torch.zeros(())
        order = range(length) if channel < 2 else reversed(range(length))
        for t in order:
            state = (1 - gates[t, channel]) * state + gates[t, channel] * candidates[t, channel]
            expected[t, channel] = state
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3])
@pytest.mark.parametrize("traced", [False, True])
def test_scan_agrees_with_going_token_by_token(
    length: int, traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rosearch.operators.recurrent.tracing", lambda: traced)
    torch.manual_seed(length)
    # Gates that forget everything, keep everything, and all between.
    keep = torch.rand(2, length, 3).mul(1.4).sub(0.2).clamp(0, 1).requires_grad_()
    add = torch.randn(2, length, 3, requires_grad=True)
    states = [torch.zeros(2, 3)]
    for t in range(length):
        states.append(keep[:, t] * states[-1] + add[:, t])
    expected, out = torch.stack(states[1:], dim=1), scan(keep, add)
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(out)
    ours = torch.autograd.grad(out, (keep, add), weights)
    theirs = torch.autograd.grad(expected, (keep, add), weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_gru_reads_in_both_directions() -> None:
    operator = ops.get("bidirectional_gru")(8).eval()
    mask = torch.tensor([[True] * 5 + [False] * 2])
    hidden = torch.randn(1, 7, 8, requires_grad=True)
    out = operator(hidden, mask)
    (ahead,) = torch.autograd.grad(out[0, 2, :4].sum(), hidden, retain_graph=True)
    (back,) = torch.autograd.grad(out[0, 2, 4:].sum(), hidden)
    assert (ahead[0, 3:] == 0).all()
    assert (ahead[0, :3].abs().sum(-1) > 0).all()
    assert (back[0, :2] == 0).all()
    assert (back[0, 2:5].abs().sum(-1) > 0).all()
