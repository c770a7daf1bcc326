"""Genetic search over word replacements."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.attack.word_swaps.searches.lockstep import lockstep
from rosearch.checks import whole_number

_TEMPERATURE = 0.3  # of the softmax that parents are drawn by


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    text: Words
    score: float
    succeeded: bool
    weights: np.ndarray
    """Unnormalised probability that each word is replaced next, shape ``(words,)``."""


class GeneticSearch(SearchMethod):
    """A population of texts that are crossed and perturbed (Alzantot et al. 2018, algorithm 1).

    A perturbation draws a word, with a probability proportional to its number of replacements, and
    takes the replacement that raises the score most; if none does, it draws another word. A child
    takes each word from one of two parents and is then perturbed. The best text is kept; the
    search ends at the first generation with a text that meets the goal.

    Texts and query counts are those of TextAttack's ``AlzantotGeneticAlgorithm`` without the check
    after crossover, given the same random draws. So the result of a crossover may violate
    constraints such as a maximum share of perturbed words, parents with low scores are drawn more
    often, words without replacements are drawn too, and the last generation is evaluated but not
    used. The members of a generation are evaluated together.

    Args:
        population: Number of texts in a generation.
        generations: Maximum number of generations.

    Raises:
        ArgumentError: A number is out of range.
    """

    name = "genetic"
    only_swaps = True  # where words keep their places

    def __init__(self, *, population: int = 60, generations: int = 40) -> None:
        self.population = whole_number("population", population)
        self.generations = whole_number("generations", generations)

    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        if not len(swaps.original):
            return swaps.original
        weights = yield from _weights(swaps)
        first = _Member(swaps.original, context.score, False, weights)
        best = first
        steps = [
            _perturbed(swaps, first, context.rng("genetic", 0, k)) for k in range(self.population)
        ]
        for generation in range(1, self.generations + 1):
            # BudgetExhausted is not caught: the engine then returns the best text of all queries,
            # which need not be among the last.
            members = yield from lockstep(steps)
            if generation > 1:
                members = [best, *members]
            members.sort(key=lambda member: -member.score)
            best = members[0]
            if best.succeeded:
                break
            steps = self._children(swaps, members, context, generation)
        else:
            # Evaluated and not used, as in TextAttack.
            with contextlib.suppress(BudgetExhausted):
                yield from lockstep(steps)
        return best.text

    def _children(
        self, swaps: TextSwaps, members: list[_Member], context: SearchContext, generation: int
    ) -> list[Generator[Any, Any, _Member]]:
        scores = np.array([member.score for member in members], dtype=np.float64)
        odds = np.exp(-scores / _TEMPERATURE)
        rng = context.rng("genetic", generation)
        count = len(members) - 1
        parents = [rng.choice(len(members), size=count, p=odds / odds.sum()) for _ in range(2)]
        return [
            _child(swaps, members[a], members[b], context.rng("genetic", generation, k))
            for k, (a, b) in enumerate(zip(*parents, strict=True))
        ]


def _weights(swaps: TextSwaps) -> Generator[Any, Any, np.ndarray]:
    """The number of replacements of each word of the original, at least one."""
    counts = np.zeros(len(swaps.original))
    for index in swaps.indices:
        counts[index] = len((yield from swaps.candidates(swaps.original, index)).texts)
    return np.maximum(counts, max(1, int(counts.min() * 0.1)))


def _perturbed(
    swaps: TextSwaps, member: _Member, rng: np.random.Generator
) -> Generator[Any, Any, _Member]:
    weights = member.weights.copy()
    for _ in range(np.count_nonzero(weights)):
        index = int(rng.choice(len(weights), 1, p=weights / weights.sum())[0])
        if index not in swaps.indices:
            continue
        candidates = yield from swaps.candidates(member.text, index)
        if not candidates.texts:
            continue
        answer = yield candidates.texts
        best = int(answer.scores.argmax())
        if answer.scores[best] > member.score:
            rest = member.weights.copy()
            rest[index] = 0
            return _member(candidates.texts[best], answer, best, rest)
        weights[index] = 0
    return member


def _child(
    swaps: TextSwaps, first: _Member, second: _Member, rng: np.random.Generator
) -> Generator[Any, Any, _Member]:
    taken = rng.random(len(first.weights)) < 0.5
    text = _crossed(first.text, second.text, taken)
    answer = yield [text]
    child = _member(text, answer, 0, np.where(taken, second.weights, first.weights))
    return (yield from _perturbed(swaps, child, rng))


def _member(text: Words, answer: Answer, row: int, weights: np.ndarray) -> _Member:
    return _Member(text, float(answer.scores[row]), bool(answer.succeeded[row]), weights)


def _crossed(first: Words, second: Words, taken: np.ndarray) -> Words:
    pieces = list(first.pieces)
    changed = set(first.changed)
    for index in np.flatnonzero(taken).tolist():
        place = 2 * index + 1
        if pieces[place] != second.pieces[place]:
            pieces[place] = second.pieces[place]
            changed.discard(index)
            changed |= second.changed & {index}
    return replace(first, pieces=tuple(pieces), changed=frozenset(changed))
