"""Matching of the teacher's layers with the student's nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from rosearch.checks import refused
from rosearch.errors import ArgumentError, EvaluationError
from rosearch.space import Genome

Layers: TypeAlias = "Sequence[int | Sequence[int]]"
"""Teacher layers, to be matched with nodes by relative depth, or pairs of a student's node and a
teacher's layer."""


def node_depths(genome: Genome) -> tuple[int, ...]:
    """Return the longest path from the embedding to each hidden state of the genome's student.

    Returns:
        0 for the embedding, then one depth per node, in the order of ``genome.ordered()``.
    """
    depths = [0]
    for node in genome.ordered().nodes:
        depths.append(1 + max(depths[i] for i in node.inputs))
    return tuple(depths)


def default_layers(count: int) -> tuple[int, ...]:
    """Return the layers at a third, two thirds and the end of ``count`` layers: 4, 8, 12 of 12."""
    return tuple(sorted({-(-count // 3), -(-2 * count // 3), count}))


def teacher_layers_of(layers: Layers, *, count: int, minimum: int) -> tuple[int, ...]:
    """Validate ``layers`` and return the teacher's layers in it, sorted and distinct.

    Args:
        layers: Layers or pairs, not mixed.
        count: Layers of the teacher.
        minimum: First valid layer.

    Raises:
        ArgumentError: ``layers`` is empty, mixed, or names a layer that the teacher does not have.
    """
    entries: list[Any] = list(layers) if hasattr(layers, "__iter__") else []
    if not entries or not (all(map(_is_number, entries)) or all(map(_is_pair, entries))):
        raise refused(
            "layers", "teacher layers such as (4, 8, 12), or pairs (node, teacher layer)", layers
        )
    named = {entry if isinstance(entry, int) else entry[1] for entry in entries}
    bad = sorted(layer for layer in named if not minimum <= layer <= count)
    if bad:
        raise ArgumentError(
            f"layers={layers!r}: the teacher has no layer {bad[0]}; its layers are {minimum} to "
            f"{count}."
        )
    return tuple(sorted(named))


def match_layers(
    layers: Layers, *, count: int, depths: Sequence[int], among: Collection[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """Return pairs of a student's hidden state and a teacher's layer.

    A layer without a given node is matched with the node of the nearest relative depth; of equally
    near nodes with the last. If several layers are matched with one node, only the nearest is kept;
    of equally near layers the last. So a shallow student matches fewer layers. The embedding is
    matched only if the student has no nodes.

    Args:
        layers: Valid layers or pairs; see :func:`teacher_layers_of`.
        count: Layers of the teacher.
        depths: From :func:`node_depths`.
        among: Hidden states to match; default: all nodes.

    Raises:
        EvaluationError: A pair names a node that does not exist or is not in ``among``.
    """
    everything = range(1, len(depths)) if len(depths) > 1 else range(1)
    allowed = sorted(everything if among is None else among)
    pairs = [(int(e[0]), int(e[1])) for e in layers if not isinstance(e, int)]
    if pairs:
        # The embedding may be given explicitly, though it is never matched by depth beside nodes.
        named = {0, *allowed} if among is None else set(allowed)
        bad = [node for node, _ in pairs if node not in named]
        if bad:
            raise EvaluationError(
                f"layers={layers!r}: node {bad[0]} of this student cannot be matched; nodes that "
                f"can are {', '.join(map(str, sorted(named))) or 'none'}. Give only teacher layers "
                f"to match them by relative depth in any student."
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
