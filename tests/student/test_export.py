"""Students outside eager PyTorch: ONNX, torch.export, torch.compile."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import rosearch
import rosearch.operators as ops
from rosearch.errors import ArgumentError, MissingResourceError
from rosearch.operators import EmbeddingOperator
from rosearch.space import Embedding, Genome, Node, templates
from rosearch.student import (
    StudentConfig,
    StudentForSequenceClassification,
    export_onnx,
    export_program,
)

SMALL: dict[str, Any] = {"width": 48, "embedding_width": 8}


# Layers repeat, and take an exporter a second each.
SHALLOW: dict[str, dict[str, int]] = {
    "transformer": {"layers": 2}, "MobileBERT-like": {"layers": 1}, "AdaBERT-like": {"cells": 2},
    "DPCNN-like": {"blocks": 2},
}  # fmt: skip


def in_turns(*lists: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """One of each list at a time; the shorter ones begin again until the longest has ended."""
    return islice(zip(*map(cycle, lists), strict=False), max(map(len, lists)))


PARTS = tuple(in_turns(ops.names(EmbeddingOperator), ops.POOLINGS))
MERGED = (
    Node("convolution", inputs=(0,)),
    Node("identity", inputs=(0,)),
    Node("feed_forward", inputs=(0, 1, 2), merge="gated", residual=False),
)


def hand_designed() -> Iterator[Any]:
    for name, template in templates.ALL.items():
        # The operators of these are in the chains, too, and each is compiled by itself.
        known = name in ("TextCNN", "BiGRU", "DPCNN-like", "TinyBERT", "transformer")
        yield pytest.param(
            template(**SMALL, **SHALLOW.get(name, {})),
            id=f"template {name}",
            marks=[pytest.mark.exhaustive] if known else [],
        )


def merging() -> Iterator[Any]:
    """Every input and every pooling, a gated merge and two outputs."""
    for name, pooling in PARTS:
        parts: dict[str, Any] = {"embedding": Embedding(name), "pooling": pooling}
        genome = Genome(**SMALL, **parts, nodes=MERGED, outputs=(2, 3))
        yield pytest.param(genome, id=f"{name} and {pooling} pooling")


def chains(length: int = 5) -> Iterator[Any]:
    """The same, and every operator of a node, a few in each: exporters take seconds for any."""
    names = ops.names()
    groups = [names[first : first + length] for first in range(0, len(names), length)]
    for some, (name, pooling) in in_turns(groups, PARTS):
        behind = enumerate(some, start=len(MERGED))
        nodes = (*MERGED, *(Node(operator, inputs=(number,)) for number, operator in behind))
        parts: dict[str, Any] = {"embedding": Embedding(name), "pooling": pooling}
        genome = Genome(**SMALL, **parts, nodes=nodes, outputs=(2, len(nodes)))
        yield pytest.param(genome, id=f"{name}, {' '.join(some)}, {pooling} pooling")


TEMPLATES = sorted(hand_designed(), key=lambda parameter: len(parameter.marks))
ATTENTION = Genome(
    width=8,
    embedding_width=8,
    nodes=(
        Node("attention", {"heads": 2}, inputs=(0,)),
        Node("relative_attention", {"heads": 2}, inputs=(1,)),
    ),
)
# Every version of ONNX's operators is written for some students: each export takes seconds.
EXPORTED = [
    pytest.param(*student.values, opset, id=f"{student.id}, opset {opset}", marks=student.marks)
    for student, opset in in_turns((*chains(), *TEMPLATES), range(18, 26))
]


def make(genome: Genome) -> StudentForSequenceClassification:
    """A student all of whose parameters have left their start."""
    torch.manual_seed(0)
    config = StudentConfig(genome, vocab_size=60, max_position_embeddings=40, num_labels=3)
    student = StudentForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return student


def batches() -> Iterator[tuple[torch.Tensor, ...]]:
    """Several shapes: without padding, padded behind, padded before, nothing but padding."""
    torch.manual_seed(1)
    for batch, length in ((1, 1), (1, 7), (5, 2), (3, 16), (4, 40)):
        ids = torch.randint(1, 60, (batch, length))
        types = torch.randint(0, 2, (batch, length))
        real = torch.arange(length) < torch.randint(1, length + 1, (batch, 1))
        for mask in (ids > 0, real, real.flip(1), ids < 0):
            mask = mask.long()
            yield ids * mask, mask, types


@pytest.fixture(scope="module")
def onnxruntime() -> Any:
    pytest.importorskip("onnxscript")
    return pytest.importorskip("onnxruntime")


class TestExport:
    @pytest.mark.parametrize(("genome", "opset"), EXPORTED)
    def test_same_logits(
        self, genome: Genome, opset: int, tmp_path: Path, onnxruntime: Any
    ) -> None:
        self.check(make(genome), opset, tmp_path, onnxruntime)

    def check(
        self, student: StudentForSequenceClassification, opset: int, folder: Path, onnxruntime: Any
    ) -> Path:
        exported = export_program(student)
        program = exported.module()
        # The same once more would take as long again.
        with patch("rosearch.student.export.export_program", return_value=exported):
            path = export_onnx(student, folder / "student.onnx", opset=opset)
        session = onnxruntime.InferenceSession(path)
        for ids, mask, types in batches():
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            used = {i.name for i in session.get_inputs()}
            assert used == set(given)
            assert all(i.shape == ["batch", "length"] for i in session.get_inputs())
            assert [o.shape for o in session.get_outputs()] == [["batch", 3]]
            (out,) = session.run(["logits"], {k: v.numpy() for k, v in given.items()})
            with torch.no_grad():
                expected = student(**given).logits
                torch.testing.assert_close(program(ids, mask, types), expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(torch.from_numpy(out), expected, rtol=0, atol=1e-4)
        return path

    @pytest.mark.parametrize("opset", [23, 24, 25])
    def test_attention_of_the_standard(self, opset: int, tmp_path: Path, onnxruntime: Any) -> None:
        path = self.check(make(ATTENTION), opset, tmp_path, onnxruntime)
        operators = {node.op_type for node in pytest.importorskip("onnx").load(path).graph.node}
        assert "Attention" in operators

    @pytest.mark.parametrize("opset", [17, 99, 20.5])
    def test_impossible_opset(self, opset: int, tmp_path: Path, onnxruntime: Any) -> None:
        with pytest.raises(ArgumentError, match=rf"opset must be .* got {opset}"):
            export_onnx(make(ATTENTION), tmp_path / "student.onnx", opset=opset)
        assert not list(tmp_path.iterdir())

    def test_metadata_mode_and_no_paths(self, tmp_path: Path, onnxruntime: Any) -> None:
        genome = templates.text_cnn(**SMALL)
        student = make(genome).train()
        path = export_onnx(student, tmp_path / "student.onnx")
        assert student.training
        assert [p.name for p in tmp_path.iterdir()] == ["student.onnx"]
        metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
        assert Genome.from_json(metadata["genome"]) == genome
        assert json.loads(metadata["id2label"])["2"] == "LABEL_2"
        written = path.read_bytes()
        modules = (Path(module.__file__).parent for module in (rosearch, torch))
        for folder in (*modules, tmp_path, sys.prefix, sys.base_prefix):
            assert str(folder).encode() not in written
        assert b'File "' not in written  # as stack traces have it

    def test_missing_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        with pytest.raises(MissingResourceError, match=r"pip install 'rosearch\[onnx\]'"):
            export_onnx(make(templates.bag_of_words(**SMALL)), tmp_path / "student.onnx")


class TestCompile:
    # Each operator by itself is compiled in tests/operators/test_testing_compilation.py.
    @pytest.mark.parametrize("genome", [*TEMPLATES, *merging()])
    def test_no_graph_breaks(self, genome: Genome) -> None:
        torch.compiler.reset()
        student = make(genome)
        compiled = torch.compile(student, backend="eager", fullgraph=True, dynamic=True)
        for ids, mask, types in list(batches())[5:12:3]:
            for model in (student, compiled):
                student.zero_grad()
                out = model(ids, mask, types, labels=torch.zeros(len(ids), dtype=torch.long))
                out.loss.backward()
                found = out.logits.detach(), [p.grad for p in student.parameters()]
                if model is student:
                    expected = found
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
