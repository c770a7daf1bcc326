"""Choice of the backend, and the reasons given where Triton cannot run."""

from __future__ import annotations

import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from rosearch.errors import ArgumentError, KernelError
from rosearch.operators import kernels
from rosearch.operators.kernels import dispatch, reference
from rosearch.student import StudentConfig, StudentForSequenceClassification, flops

FUNCTIONS = [kernels.merge_normalize, kernels.depthwise_convolution, kernels.gated_activation]


def arguments(function, device="cpu"):
    hidden = torch.randn(2, 5, 8, device=device)
    if function is kernels.merge_normalize:
        return [hidden, hidden], torch.ones(8, device=device), torch.zeros(8, device=device)
    if function is kernels.depthwise_convolution:
        return hidden, None, torch.ones(8, 3, device=device), None
    return (hidden,)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_signature_and_docstring_are_those_of_the_reference(function):
    truth = getattr(reference, function.__name__)
    assert inspect.signature(function) == inspect.signature(truth)
    assert function.__doc__ == truth.__doc__


@pytest.mark.parametrize("function", FUNCTIONS)
def test_pytorch_computes_tensors_on_a_cpu(function):
    given = arguments(function)
    assert any("expected a CUDA device" in reason for reason in kernels.why_not(function, *given))
    found, expected = function(*given), getattr(reference, function.__name__)(*given)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("function", FUNCTIONS)
def test_triton_computes_tensors_on_a_gpu(function):
    pytest.importorskip("triton")
    given = arguments(function, "cuda")
    assert kernels.why_not(function, *given) == ()
    with kernels.use("triton"):
        function(*given)
    with torch.autocast("cuda", torch.bfloat16):
        assert any("autocast is on" in reason for reason in kernels.why_not(function, *given))


ODD = torch.zeros(2, 3)  # refused by every backend, with an error of its own


def test_selections_nest_and_end():
    with kernels.use("torch"):
        with pytest.raises(KernelError), kernels.use("triton"):
            kernels.gated_activation(ODD)
        with pytest.raises(ArgumentError):
            kernels.gated_activation(ODD)


def test_a_selection_holds_for_its_own_thread_only():
    with kernels.use("triton"), ThreadPoolExecutor(1) as pool:
        with pytest.raises(ArgumentError):
            pool.submit(kernels.gated_activation, ODD).result()
        with pytest.raises(KernelError):
            kernels.gated_activation(ODD)


def test_use_decorates_functions():
    @kernels.use("triton")
    def asked():
        return kernels.gated_activation(ODD)

    for _ in range(2):
        with pytest.raises(KernelError, match="even last dimension"):
            asked()


def test_unknown_backend_raises():
    with (
        pytest.raises(ValueError, match="must be one of 'auto', 'torch', 'triton', got 'cuda'"),
        kernels.use("cuda"),
    ):
        pass


def test_error_lists_all_reasons():
    hidden = torch.zeros(2, 5, 8, dtype=torch.float64, device="meta")
    mask = torch.ones(2, 4)
    weight = torch.zeros(8, 34)
    with kernels.use("triton"), pytest.raises(KernelError) as caught:
        kernels.depthwise_convolution(hidden, mask, weight, None, activation="tanh")
    for reason in (
        "device 'meta'; expected a CUDA device",
        "dtype is torch.float64; expected one of torch.float32, torch.bfloat16, torch.float16",
        "dtypes differ: torch.float64, torch.float32",
        "devices differ: meta, cpu",
        "kernel size is 34; expected an odd one up to 31",
        "mask is torch.float32 (2, 4); expected torch.bool (2, 5)",
        "mask is on 'cpu'; expected 'meta'",
        "activation='tanh'; expected one of none, gelu, silu",
        "use('auto') or kernels.use('torch')",
    ):
        assert reason in str(caught.value)


def test_reasons_against_merge_normalize():
    parts = [torch.zeros(2, 9000)] * 8 + [torch.zeros(3, 9000)]
    found = " ".join(kernels.why_not(kernels.merge_normalize, parts, *[torch.zeros(9000)] * 2))
    assert "width is 9000; a row is kept in registers, so 1 to 8192" in found
    assert "there are 9 inputs; expected at most 8" in found
    assert "shapes [(2, 9000), (3, 9000)]; expected one shape (..., 9000)" in found


def test_reasons_against_gated_activation():
    class Special(torch.Tensor):
        pass

    special = torch.zeros(2, 3).as_subclass(Special)
    with torch.autocast("cpu", torch.bfloat16):
        found = " ".join(kernels.why_not(kernels.gated_activation, special, gate="tanh"))
    assert "tensors of the class Special; expected torch.Tensor" in found
    assert "gate='tanh'; expected one of sigmoid, gelu, silu" in found
    assert "autocast is on" in found


def test_missing_triton_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    dispatch.triton_problem.cache_clear()
    try:
        reasons = kernels.why_not(kernels.gated_activation, torch.zeros(2, 4))
    finally:
        dispatch.triton_problem.cache_clear()
    assert any("Triton cannot be imported" in r and "pip install triton" in r for r in reasons)


def test_calls_on_a_cpu_do_not_import_triton():
    code = """
import sys, torch
from rosearch.operators import kernels
kernels.merge_normalize([torch.ones(2, 4)], torch.ones(4), torch.zeros(4))
kernels.gated_activation(torch.ones(2, 4))
kernels.depthwise_convolution(torch.ones(1, 2, 4), None, torch.ones(4, 3), None)
print("triton" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


class Everything(torch.nn.Module):
    """All three in one graph."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(8)
        self.taps = torch.nn.Parameter(torch.randn(8, 3))

    def forward(self, hidden, mask):
        merged, normalized = kernels.merge_normalize(
            [hidden, hidden], self.norm.weight, self.norm.bias, scale=0.5
        )
        mixed = kernels.depthwise_convolution(normalized, mask, self.taps, None, activation="gelu")
        return merged + torch.cat([kernels.gated_activation(mixed)] * 2, dim=-1)


def batch():
    torch.manual_seed(0)
    return torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_without_graph_breaks(backend):
    module = Everything()
    expected = module(*batch())
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    found = compiled(*batch())
    assert torch.allclose(found, expected, atol=1e-6)
    found.sum().backward()
    assert module.taps.grad is not None
    # Also where a kernel is asked for outside: the graph holds PyTorch's operations.
    with kernels.use("triton"):
        assert torch.allclose(compiled(*batch()), expected, atol=1e-6)


def test_exported_graphs_hold_pytorch_operations():
    module = Everything().eval()
    program = torch.export.export(module, batch())
    assert torch.allclose(program.module()(*batch()), module(*batch()), atol=1e-6)
    traced = torch.jit.trace(module, batch())
    assert torch.allclose(traced(*batch()), module(*batch()), atol=1e-6)


def genome():
    """Four nodes: merges of one to three inputs, with gates and convolutions in them."""
    from rosearch.space import Genome, Node

    def node(operator, *inputs, merge="sum", residual=True):
        return Node(operator, inputs=inputs, merge=merge, residual=residual)

    return Genome(
        nodes=(
            node("gated_linear_unit", 0),
            node("separable_convolution", 0, 1, merge="mean"),
            node("feed_forward", 0, 1, 2, residual=False),
            node("attention", 2, 3),
        ),
        width=32,
        embedding_width=16,
    )


def test_student_computes_the_same_with_each_backend(place):
    config = StudentConfig(genome(), vocab_size=50, max_position_embeddings=16, num_labels=2)
    torch.manual_seed(0)
    student = StudentForSequenceClassification(config).to(place).eval()
    ids = torch.randint(1, 50, (3, 11), device=place)
    mask = torch.arange(11, device=place) < torch.tensor([[11], [7], [1]], device=place)
    labels = torch.tensor([0, 1, 1], device=place)
    found = []
    for name in ("torch", "triton"):
        student.zero_grad(set_to_none=True)
        with kernels.use(name):
            out = student(input_ids=ids, attention_mask=mask, labels=labels)
        out.loss.backward()
        found.append((out.logits.detach(), [p.grad.clone() for p in student.parameters()]))
    (logits, gradients), (kernel_logits, kernel_gradients) = found
    assert torch.allclose(logits, kernel_logits, atol=1e-5)
    for a, b in zip(gradients, kernel_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_flops_do_not_depend_on_the_backend():
    config = StudentConfig(genome(), vocab_size=50, num_labels=2)
    student = StudentForSequenceClassification(config)
    plain = flops(student)
    with kernels.use("triton"):
        assert flops(student) == plain
