"""Training batches of similar length in a random order."""

from __future__ import annotations

import numpy as np

from rosearch.tokens import token_batches


def bucketed_batches(
    lengths: np.ndarray,
    *,
    batch_size: int,
    rng: np.random.Generator,
    batch_tokens: int | None = None,
    window: int = 50,
) -> list[np.ndarray]:
    """Make the batches of one epoch: shuffle rows, sort by length within windows, shuffle batches.

    Batches need little padding, and still contain other rows in each epoch.

    Args:
        lengths: Tokens of each row, ``(rows,)``.
        batch_size: Rows per batch; the last batch may be smaller.
        rng: Draws the order.
        batch_tokens: Maximum tokens of a batch, padding included, in place of ``batch_size``; a
            single row may exceed it.
        window: Approximate number of batches in a window.

    Returns:
        Index arrays that together hold every row once.
    """
    order = rng.permutation(len(lengths))
    if batch_tokens is not None:
        batch_size = max(1, int(batch_tokens / max(1.0, float(np.mean(lengths)))))
    batches = []
    for start in range(0, len(order), batch_size * window):
        rows = order[start : start + batch_size * window]
        if batch_tokens is not None:
            parts = token_batches(lengths[rows], token_budget=batch_tokens)
            batches += [rows[part] for part in parts]
            continue
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[k : k + batch_size] for k in range(0, len(rows), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]
