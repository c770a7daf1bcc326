"""Counter-fitting by gradient descent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn.functional import normalize

from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.checks import number, whole_number
from rosearch.progress import progress_bar

_BATCH = 1024  # rows compared with all others at once
_ROUNDING = 1e-6
_STEP = 0.1  # weight and step size of each cost: k1, k2 and k3 in the paper


def counterfit(
    vectors: WordVectors,
    synonyms: Iterable[tuple[str, str]],
    antonyms: Iterable[tuple[str, str]],
    *,
    radius: float = 0.2,
    passes: int = 20,
) -> WordVectors:
    """Move synonyms together and antonyms apart, and keep the distances of other neighbours.

    With ``d(u, v) = 1 - cos(u, v)`` and ``t(x) = max(0, x)``, this lowers the sum of three costs:
    ``t(1 - d(u, v))`` for antonyms (equation 1 of the paper); ``t(d(u, v))`` for synonyms
    (equation 2); and ``t(d(u, v) - d_before(u, v))`` for pairs initially within ``radius``
    (equation 3). As in the authors' code, each pass moves each word by 0.1 times the mean of its
    gradients and normalizes all vectors. Antonyms are not treated as synonyms, and neither are
    preserved.

    Args:
        vectors: The initial vectors.
        synonyms: Pairs of words; pairs with a word that has no vector are ignored.
        antonyms: Pairs of words.
        radius: Distance within which neighbours are preserved (``rho``), from 0 to 2.
        passes: Number of gradient steps over all pairs.

    Returns:
        Unit vectors of the same words.

    Raises:
        ArgumentError: A setting is out of range.
    """
    radius = number("radius", radius, 0, 2)
    passes = whole_number("passes", passes)
    table = normalize(torch.from_numpy(np.array(vectors.matrix, np.float32)))
    apart, near = _pairs(vectors, antonyms), _pairs(vectors, synonyms)
    near = near[~_among(near, apart, len(table))]
    kept, before = _neighbours(table, radius)
    others = ~_among(kept, torch.cat([apart, near]), len(table))
    kept, before = kept[others], before[others]
    for _ in progress_bar(range(passes), desc="counter-fitting"):
        moves = torch.zeros_like(table)
        counts = torch.zeros(len(table))
        # Antonyms that are too near lose cosine; the others gain it.
        _add(moves, counts, table, apart, 1.0, gain=-_STEP)
        _add(moves, counts, table, near, 0.0, gain=_STEP)
        _add(moves, counts, table, kept, before, gain=_STEP)
        table = normalize(table + moves / counts.clamp(min=1)[:, None])
    return WordVectors(vectors.words, table.numpy())


def _pairs(vectors: WordVectors, pairs: Iterable[tuple[str, str]]) -> torch.Tensor:
    """Return the rows of each pair, int64, shape ``(pairs, 2)``, sorted, each pair once."""
    rows = {tuple(sorted(vectors.rows(pair))) for pair in pairs}
    kept = sorted(pair for pair in rows if pair[0] >= 0 and pair[0] != pair[1])
    return torch.tensor(kept, dtype=torch.int64).reshape(-1, 2)


def _among(pairs: torch.Tensor, others: torch.Tensor, words: int) -> torch.Tensor:
    """Return which pairs occur in ``others``, bool, shape ``(pairs,)``."""
    return torch.isin(pairs[:, 0] * words + pairs[:, 1], others[:, 0] * words + others[:, 1])


def _neighbours(table: torch.Tensor, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all pairs of rows within ``radius``, and their distances."""
    pairs, distances = [], []
    for start in range(0, len(table), _BATCH):
        far = 1 - table[start : start + _BATCH] @ table[start:].T
        found = torch.triu(far <= radius, diagonal=1).nonzero()  # each pair once
        distances.append(far[found[:, 0], found[:, 1]])
        pairs.append(found + start)
    return torch.cat(pairs), torch.cat(distances)


def _add(
    moves: torch.Tensor,
    counts: torch.Tensor,
    table: torch.Tensor,
    pairs: torch.Tensor,
    limit: float | torch.Tensor,
    *,
    gain: float,
) -> None:
    """Add the gradients of one cost, times ``gain``, for the pairs whose distance exceeds a limit.

    Where ``gain`` is negative, the pairs below the limit are selected instead.
    """
    first, second = table[pairs[:, 0]], table[pairs[:, 1]]
    cosine = (first * second).sum(dim=1)
    distance = 1 - cosine
    # A pair at the limit does not exceed it, whatever float32 rounding gives.
    active = distance < limit - _ROUNDING if gain < 0 else distance > limit + _ROUNDING
    pairs, first, second = pairs[active], first[active], second[active]
    cosine = cosine[active, None]
    ones = torch.ones(len(pairs))
    # The gradient of the cosine of unit vectors u and v with respect to u is v - cos(u, v) u.
    for side, own, other in ((0, first, second), (1, second, first)):
        moves.index_add_(0, pairs[:, side], gain * (other - cosine * own))
        counts.index_add_(0, pairs[:, side], ones)
