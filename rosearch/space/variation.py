"""Random moves in a search space: sample, mutate, recombine.

Every move works on nodes in topological order and ends in :meth:`Draft.genome`, which lets the
output read whatever no node reads. So each result is a valid genome by construction.
"""

from __future__ import annotations

import time
import warnings
from itertools import islice
from typing import TYPE_CHECKING

from rosearch.errors import SpaceError
from rosearch.space.draft import Draft
from rosearch.space.mutations import MUTATIONS
from rosearch.space.repair import repaired
from rosearch.space.sampling import compose, fit_embedding, fit_node

if TYPE_CHECKING:
    from rosearch.space.genome import Genome
    from rosearch.space.rng import Draws
    from rosearch.space.search_space import SearchSpace

_SAMPLES = 50
"""Draws, each with its repair, after which a space counts as empty."""
_PATIENCE = 5.0
"""Seconds after which a sample that is still being looked for warns."""
_CHILDREN = 8
"""Cuts that a crossover tries, each with its repair."""
_NEIGHBOURS = 2000
"""Neighbours of one kind that a mutation looks at."""


def sample(space: SearchSpace, draws: Draws) -> Genome:
    """A random genome of the space."""
    nearest, least = None, float("inf")
    begun, silent = time.monotonic(), True
    for number in range(_SAMPLES):
        if silent and time.monotonic() - begun > _PATIENCE:
            silent = False
            warnings.warn(
                f"Still looking for a genome of this space, after {number} of {_SAMPLES} draws: "
                f"{_nearest(space, nearest)} A space that is so hard to meet is slow to search.",
                stacklevel=4,
            )
        draft, excess = repaired(space, compose(space, draws), draws)
        if not excess:
            return draft.genome()
        if excess < least:
            nearest, least = draft, excess
    raise SpaceError(
        f"No genome of this space was found within {space.limits} in {_SAMPLES} draws. "
        f"{_nearest(space, nearest)} Move a limit or widen the space."
    )


def _nearest(space: SearchSpace, draft: Draft | None) -> str:
    """Which limits the nearest draft meets, and which it misses: these are in each other's way."""
    if draft is None or space.limits is None:
        return "None was drawn yet."
    return f"The nearest has {space.limits.verdict(draft, draft.read())}."


def crossover(space: SearchSpace, a: Genome, b: Genome, draws: Draws) -> Genome:
    """One-point crossover of the node sequences; the other genes come from either parent."""
    first, second = Draft.of(a), Draft.of(b)
    for _ in range(_CHILDREN):
        child, excess = repaired(space, _child(space, first, second, draws), draws)
        if not excess:
            return child.genome()
    # All of the first parent and nothing of the second is a cut too, and inside the limits.
    return first.genome()


def _child(space: SearchSpace, first: Draft, second: Draft, draws: Draws) -> Draft:
    low, high = space.nodes
    head = draws.below(len(first.nodes) + 1)
    # The tail is as long as the space allows, and long enough for its smallest number of nodes.
    shortest = max(0, low - head)
    longest = min(len(second.nodes), high - head)
    if shortest > longest:
        head, shortest, longest = len(first.nodes), 0, 0
    tail = shortest + draws.below(longest - shortest + 1)
    cut = len(second.nodes) - tail
    width = draws.pick((first.width, second.width))
    nodes = first.nodes[:head]
    # Relatives may give the same node twice; the first keeps its identity.
    taken = {node.identity for node in nodes}
    for node in second.nodes[cut:]:
        # What the tail read in its old place it now reads at a random place of the new head.
        inputs = {i - cut + head if i > cut else draws.below(head + 1) for i in node.inputs}
        identity = draws.identity() if node.identity in taken else node.identity
        nodes.append(node.changed(inputs=tuple(sorted(inputs)), identity=identity))
    return Draft(
        width,
        draws.pick((first.embedding_width, second.embedding_width)),
        draws.pick((first.pooling, second.pooling)),
        fit_embedding(space, draws, draws.pick((first.embedding, second.embedding)), width),
        [fit_node(space, draws, node, width) for node in nodes],
        {i for i in first.outputs if i <= head}
        | {i - cut + head for i in second.outputs if i > cut},
    )


def mutate(space: SearchSpace, genome: Genome, draws: Draws, kind: str | None) -> Genome:
    """One change of the given or a random kind, to a genome of the space with another key."""
    if kind is not None and kind not in MUTATIONS:
        raise SpaceError(f"No mutation is called {kind!r}; known: {', '.join(MUTATIONS)}.")
    draft = Draft.of(genome)
    for name in [kind] if kind else draws.shuffled(MUTATIONS):
        for changed in islice(MUTATIONS[name](space, draft, draws), _NEIGHBOURS):
            child = changed.genome()
            # The limits first: they refuse far more often than a change that another numbering
            # undoes, and are cheaper to look at.
            if space.meets_limits(child) and child.key != genome.key and child in space:
                return child
    wanted = f"by {kind}" if kind else "by any mutation"
    raise SpaceError(
        f"Genome {genome.key} has no neighbour {wanted} in this space; widen the space."
    )
