"""Operators as one graph, compiled without breaks; students are exported in tests of their own."""

from __future__ import annotations

import pytest
import torch

import rosearch.operators as ops

OURS = [n for n in ops.names() if ops.get(n).__module__.startswith("rosearch.")]
SCANNED = ("bidirectional_gru", "bidirectional_lstm")


def make(name: str) -> ops.Operator:
    torch.manual_seed(0)
    operator: ops.Operator = ops.get(name)(8, **ops.complete(name, {})).eval()
    return operator


def batch(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(length) < torch.linspace(length, 1, rows).long()[:, None]
    return torch.randn(rows, length, 8), mask


@pytest.mark.parametrize("name", OURS)
def test_compiles_without_graph_breaks_forward_and_backward(name: str) -> None:
    # The loops of recurrences take the compiler seconds; without autograd they take one.
    backend = "eager" if name in SCANNED else "aot_eager"
    operator = make(name)
    torch.compiler.reset()
    compiled = torch.compile(operator, fullgraph=True, dynamic=True, backend=backend)
    for hidden, mask in (batch(3, 7), batch(2, 11)):
        results = []
        for function in (compiled, operator):
            given = hidden.clone().requires_grad_(name not in SCANNED)
            with torch.set_grad_enabled(name not in SCANNED):
                out = function(given, mask)
            results.append([out.detach()])
            if name not in SCANNED:
                out.square().sum().backward()
                results[-1].append(given.grad)
        torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANNED)
def test_recurrences_have_gradients_when_compiled(name: str) -> None:
    operator, (hidden, mask) = make(name), batch(3, 7)
    torch.compiler.reset()
    gradients = []
    for function in (torch.compile(operator, fullgraph=True, backend="aot_eager"), operator):
        operator.zero_grad(set_to_none=True)
        given = hidden.clone().requires_grad_()
        function(given, mask).square().sum().backward()
        gradients.append([given.grad, *(p.grad for p in operator.parameters())])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
