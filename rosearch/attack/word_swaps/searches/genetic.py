"""Genetic search over word replacements."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rosearch.attack.base import BudgetExhausted, Search, SearchContext
from rosearch.attack.settings import check_number, check_whole
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.attack.word_swaps.searches.lockstep import lockstep


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    text: Words
    score: float
    succeeded: bool
    weights: np.ndarray
    """How likely each word is to be replaced next, not normalised, shape ``(words,)``."""


class GeneticSearch(SearchMethod):
    """A population of texts that are crossed and perturbed (Alzantot et al. 2018, algorithm 1).

    A perturbation draws a word, more likely one with many replacements, and puts in the one that
    raises the score most; if none does, it draws another word. A child takes each word from one of
    two parents and is perturbed. The best text is kept; the search ends with the first generation
    that has a text which meets the goal.

    Texts and query counts are those of TextAttack's ``AlzantotGeneticAlgorithm`` without the check
    after crossover, its random draws given: what comes of a crossover need not meet constraints
    such as a limit on the share of changed words; parents with low scores are drawn more often, not
    less; words without replacements are drawn too; what the last generation finds is not looked at.
    All members of a generation are asked about together. Draws depend on the run's seed, the attack
    and the text.

    Args:
        population: Texts in a generation.
        generations: Most generations.
        temperature: Of the softmax by which parents are drawn.

    Raises:
        DataError: A number is out of range.
    """

    name = "genetic"

    def __init__(
        self, *, population: int = 60, generations: int = 40, temperature: float = 0.3
    ) -> None:
        self.population = check_whole("population", population)
        self.generations = check_whole("generations", generations)
        self.temperature = check_number("temperature", temperature, least=1e-6)

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
            # Cut short by its budget, it ends with the best of all texts asked about, not of those
            # asked about last: members of a generation find theirs at different times.
            members = yield from lockstep(steps)
            if generation > 1:
                members = [best, *members]
            members.sort(key=lambda member: -member.score)
            best = members[0]
            if best.succeeded:
                break
            steps = self._children(swaps, members, context, generation)
        else:
            # Asked about, as in TextAttack, and of no consequence.
            with contextlib.suppress(BudgetExhausted):
                yield from lockstep(steps)
        return best.text

    def _children(
        self, swaps: TextSwaps, members: list[_Member], context: SearchContext, generation: int
    ) -> list[Generator[Any, Any, _Member]]:
        scores = np.array([member.score for member in members], dtype=np.float64)
        odds = np.exp(-scores / self.temperature)
        shares = odds / odds.sum()
        rng = context.rng("genetic", generation)
        count = len(members) - 1
        parents = [rng.choice(len(members), size=count, p=shares) for _ in range(2)]
        return [
            _child(swaps, members[a], members[b], context.rng("genetic", generation, k))
            for k, (a, b) in enumerate(zip(*parents, strict=True))
        ]


def _weights(swaps: TextSwaps) -> Generator[Any, Any, np.ndarray]:
    """How many replacements each word of the original has, at least one."""
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
        place = int(answer.scores.argmax())
        if answer.scores[place] > member.score:
            rest = member.weights.copy()
            rest[index] = 0
            return _Member(
                candidates.texts[place],
                float(answer.scores[place]),
                bool(answer.succeeded[place]),
                rest,
            )
        weights[index] = 0
    return member


def _child(
    swaps: TextSwaps, first: _Member, second: _Member, rng: np.random.Generator
) -> Generator[Any, Any, _Member]:
    taken = rng.random(len(first.weights)) < 0.5
    text = _crossed(first.text, second.text, taken)
    answer = yield [text]
    child = _Member(
        text,
        float(answer.scores[0]),
        bool(answer.succeeded[0]),
        np.where(taken, second.weights, first.weights),
    )
    return (yield from _perturbed(swaps, child, rng))


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
