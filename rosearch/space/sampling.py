"""Random genomes: first the frame, then one node after another."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from itertools import accumulate, compress

import numpy as np

from rosearch.errors import SpaceError
from rosearch.parameters import Parameters
from rosearch.space.cost.additive import extra_parts
from rosearch.space.cost.limits import Costs, Limits, add
from rosearch.space.domain import Domain
from rosearch.space.draft import Draft
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, changed, unchecked
from rosearch.space.random_choices import RandomChoices
from rosearch.space.repair import repaired

_DRAWS = 50
"""Draws, each with its repair, after which a space counts as empty."""
_PATIENCE = 5.0
"""Seconds after which sampling warns that it is slow."""


def sample(domain: Domain, limits: Limits | None, rng: RandomChoices) -> Genome:
    """Return a random genome, see :class:`rosearch.space.SearchSpace` for its distribution.

    Raises:
        SpaceError: No genome within the limits was found.
    """
    nearest, least = "", float("inf")
    patient_until = time.monotonic() + _PATIENCE
    for number in range(_DRAWS):
        if number and time.monotonic() > patient_until:
            patient_until = float("inf")  # warn only once
            warnings.warn(
                f"No genome of this space was found in {number} of {_DRAWS} draws so far. "
                f"{nearest} A space that is so hard to sample is slow to search.",
                stacklevel=4,
            )
        genome, excess = repaired(domain, limits, _draw(domain, limits, rng), rng)
        if limits is None or not excess:
            return genome
        if excess < least:
            nearest, least = f"The nearest has {limits.describe(genome)}.", excess
    raise SpaceError(
        f"No genome of this space was found within {limits} in {_DRAWS} draws. {nearest} Move a "
        f"limit or widen the space."
    )


def _draw(domain: Domain, limits: Limits | None, rng: RandomChoices) -> Draft:
    """Draw a chain with random detours, so that deep and wide graphs both occur.

    With limits, each node leaves those after it able to meet them wherever the costs of single
    parts allow it; the last nodes may miss them by a little.
    """
    if limits is None:
        draft = _draw_frame(domain, rng)
        for number in range(1, _draw_count(rng, *domain.nodes) + 1):
            operator = domain.pick_operator(rng, domain.operators_at, draft.width)
            draft.nodes.append(_draw_node(domain, rng, number, *operator))
        draft.bound = rng.pick(domain.bounds) if len(domain.bounds) > 1 else domain.bounds[0]
    else:
        bounds = limits.drawn_bounds
        bound = rng.pick(bounds) if len(bounds) > 1 else bounds[0]
        frame = rng.weighted(*limits.frames(bound))
        draft = changed(frame.draft, nodes=[], bound=bound)
        count = _draw_count(rng, frame.min_nodes, frame.max_nodes)
        spent = frame.costs
        for _ in range(count):
            node, spent = _draw_limited_node(domain, limits, rng, draft, count, spent)
            draft.nodes.append(node)
    draft.outputs = {number for number in range(len(draft.nodes)) if rng.chance(0.05)}
    draft.encodings = domain.pick_encodings(rng)
    draft.scopes = domain.scopes
    return draft


def _draw_frame(domain: Domain, rng: RandomChoices) -> Draft:
    width, embedding_width = (
        rng.weighted(widths, list(accumulate(1 / w for w in widths)))
        for widths in (domain.widths, domain.embedding_widths)
    )
    pooling = rng.pick(domain.poolings)
    embedding = unchecked(Embedding, *domain.pick_operator(rng, domain.embeddings_at, width))
    return Draft(width, embedding_width, pooling, embedding, [], set())


def _draw_count(rng: RandomChoices, few: int, many: int) -> int:
    """Draw a number of nodes, half as likely with every four more."""
    numbers = range(few, many + 1)
    return rng.weighted(numbers, list(accumulate(0.5 ** (k / 4) for k in range(len(numbers)))))


def _draw_node(
    domain: Domain, rng: RandomChoices, number: int, operator: str, parameters: Parameters
) -> Node:
    """Draw the inputs, merge and residual of node ``number``."""
    count = 1
    while count < min(domain.max_inputs, number) and rng.chance(0.4):
        count += 1
    inputs = {number - 1 if rng.chance(0.7) else rng.below(number)}
    while len(inputs) < count:
        inputs.add(rng.below(number))
    merge, residual = rng.pick(domain.merges), rng.chance(0.5)
    reads = tuple(sorted(inputs))
    return unchecked(Node, operator, parameters, reads, merge, residual, rng.identity())


def _draw_limited_node(
    domain: Domain, limits: Limits, rng: RandomChoices, draft: Draft, count: int, spent: Costs
) -> tuple[Node, Costs]:
    """Draw the next of ``count`` nodes, and return it with the costs including it.

    Its place in the graph is drawn first, then an operator whose costs leave the nodes after it
    able to meet the limits. If there is none, the node reads one input without residual; if that
    does not help, the operator with the nearest costs is taken.
    """
    width, number = draft.width, len(draft.nodes) + 1
    later = count - number
    options = limits.options[width]
    nothing = (0.0,) * len(limits.quantities)
    node = _draw_node(domain, rng, number, *options[0][:2])
    for plain in (False, True):
        if plain:
            node = changed(node, inputs=node.inputs[-1:], residual=False)
        extra = add(nothing, *map(limits.costs, extra_parts(node, width)))
        ends = zip(limits.low, limits.high, strict=True)
        nodes = zip(limits.min_costs[width], limits.max_costs[width], strict=True)
        bounds = [
            (low - s - e - later * highest, high - s - e - later * lowest)
            for (low, high), (lowest, highest), s, e in zip(ends, nodes, spent, extra, strict=True)
        ]
        low, high = np.array(bounds).T
        within = ((limits.option_costs[width] >= low) & (limits.option_costs[width] <= high)).all(1)
        fitting: dict[str, list[tuple[Parameters, Costs]]] = {}
        for name, parameters, costs in compress(options, within.tolist()):
            fitting.setdefault(name, []).append((parameters, costs))
        if fitting:
            break
    if fitting:
        name = rng.pick(list(fitting))
        parameters, costs = rng.pick(fitting[name])
    else:
        name, parameters, costs = min(options, key=lambda option: _distance(option[2], bounds))
    return changed(node, operator=name, parameters=parameters), add(spent, extra, costs)


def _distance(costs: Costs, bounds: Sequence[tuple[float, float]]) -> float:
    return sum(
        max(low - c, 0.0, c - high) / max(abs(c), 1e-12)
        for c, (low, high) in zip(costs, bounds, strict=True)
    )
