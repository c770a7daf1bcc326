"""Rankings of words by their importance to the victim."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from rosearch.attack.base import AskGradients
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps

UNKNOWN = "[UNK]"
"""Replaces a word in rankings, whatever the victim's own token for unknown words is."""

_AT_ONCE = 2048  # texts; all candidates of a long text would fill gigabytes

Ranking: TypeAlias = Generator[Any, Any, Sequence[int]]
"""Yields texts, is sent their scores, returns indices of words, the most important first."""


def rank_by_unknown(swaps: TextSwaps) -> Ranking:
    """By the rise of the score when a word becomes ``[UNK]`` (Gao et al. 2018, section IV-B)."""
    answer = yield _with_unknown(swaps)
    return _descending(swaps.indices, answer.scores)


def rank_by_deletion(swaps: TextSwaps) -> Ranking:
    """By the rise of the score when a word is deleted (Jin et al. 2019, equation 2)."""
    answer = yield [swaps.original.without(index) for index in swaps.indices]
    return _descending(swaps.indices, answer.scores)


def rank_by_weighted_saliency(swaps: TextSwaps) -> Ranking:
    """By the best replacement's score times softmax of saliency (Ren et al. 2019, equation 7).

    As in TextAttack, scores take the place of the paper's changes of score.
    """
    pending = _with_unknown(swaps)
    scores: list[np.ndarray] = []
    counts: list[int] = []
    for index in swaps.indices:
        candidates = yield from swaps.candidates(swaps.original, index)
        counts.append(len(candidates.texts))
        pending += candidates.texts
        if len(pending) >= _AT_ONCE:
            answer = yield pending
            scores.append(answer.scores)
            pending = []
    answer = yield pending
    unknown, *replaced = np.split(
        np.concatenate([*scores, answer.scores]), np.cumsum([len(counts), *counts])[:-1]
    )
    saliency = torch.softmax(torch.from_numpy(unknown), dim=0).numpy()
    best = [found.max() if len(found) else 0.0 for found in replaced]
    return _descending(swaps.indices, saliency * np.array(best))


def rank_by_gradient(swaps: TextSwaps) -> Ranking:
    """By the 1-norm of the gradient of the loss with respect to the word's embedding.

    Yoo and Qi 2021, section 3.2. The gradients of a word's tokens are averaged; a word without
    tokens of its own ranks last. It takes one gradient of the unchanged text and no query.
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
    """In random order, a baseline for the other rankings."""
    yield from ()
    return [int(i) for i in swaps.context.rng("ranking").permutation(swaps.indices)]


RANKINGS: dict[str, Callable[[TextSwaps], Ranking]] = {
    "unknown": rank_by_unknown,
    "deletion": rank_by_deletion,
    "weighted-saliency": rank_by_weighted_saliency,
    "gradient": rank_by_gradient,
    "random": rank_at_random,
}
"""Rankings by name."""


def _with_unknown(swaps: TextSwaps) -> list[Words]:
    return [swaps.original.replace(index, UNKNOWN) for index in swaps.indices]


def _descending(indices: Sequence[int], importance: np.ndarray) -> list[int]:
    # Stable, so that equally important words stay in reading order.
    return [indices[i] for i in np.argsort(-importance, kind="stable")]
