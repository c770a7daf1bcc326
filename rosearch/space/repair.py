"""Repairing a draft that misses the limits, by a few random changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rosearch.space.cost.limits import Limits
from rosearch.space.domain import Domain
from rosearch.space.draft import Change, Draft
from rosearch.space.genome import Genome
from rosearch.space.mutations import MUTATIONS, Mutation, insert
from rosearch.space.random_choices import RandomChoices

_STEPS = 24
_CHANGES = 300
_KINDS = (
    "change_operator",
    "change_parameter",
    "change_embedding_width",
    "insert",
    "remove",
    "toggle_residual",
    "change_embedding",
    "change_pooling",
    "change_merge",
    "change_width",
)
_MUTATIONS: dict[str, Mutation] = {**MUTATIONS, "insert": partial(insert, edges=1)}


def repaired(
    domain: Domain, limits: Limits | None, draft: Draft, rng: RandomChoices
) -> tuple[Genome, float]:
    """Return a genome inside the limits, or the nearest that at most 24 changes lead to.

    Each step takes the first of up to 300 random changes that meets the limits, or else the one
    that comes nearest.

    Returns:
        The genome, and by how much it is outside the limits, relative to them; 0 inside.
    """
    if limits is None:
        return draft.genome(), 0.0
    for step in range(_STEPS + 1):
        costs = limits.total(draft.genome())
        excess = limits.outside(costs)
        if not excess or step == _STEPS:
            break
        nearest, least = None, excess
        for change, _ in zip(_changes(domain, draft, rng), range(_CHANGES), strict=False):
            outside = limits.outside(limits.total_after(draft, costs, change))
            if outside < least:
                nearest, least = change, outside
            if not least:
                break
        if nearest is None:
            break
        draft = nearest.make()
    return draft.genome(), excess


def _changes(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Yield changes of each kind in turn, so that none crowds out the others."""
    turns = [_MUTATIONS[kind](domain, draft, rng) for kind in _KINDS]
    while turns:
        for turn in list(turns):
            change = next(turn, None)
            if change is None:
                turns.remove(turn)
            else:
                yield change
