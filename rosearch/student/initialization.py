"""Initialization of a student's embedding from its teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rosearch.errors import ArgumentError
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.tokens import first_position


@dataclass(frozen=True)
class CompressedEmbedding:
    """Embedding tables of a teacher in the basis of their principal directions.

    With the teacher's word embeddings ``E = U S V^T`` (vocabulary x teacher width), ``tokens``
    is ``E V = U S``. Its first ``k`` columns are the coordinates of the best rank-``k``
    approximation of ``E`` (Eckart and Young 1936), so one array serves students of any width.
    """

    tokens: np.ndarray
    """float32 ``(vocabulary, teacher width)``, columns by falling singular value; unit variance."""

    positions: np.ndarray
    """float32 ``(positions, teacher width)`` in the same basis and scale; no rows if the teacher
    has no such table."""

    types: np.ndarray
    """float32 ``(token types, teacher width)``, likewise."""


def compress_embedding(teacher: nn.Module) -> CompressedEmbedding:
    """Rotate the embedding tables of a Hugging Face encoder by singular value decomposition.

    Args:
        teacher: Model with ``get_input_embeddings()``. Position and type tables are found by the
            names that Hugging Face encoders give them.
    """
    words: Any = teacher.get_input_embeddings()  # type: ignore[operator]
    table = words.weight.detach().double().cpu()
    # The eigenvectors of E^T E are the right singular vectors of E; E has a row for every token,
    # this matrix only teacher width rows.
    _, vectors = torch.linalg.eigh(table.T @ table)
    directions = vectors.flip(dims=(1,))
    tokens = table @ directions
    # A layer norm follows, so only the proportions of the three tables matter.
    scale = tokens.std().clamp(min=1e-8)

    def compressed(name: str) -> np.ndarray:
        for label, module in teacher.named_modules():
            if label.split(".")[-1] != name or not isinstance(module, nn.Embedding):
                continue
            if module.weight.shape[1] == table.shape[1]:
                used = module.weight.detach().double().cpu()
                if name == "position_embeddings":
                    used = used[first_position(teacher) :]
                out: np.ndarray = (used @ directions / scale).float().numpy()
                return out
        return np.empty((0, table.shape[1]), dtype=np.float32)

    return CompressedEmbedding(
        tokens=(tokens / scale).float().numpy(),
        positions=compressed("position_embeddings"),
        types=compressed("token_type_embeddings"),
    )


def start_from_teacher(
    student: StudentForSequenceClassification, embedding: CompressedEmbedding
) -> None:
    """Initialize the student's embedding from its teacher's by truncated SVD.

    The tables take the first ``embedding_width`` columns of the teacher's. The projection to the
    student's width gets orthonormal rows or columns, which preserves the distances between words.
    Further parameters of the input are initialized too; an input with buffers has to be prepared
    before.

    Args:
        student: Changed in place. Columns and rows beyond the teacher's keep their values. A
            student of token scores only has no embedding and stays as it is.
        embedding: Result of :func:`compress_embedding`.

    Raises:
        ArgumentError: The vocabularies differ in size.
    """
    if student.bound == 0:
        return
    own = student.embedding
    if len(own.tokens.weight) != len(embedding.tokens):
        raise ArgumentError(
            f"The student has {len(own.tokens.weight)} tokens, the teacher "
            f"{len(embedding.tokens)}; students share their teacher's tokenizer."
        )
    # Copies, because the arrays may be read-only maps of a file.
    own.adopt(torch.from_numpy(np.array(embedding.tokens[:, : own.shape.inner])))
    with torch.no_grad():
        for module, values in ((own.positions, embedding.positions), (own.types, embedding.types)):
            rows, columns = np.minimum(values.shape, module.weight.shape)
            part = torch.from_numpy(np.array(values[:rows, :columns]))
            module.weight[:rows, :columns] = part.to(module.weight)
        nn.init.orthogonal_(own.projection.weight)
