"""Which of the teacher's layers is matched with which of the student's nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from rosearch.errors import EvaluationError
from rosearch.space import Genome

Layers: TypeAlias = "Sequence[int | Sequence[int]]"
"""Numbers of teacher layers, each to be matched by relative depth, or pairs of a student's node and
a teacher's layer."""


def node_depths(genome: Genome) -> tuple[int, ...]:
    """Longest path from the embedding to each hidden state of the genome's student.

    Args:
        genome: The architecture; its nodes are taken in the order of ``genome.ordered()``, which is
            that of the student's modules.

    Returns:
        The embedding's 0, then one a node.
    """
    depths = [0]
    for node in genome.ordered().nodes:
        depths.append(1 + max(depths[i] for i in node.inputs))
    return tuple(depths)


def default_layers(count: int) -> tuple[int, ...]:
    """The teacher's layers at a third, two thirds and the end of its depth: 4, 8 and 12 of 12.

    Args:
        count: Layers of the teacher.
    """
    return tuple(sorted({-(-count // 3), -(-2 * count // 3), count}))


def check_layers(layers: Layers, *, count: int, least: int) -> tuple[int, ...]:
    """The teacher's layers that are named, sorted, each once.

    Args:
        layers: Layers or pairs, not mixed.
        count: Layers of the teacher.
        least: The first that can be named.

    Raises:
        ValueError: There is none, or a layer that the teacher does not have, or they are mixed.
    """
    try:
        entries = list(layers)
    except TypeError:
        entries = []
    if not entries or not (all(map(_is_number, entries)) or all(map(_is_pair, entries))):
        raise ValueError(
            f"layers={layers!r}: expected teacher layers such as (4, 8, 12), or pairs (student's "
            f"node, teacher's layer)."
        )
    named = {entry if isinstance(entry, int) else entry[1] for entry in entries}
    bad = sorted(layer for layer in named if not least <= layer <= count)
    if bad:
        raise ValueError(
            f"layers={layers!r}: the teacher has no layer {bad[0]}; its layers are {least} to "
            f"{count}."
        )
    return tuple(sorted(named))


def match_layers(
    layers: Layers, *, count: int, depths: Sequence[int], among: Collection[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """Pairs of a student's hidden state and a teacher's layer.

    Where only layers are named, each takes the node whose depth, as a share of the student's, is
    nearest to its own as a share of the teacher's; of equally near nodes the last. A node that
    several layers would take keeps the nearest, of equally near layers the last. So a shallow
    student matches fewer layers, and no node is pulled two ways. The embedding takes part only
    where there is no node.

    Args:
        layers: As :func:`check_layers` passed them.
        count: Layers of the teacher.
        depths: As from :func:`node_depths`.
        among: Hidden states that may take part; default: all nodes.

    Raises:
        EvaluationError: A pair names a node that does not exist or may not take part.
    """
    everything = range(1, len(depths)) if len(depths) > 1 else range(1)
    allowed = sorted(everything if among is None else among)
    pairs = [(int(e[0]), int(e[1])) for e in layers if not isinstance(e, int)]
    if pairs:
        # The embedding can be named, though it is never chosen beside nodes.
        named = {0, *allowed} if among is None else set(allowed)
        bad = [node for node, _ in pairs if node not in named]
        if bad:
            raise EvaluationError(
                f"layers={layers!r}: this student's node {bad[0]} cannot be matched; its nodes "
                f"that can are {', '.join(map(str, sorted(named))) or 'none'}. Name teacher layers "
                f"alone to match them by relative depth, whatever the student."
            )
        return tuple(pairs)
    deepest = max(depths)
    share = {node: depths[node] / deepest if deepest else 1.0 for node in allowed}
    kept: dict[int, tuple[float, int]] = {}
    for layer in sorted(entry for entry in layers if isinstance(entry, int)):
        far = {node: round(abs(share[node] - layer / count), 9) for node in allowed}
        node = min(allowed, key=lambda n: (far[n], -n))
        if node not in kept or far[node] <= kept[node][0]:
            kept[node] = (far[node], layer)
    return tuple((node, layer) for node, (_, layer) in sorted(kept.items()))


def _is_number(entry: Any) -> bool:
    return isinstance(entry, int)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, (tuple, list)) and len(entry) == 2 and all(map(_is_number, entry))
