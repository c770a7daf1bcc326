"""Counter-fitting itself: synonyms attract, antonyms repel, neighbours stay."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from tqdm import tqdm

from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.settings import check_number, check_whole

_ROWS = 1024
_ROUNDING = 1e-6


def counterfit(
    vectors: WordVectors,
    synonyms: Iterable[tuple[str, str]],
    antonyms: Iterable[tuple[str, str]],
    *,
    antonym_weight: float = 0.1,
    synonym_weight: float = 0.1,
    preservation_weight: float = 0.1,
    antonym_distance: float = 1.0,
    synonym_distance: float = 0.0,
    radius: float = 0.2,
    passes: int = 20,
    progress: bool = True,
) -> WordVectors:
    """Move vectors so that synonyms come near, antonyms go apart, and neighbours stay.

    With ``d(u, v) = 1 - cos(u, v)`` and ``t(x) = max(0, x)`` the sum of three costs is lowered:
    antonyms repel, ``t(antonym_distance - d(u, v))`` (equation 1); synonyms attract,
    ``t(d(u, v) - synonym_distance)`` (equation 2); pairs within ``radius`` of each other before
    stay as near, ``t(d(u, v) - d_before(u, v))`` (equation 3). As in the authors' program, every
    pass moves each word by the mean of its gradients and makes all vectors unit length again; a
    pair of antonyms is no pair of synonyms, and neither is preserved.

    Args:
        vectors: The vectors to start from.
        synonyms: Pairs of words; pairs with a word that has no vector are left out.
        antonyms: Pairs of words.
        antonym_weight: Weight of the first cost (``k1``), and its step.
        synonym_weight: Weight of the second (``k2``), and its step.
        preservation_weight: Weight of the third (``k3``), and its step.
        antonym_distance: Distance that antonyms are to have (``delta``).
        synonym_distance: Distance that synonyms may have (``gamma``).
        radius: Distance within which neighbours are kept (``rho``).
        passes: Gradient steps over all pairs.
        progress: Show a bar if it takes long.

    Returns:
        Vectors of the same words, of unit length.

    Raises:
        DataError: A setting is out of range.
    """
    weights = [
        check_number("antonym_weight", antonym_weight, least=0),
        check_number("synonym_weight", synonym_weight, least=0),
        check_number("preservation_weight", preservation_weight, least=0),
    ]
    check_number("antonym_distance", antonym_distance, least=0, most=2)
    check_number("synonym_distance", synonym_distance, least=0, most=2)
    check_number("radius", radius, least=0, most=2)
    passes = check_whole("passes", passes)
    table = torch.nn.functional.normalize(torch.from_numpy(np.array(vectors.matrix, np.float32)))
    apart = _pairs(vectors, antonyms)
    near = _without(_pairs(vectors, synonyms), apart)
    kept, before = _neighbours(table, radius)
    chosen = ~torch.isin(_codes(kept, len(table)), _codes(torch.cat([apart, near]), len(table)))
    kept, before = kept[chosen], before[chosen]
    for _ in tqdm(range(passes), desc="counter-fitting", delay=2, disable=not progress):
        moves = torch.zeros_like(table)
        counts = torch.zeros(len(table))
        # Sign: antonyms lose cosine as long as they are too near, the others gain it.
        _add(moves, counts, table, apart, -weights[0], antonym_distance, nearer_than=True)
        _add(moves, counts, table, near, weights[1], synonym_distance)
        _add(moves, counts, table, kept, weights[2], before)
        table += moves / counts.clamp(min=1)[:, None]
        table = torch.nn.functional.normalize(table)
    return WordVectors(vectors.words, table.numpy())


def _pairs(vectors: WordVectors, pairs: Iterable[tuple[str, str]]) -> torch.Tensor:
    """Rows of each pair, int64, shape ``(pairs, 2)``, the smaller first, each pair once."""
    rows = {tuple(sorted(vectors.rows(pair))) for pair in pairs}
    kept = sorted(pair for pair in rows if pair[0] >= 0 and pair[0] != pair[1])
    return torch.tensor(kept, dtype=torch.int64).reshape(-1, 2)


def _codes(pairs: torch.Tensor, words: int) -> torch.Tensor:
    return pairs[:, 0] * words + pairs[:, 1]


def _without(pairs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    words = int(torch.cat([pairs, others]).max()) + 1 if len(pairs) + len(others) else 1
    return pairs[~torch.isin(_codes(pairs, words), _codes(others, words))]


def _neighbours(table: torch.Tensor, radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of rows nearer than ``radius``, and their distances."""
    pairs, distances = [], []
    for start in range(0, len(table), _ROWS):
        far = 1 - table[start : start + _ROWS] @ table[start:].T
        # Each pair once: the second row behind the first.
        found = torch.triu(far <= radius, diagonal=1).nonzero()
        distances.append(far[found[:, 0], found[:, 1]])
        pairs.append(found + start)
    return torch.cat(pairs), torch.cat(distances)


def _add(
    moves: torch.Tensor,
    counts: torch.Tensor,
    table: torch.Tensor,
    pairs: torch.Tensor,
    weight: float,
    limit: float | torch.Tensor,
    *,
    nearer_than: bool = False,
) -> None:
    """Add one cost's gradients: the rows of each pair that misses ``limit`` change their cosine."""
    if not len(pairs) or not weight:
        return
    first, second = table[pairs[:, 0]], table[pairs[:, 1]]
    cosine = (first * second).sum(dim=1)
    distance = 1 - cosine
    # A pair at its limit counts as there: float32 finds it on either side.
    active = distance < limit - _ROUNDING if nearer_than else distance > limit + _ROUNDING
    pairs, first, second = pairs[active], first[active], second[active]
    cosine = cosine[active, None]
    ones = torch.ones(len(pairs))
    # The gradient of the cosine of unit vectors u and v with respect to u is v - cos(u, v) u.
    for side, own, other in ((0, first, second), (1, second, first)):
        moves.index_add_(0, pairs[:, side], weight * (other - cosine * own))
        counts.index_add_(0, pairs[:, side], ones)
