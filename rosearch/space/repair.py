"""Bringing a draft into the limits of its space by few and bounded changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rosearch.space.cost.limits import Limits
from rosearch.space.draft import Draft
from rosearch.space.mutations import MUTATIONS
from rosearch.space.rng import Draws

if TYPE_CHECKING:
    from rosearch.space.search_space import SearchSpace

_STEPS = 24
_LOOKS = 300


def repaired(space: SearchSpace, draft: Draft, draws: Draws) -> tuple[Draft, float]:
    """The draft inside the limits, or as near as a walk of at most 24 changes came.

    Each step takes the first change that meets the limits, of up to 300 random ones, else the one
    that comes nearest.

    Returns:
        The draft, and by how much it is outside, relative to the limits: 0 inside.
    """
    limits = space.limits
    if limits is None:
        return draft, 0.0
    excess = _excess(limits, draft)
    for _ in range(_STEPS):
        if not excess:
            break
        nearest, least = draft, excess
        for changed, _ in zip(_changes(space, draft, draws), range(_LOOKS), strict=False):
            outside = _excess(limits, changed)
            if outside < least:
                nearest, least = changed, outside
            if not least:
                break
        if nearest is draft:
            break
        draft, excess = nearest, least
    return draft, excess


def _excess(limits: Limits, draft: Draft) -> float:
    return limits.excess(limits.total(draft, draft.read()))


def _changes(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    """Changes that move costs, by turns of each kind, so that none crowds out the others."""
    kinds = (
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
    turns = [MUTATIONS[kind](space, draft, draws) for kind in kinds]
    while turns:
        for turn in list(turns):
            changed = next(turn, None)
            if changed is None:
                turns.remove(turn)
            else:
                yield changed
