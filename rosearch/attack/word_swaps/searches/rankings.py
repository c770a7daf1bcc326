"""Which words matter most to the victim."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from rosearch.attack.base import AskGradients
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.errors import DataError

_AT_ONCE = 2048  # texts; those of a long one would fill gigabytes

Ranking: TypeAlias = Generator[Any, Any, Sequence[int]]
"""Yields texts, is sent their scores, returns word indices, the most important first."""
Ranker: TypeAlias = Callable[[TextSwaps], Ranking]


def rank_by_unknown(swaps: TextSwaps) -> Ranking:
    """By how much the score rises when a word is blotted out (Gao et al. 2018, section IV-B)."""
    answer = yield [swaps.blotted(index) for index in swaps.indices]
    return _descending(swaps.indices, answer.scores)


def rank_by_deletion(swaps: TextSwaps) -> Ranking:
    """By how much the score rises when a word is deleted (Jin et al. 2019, equation 2)."""
    answer = yield [swaps.original.without(index) for index in swaps.indices]
    return _descending(swaps.indices, answer.scores)


def rank_by_weighted_saliency(swaps: TextSwaps) -> Ranking:
    """By the best replacement's score times softmax of saliency (Ren et al. 2019, equation 7).

    As in TextAttack, scores stand where the paper has changes of score. All texts are asked
    about at once, unless they are thousands.
    """
    indices = swaps.indices
    pending: list[Words] = [swaps.blotted(index) for index in indices]
    scores: list[np.ndarray] = []
    counts: list[int] = []
    for index in indices:
        candidates = yield from swaps.candidates(swaps.original, index)
        counts.append(len(candidates.texts))
        pending += candidates.texts
        if len(pending) >= _AT_ONCE:
            answer = yield pending
            scores.append(answer.scores)
            pending = []
    answer = yield pending
    flat = np.concatenate([*scores, answer.scores])
    blotted, replaced = flat[: len(indices)], flat[len(indices) :]
    saliency = torch.softmax(torch.from_numpy(blotted), dim=0).numpy()
    ends = np.cumsum(counts, dtype=int)
    best: list[np.float32 | float] = [
        replaced[end - count : end].max() if count else 0.0
        for end, count in zip(ends, counts, strict=True)
    ]
    return _descending(indices, saliency * np.array(best))


def rank_by_gradient(swaps: TextSwaps) -> Ranking:
    """By the 1-norm of the loss's gradient with respect to the word's embedding.

    Yoo and Qi 2021, section 3.2. The gradients of a word's tokens are averaged; a word without
    tokens of its own counts as unimportant. One gradient of the unchanged text, no query.
    """
    (found,) = yield AskGradients([swaps.original])
    importance = np.zeros(len(swaps.indices), dtype=np.float32)
    spans = swaps.original.spans
    for place, index in enumerate(swaps.indices):
        tokens = found.within(*spans[index])
        if len(tokens):
            importance[place] = np.abs(found.gradients[tokens].mean(axis=0)).sum()
    return _descending(swaps.indices, importance)


def rank_at_random(swaps: TextSwaps) -> Ranking:
    """In an order drawn for the example: what a ranking is worth is measured against it."""
    yield from ()  # nothing to ask
    return [int(i) for i in swaps.context.rng("ranking").permutation(swaps.indices)]


RANKINGS: dict[str, Ranker] = {
    "unknown": rank_by_unknown,
    "deletion": rank_by_deletion,
    "weighted-saliency": rank_by_weighted_saliency,
    "gradient": rank_by_gradient,
    "random": rank_at_random,
}
"""Rankings by name."""


def ranker(name: str) -> Ranker:
    """The ranking of that name.

    Raises:
        DataError: There is none.
    """
    if name not in RANKINGS:
        raise DataError(f"No ranking is called {name!r}. There are: {', '.join(RANKINGS)}.")
    return RANKINGS[name]


def _descending(indices: Sequence[int], importance: np.ndarray) -> list[int]:
    # Stable, so that words of equal importance stay in reading order on every machine.
    return [indices[i] for i in np.argsort(-importance, kind="stable")]
