"""Operators as one graph: compiled without breaks, and as ONNX with open batch and length."""

from __future__ import annotations

from pathlib import Path

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
    operator, (hidden, mask) = make(name), batch(3, 7)
    torch.compiler.reset()
    compiled = torch.compile(operator, fullgraph=True, backend=backend)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_exports_to_onnx_with_open_batch_and_length(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    operator = make(name)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with torch.no_grad():
        program = torch.export.export(operator, batch(3, 7), dynamic_shapes=(sizes, sizes))
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    assert exported is not None
    exported.save(tmp_path / "operator.onnx")
    session = runtime.InferenceSession(tmp_path / "operator.onnx")
    names = [i.name for i in session.get_inputs()]
    for rows, length in ((2, 3), (5, 40)):
        inputs = batch(rows, length)
        given = {n: x.numpy() for n, x in zip(["hidden", "mask"], inputs, strict=True)}
        # The exporter renames an input that is an output as it is.
        (out,) = session.run(None, {n: given[n.removesuffix("_orig")] for n in names})
        expected = operator(*inputs).detach()
        torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-5)
