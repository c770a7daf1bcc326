"""Students for runtimes without PyTorch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import torch
from torch import nn

from rosearch.errors import MissingResourceError
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.tokens import evaluating

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _Logits(nn.Module):
    """A student as a function of three tensors to one."""

    def __init__(self, student: StudentForSequenceClassification) -> None:
        super().__init__()
        self.student = student

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        logits: torch.Tensor = self.student(input_ids, attention_mask, token_type_ids).logits
        return logits


def export_program(student: StudentForSequenceClassification) -> torch.export.ExportedProgram:
    """A student as a graph of ``torch.export`` with dynamic batch and length.

    Args:
        student: Exported in evaluation mode and left in its own.

    Returns:
        A program whose ``module()`` takes input_ids, attention_mask and token_type_ids, each int64
        ``(batch, length)``, and gives the logits ``(batch, num_labels)``.
    """
    example = torch.ones(2, 4, dtype=torch.long, device=student.device)
    # Every row of the example holds a padded position, as those of the graph's users may.
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
    """Write a student as an ONNX file with dynamic batch and length.

    The inputs are input_ids, attention_mask and token_type_ids, each int64 ``(batch, length)``; the
    output is logits ``(batch, num_labels)`` in the student's dtype. Genome and class names are the
    file's metadata ``genome`` and ``id2label``, as JSON.

    Args:
        student: Exported in evaluation mode and left in its own.
        path: The file; overwritten.
        opset: Version of the ONNX operators, 18 or later.

    Returns:
        ``path``.

    Raises:
        MissingResourceError: ONNX is not installed.
    """
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingResourceError(
                f"The package {package!r} is not installed; an export to ONNX needs it. Install it "
                f'with: pip install "rosearch[onnx]"'
            )
    program = torch.onnx.export(
        export_program(student),
        dynamo=True,
        input_names=_INPUTS,
        output_names=("logits",),
        opset_version=opset,
        verbose=False,
    )
    if program is None:  # torch's signature allows for its older exporter
        raise RuntimeError("torch.onnx.export gave no program; expected one from dynamo=True.")
    program.model.metadata_props["genome"] = json.dumps(student.config.genome)
    program.model.metadata_props["id2label"] = json.dumps(student.config.id2label)
    program.save(path, external_data=False)
    return Path(path)
