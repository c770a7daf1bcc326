"""Greedy word replacement by importance, the part that classic recipes share.

Words are ranked once, then replaced one after the other, each by the candidate that
the victim minds most, until the goal is met (Jin et al. 2019, algorithm 1; Ren et al. 2019,
section 4). Order, ties and query counts are those of TextAttack's ``GreedyWordSwapWIR``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.constraints import Constraint
from rosearch.attack.substitutions import Substitution
from rosearch.attack.text import Words

UNKNOWN = "[UNK]"
"""What stands for a missing word in rankings, whatever the victim's own token for it."""

Ranking = Generator[Sequence[Words], Answer, Sequence[int]]
"""Yields texts, is sent their scores, returns word indices, the most important first."""


@dataclass(frozen=True)
class WordSwaps:
    """The replacements that a substitution proposes and all constraints allow."""

    substitution: Substitution
    constraints: Sequence[Constraint] = ()

    def start(self, original: Words, context: SearchContext) -> TextSwaps:
        """The replacements for one text, its random numbers drawn."""
        numbers: Sequence[Sequence[float]] = ()
        if self.substitution.draws:
            shape = (len(original), self.substitution.draws)
            numbers = context.rng("substitution").random(shape).tolist()
        indices = tuple(
            index
            for index in context.indices
            if all(c.allows_word(original, index) for c in self.constraints)
        )
        return TextSwaps(self, original, indices, numbers)


@dataclass(frozen=True)
class TextSwaps:
    """The replacements for one text."""

    swaps: WordSwaps
    original: Words
    indices: tuple[int, ...]
    """Words that may be replaced, in reading order."""
    numbers: Sequence[Sequence[float]]
    """Random numbers, a row for each word; empty where the substitution uses none."""

    def candidates(self, current: Words, index: int) -> list[Words]:
        """Texts with the word at ``index`` of ``current`` replaced, sorted by text."""
        constraints = self.swaps.constraints
        if not all(c.allows_word(current, index) for c in constraints):
            return []
        numbers = self.numbers[index] if self.numbers else ()
        word = current.pieces[2 * index + 1]
        found = (current.replace(index, w) for w in self.swaps.substitution.propose(word, numbers))
        allowed = [t for t in found if all(c.allows_text(self.original, t) for c in constraints)]
        # The words alone may sort otherwise than the texts: what follows the word counts too.
        return sorted(allowed, key=str)

    def without(self, index: int) -> Words:
        """The original with the word at ``index`` blotted out."""
        return self.original.replace(index, UNKNOWN)


def rank_by_unknown(swaps: TextSwaps) -> Ranking:
    """By how much the score rises when a word is blotted out (Jin et al. 2019, equation 2)."""
    answer = yield [swaps.without(index) for index in swaps.indices]
    return _descending(swaps.indices, answer.scores)


def rank_by_weighted_saliency(swaps: TextSwaps) -> Ranking:
    """By the best replacement's score times softmax of saliency (Ren et al. 2019, equation 7).

    As in TextAttack, scores stand where the paper has changes of score. All texts are asked
    about at once.
    """
    blotted = [swaps.without(index) for index in swaps.indices]
    replaced = [swaps.candidates(swaps.original, index) for index in swaps.indices]
    answer = yield [*blotted, *(text for texts in replaced for text in texts)]
    saliency = torch.softmax(torch.from_numpy(answer.scores[: len(blotted)].copy()), dim=0).numpy()
    best: list[np.float32 | float] = []
    start = len(blotted)
    for texts in replaced:
        end = start + len(texts)
        best.append(answer.scores[start:end].max() if texts else 0.0)
        start = end
    return _descending(swaps.indices, saliency * np.array(best))


def greedy_word_swap(swaps: TextSwaps, ranking: Ranking, score: float) -> Search:
    """Replace words in the order that ``ranking`` gives until the goal is met.

    Args:
        swaps: The replacements for the text.
        ranking: For example :func:`rank_by_unknown`.
        score: Score of the unchanged text. A replacement is kept only if it raises the score.

    Returns:
        The first text that meets the goal, else the one with the highest score.
    """
    current = swaps.original
    try:
        order = yield from ranking
    except BudgetExhausted:
        return current
    for index in order:
        candidates = swaps.candidates(current, index)
        if not candidates:
            continue
        over = False
        try:
            answer = yield candidates
        except BudgetExhausted as exhausted:
            answer, over = exhausted.answer, True
        if len(answer.scores):
            best = int(answer.scores.argmax())
            if answer.scores[best] > score:
                current, score = candidates[best], answer.scores[best]
                if answer.succeeded[best]:
                    break
        if over:
            break
    return current


def _descending(indices: Sequence[int], importance: np.ndarray) -> list[int]:
    # Stable, so that words of equal importance stay in reading order on every machine.
    return [indices[i] for i in np.argsort(-importance, kind="stable")]
