"""One-point crossover of two genomes."""

from __future__ import annotations

from rosearch.space.cost.limits import Limits
from rosearch.space.domain import Domain
from rosearch.space.draft import Draft
from rosearch.space.genome import Genome
from rosearch.space.nodes import changed
from rosearch.space.random_choices import RandomChoices
from rosearch.space.repair import repaired

_CHILDREN = 8
"""Cuts that are tried, each with its repair."""


def crossover(
    domain: Domain, limits: Limits | None, a: Genome, b: Genome, rng: RandomChoices
) -> Genome:
    """Return a child with the first nodes of ``a`` and the last nodes of ``b``.

    Its other fields come from either parent.
    """
    first, second = Draft.of(a), Draft.of(b)
    for _ in range(_CHILDREN):
        child, excess = repaired(domain, limits, _child(domain, first, second, rng), rng)
        if not excess:
            return child
    return first.genome()  # also a cut: all nodes of the first parent and none of the second


def _child(domain: Domain, first: Draft, second: Draft, rng: RandomChoices) -> Draft:
    low, high = domain.nodes
    head = rng.below(len(first.nodes) + 1)
    # The tail must be so long that the number of nodes is allowed.
    shortest = max(0, low - head)
    longest = min(len(second.nodes), high - head)
    if shortest > longest:
        head, shortest, longest = len(first.nodes), 0, 0
    tail = shortest + rng.below(longest - shortest + 1)
    cut = len(second.nodes) - tail
    width = rng.pick((first.width, second.width))
    nodes = first.nodes[:head]
    # Related parents may both have a node; the first copy keeps its identity.
    taken = {node.identity for node in nodes}
    for node in second.nodes[cut:]:
        # Inputs outside the tail are replaced by random nodes of the new head.
        inputs = {i - cut + head if i > cut else rng.below(head + 1) for i in node.inputs}
        identity = rng.identity() if node.identity in taken else node.identity
        nodes.append(changed(node, inputs=tuple(sorted(inputs)), identity=identity))
    return Draft(
        width,
        rng.pick((first.embedding_width, second.embedding_width)),
        rng.pick((first.pooling, second.pooling)),
        domain.fit_part(rng, rng.pick((first.embedding, second.embedding)), width),
        [domain.fit_part(rng, node, width) for node in nodes],
        {i for i in first.outputs if i <= head}
        | {i - cut + head for i in second.outputs if i > cut},
        {level: rng.pick((first, second)).encodings.get(level) for level in domain.encodings_at},
        # A draw that decides nothing would shift the random numbers of spaces without bounds.
        rng.pick((first, second)).bound if first.bound != second.bound else first.bound,
        domain.scopes,
    )
