"""Students whose vocabulary grows or shrinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from rosearch import operators as ops


def resize_buffers(
    embedding: ops.EmbeddingOperator, vocabulary: int, parameters: dict[str, Any]
) -> None:
    """Adapt what an input knows of each token besides its vector, such as its spelling.

    New tokens are as before :meth:`~rosearch.operators.EmbeddingOperator.prepare`: without text.

    Args:
        embedding: The input, whose token table has its new size; changed in place.
        vocabulary: New number of tokens.
        parameters: The input's parameters.
    """
    embedding.shape = replace(embedding.shape, vocabulary=vocabulary)
    with torch.random.fork_rng(devices=[]):
        unprepared = type(embedding)(embedding.shape, **parameters)
    for name, values in unprepared.named_buffers():
        old = embedding.get_buffer(name)
        if values.shape == old.shape:
            continue
        values = values.to(old)
        rows = min(len(values), len(old))
        values[:rows] = old[:rows]
        owner, _, attribute = name.rpartition(".")
        setattr(embedding.get_submodule(owner), attribute, values)


def resize_scores(scores: ops.TokenScores, vocabulary: int) -> None:
    """Give token scores another number of tokens; new ones score 0.

    Args:
        scores: Changed in place.
        vocabulary: New number of tokens.
    """
    table = scores.tokens
    padding = table.padding_idx
    kept = None if padding is None or padding >= vocabulary else padding
    resized = nn.Embedding(vocabulary, table.embedding_dim, padding_idx=kept).to(table.weight)
    rows = min(vocabulary, table.num_embeddings)
    with torch.no_grad():
        resized.weight.zero_()
        resized.weight[:rows] = table.weight[:rows]
    scores.tokens = resized.requires_grad_(table.weight.requires_grad)
