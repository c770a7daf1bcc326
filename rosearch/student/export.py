"""Export of students to torch.export and ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rosearch.checks import refused, whole_number
from rosearch.optional import try_import
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.tokens import evaluating

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _Logits(nn.Module):
    """The logits of a student as a function of three tensors."""

    def __init__(self, student: StudentForSequenceClassification) -> None:
        super().__init__()
        self.student = student

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        out: torch.Tensor = self.student(input_ids, attention_mask, token_type_ids).logits
        return out


def export_program(student: StudentForSequenceClassification) -> torch.export.ExportedProgram:
    """Export a student by ``torch.export`` with dynamic batch size and length.

    Args:
        student: Exported in eval mode; its own mode does not change.

    Returns:
        A program whose ``module()`` takes input_ids, attention_mask and token_type_ids, each int64
        ``(batch, length)``, and returns logits ``(batch, num_labels)``.
    """
    example = torch.ones(2, 4, dtype=torch.long, device=student.device)
    # Padding in every row, so that the exported graph handles it.
    mask = example.clone()
    mask[:, -1] = 0
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", max=student.config.max_position_embeddings)
    with evaluating(student), torch.no_grad():
        return torch.export.export(
            _Logits(student),
            (example, mask, torch.zeros_like(example)),
            dynamic_shapes={name: {0: batch, 1: length} for name in _INPUTS},
        )


def export_onnx(
    student: StudentForSequenceClassification, path: str | Path, *, opset: int = 18
) -> Path:
    """Write a student to an ONNX file with dynamic batch size and length.

    The inputs are input_ids, attention_mask and token_type_ids, each int64 ``(batch, length)``; the
    output is logits ``(batch, num_labels)`` in the student's dtype. The dimensions have these names
    in the file. The metadata ``genome`` and ``id2label`` hold genome and class names as JSON; what
    the exporter notes at each node, such as paths of source files, is left out.

    Tokenization is a step before the model. If the student's tokenizer applies an encoding, the ids
    must be those of canonical texts: let the tokenizer make them, or read
    ``tokenizer.encoding(texts)`` by any runtime's counterpart of ``tokenizer.plain``.

    Args:
        student: Exported in eval mode; its own mode does not change.
        path: File to write; an existing one is overwritten.
        opset: Version of the ONNX operators, at least 18. Newer ones have an operator for
            attention (23), and may be more than a runtime reads.

    Returns:
        ``path``.

    Raises:
        ArgumentError: ``opset`` is too low, or so new that this student cannot be converted to it.
        MissingResourceError: ONNX is not installed.
    """
    whole_number("opset", opset, 18)
    try_import("onnxscript", "export_onnx()", "onnx")
    passes = try_import("onnx_ir.passes.common", "export_onnx()", "onnx")
    program: Any = torch.onnx.export(
        export_program(student),
        dynamo=True,
        input_names=_INPUTS,
        output_names=("logits",),
        # The program's own dimensions lose their names on the way.
        dynamic_shapes={name: {0: "batch", 1: "length"} for name in _INPUTS},
        opset_version=opset,
        verbose=False,
    )
    model = program.model
    if model.opset_imports[""] != opset:  # where it cannot convert, the exporter only logs that
        raise refused("opset", "a version to which onnxscript converts this student", opset)
    # Stack traces with the paths of source files are half the size of a small student.
    passes.ClearMetadataAndDocStringPass()(model)
    model.metadata_props["genome"] = json.dumps(student.config.genome)
    model.metadata_props["id2label"] = json.dumps(student.config.id2label)
    program.save(path, external_data=False)
    return Path(path)
