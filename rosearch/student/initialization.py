"""Where a student starts: with its teacher's embedding, compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.tokens import first_position


@dataclass(frozen=True)
class CompressedEmbedding:
    """A teacher's embedding tables in the basis of their principal directions.

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
    """The embedding tables of a Hugging Face encoder, by singular value decomposition.

    Args:
        teacher: A model with ``get_input_embeddings()``. Position and type tables are found by the
            names that Hugging Face encoders give them.
    """
    words: Any = teacher.get_input_embeddings()  # type: ignore[operator]
    table = words.weight.detach().double().cpu()
    # The eigenvectors of E^T E are the right singular vectors of E; the matrix has only the
    # teacher's width for a side, where E has a row for every token.
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
                rows: np.ndarray = (used @ directions).numpy()
                return (rows / float(scale)).astype(np.float32)
        return np.empty((0, table.shape[1]), dtype=np.float32)

    return CompressedEmbedding(
        tokens=(tokens / scale).float().numpy(),
        positions=compressed("position_embeddings"),
        types=compressed("token_type_embeddings"),
    )


def start_from_teacher(
    student: StudentForSequenceClassification, embedding: CompressedEmbedding
) -> None:
    """Fill the student's factorised embedding from its teacher's by truncated SVD.

    Inputs with tables of their own fill these from the teacher's too, and an input that must be
    prepared has to be before. The tables take the first ``embedding_width`` columns. The projection
    to the student's width starts with orthonormal rows or columns, which keeps the distances
    between words.

    Args:
        student: Changed in place. Columns and rows beyond the teacher's stay as they are.
        embedding: From :func:`compress_embedding`.

    Raises:
        ValueError: The vocabularies differ.
    """
    own = student.embedding
    if own.tokens.weight.shape[0] != embedding.tokens.shape[0]:
        raise ValueError(
            f"The student has {own.tokens.weight.shape[0]} tokens, the teacher "
            f"{embedding.tokens.shape[0]}; students share their teacher's tokenizer."
        )
    tables = (
        (own.positions, embedding.positions),
        (own.types, embedding.types),
    )
    # A copy, because the arrays may be read-only maps of a file.
    own.adopt(torch.from_numpy(np.array(embedding.tokens[:, : own.shape.inner])))
    with torch.no_grad():
        for module, values in tables:
            rows = min(len(values), module.weight.shape[0])
            columns = min(values.shape[1], module.weight.shape[1])
            part = torch.from_numpy(np.array(values[:rows, :columns]))
            module.weight[:rows, :columns] = part.to(module.weight)
        nn.init.orthogonal_(own.projection.weight)
