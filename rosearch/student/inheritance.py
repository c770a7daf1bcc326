"""Weights that a child student takes over from its parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch

from rosearch.space import Genome
from rosearch.student.modeling import GraphNode, StudentForSequenceClassification

_TABLES = ("tokens", "positions", "types", "projection", "norm")
"""What every embedding operator has, whatever it makes of it."""


@dataclass(frozen=True)
class Inheritance:
    """What a child took over from its parent. Tensors go by their names in the state dict."""

    taken: tuple[str, ...]
    """Tensors taken over in full."""

    partly: tuple[str, ...]
    """Tensors of which some columns or rows were taken over."""

    new: tuple[str, ...]
    """Tensors that keep the child's fresh start."""

    inserted: tuple[str, ...]
    """Identities of the inserted nodes, which start with gain zero."""

    taken_parameters: int
    """Number of the child's parameters that come from the parent."""

    new_parameters: int
    """Number of all others."""

    @property
    def share(self) -> float:
        """Share of the child's parameters that come from the parent, 0 to 1."""
        return self.taken_parameters / (self.taken_parameters + self.new_parameters)


@torch.no_grad()
def inherit(
    child: StudentForSequenceClassification, parent: StudentForSequenceClassification
) -> Inheritance:
    """Give a child every tensor of the nodes that it shares with its parent.

    Nodes are shared where they have the same identity and the same operator; of those, tensors of
    equal shape are taken over, and buffers where the operator's parameters are equal too. A gated
    merge takes the scores of the inputs, and a pool the score of the output, that it shares.
    Embedding tables, norms and classifier follow their shapes; what else an input has is taken
    over where its operator and parameters are equal. Where only the embedding width
    differs, the tables share their first columns: students start from their teacher's principal
    directions, so the first columns hold most. The columns that a wider table adds do not count at
    first, because the projection starts with zero there.

    An inserted node (new, residual, on an edge of the parent) starts with gain zero and stands for
    the input that it replaced. So a child that differs from its parent by insertions computes at
    first exactly what the parent does. Other mutations cannot promise that: they take away what was
    computed (remove, change_operator, change_width), or feed trained nodes with what they never saw
    (rewire, toggle_residual, change_merge).

    Args:
        child: Changed in place; its own weights are its fresh start.
        parent: Any student with the same tokenizer, on any device and of any dtype.

    Returns:
        What was taken over.
    """
    kin = _Kinship.of(child, parent)
    plan = _Plan()
    _embedding(plan, child, parent)
    for number, origin in kin.shared.items():
        _node(plan, kin, number, origin)
    for number in kin.inserted:
        kin.child_nodes[number - 1].gain.zero_()
    origins = dict(zip(parent.outputs, parent.pools, strict=True))
    for place, (output, pool) in enumerate(zip(child.outputs, child.pools, strict=True)):
        given = origins.get(kin.origin.get(output, -1))
        if given is not None:
            plan.state(f"pools.{place}.", pool, given)
    plan.state("norm.", child.norm, parent.norm)
    plan.state("classifier.", child.classifier, parent.classifier)
    identities = kin.child.identities
    return plan.record(child, tuple(identities[number - 1] for number in kin.inserted))


@dataclass(frozen=True)
class _Kinship:
    """How the nodes of two students correspond, by their numbers."""

    child: Genome
    parent: Genome
    child_nodes: list[GraphNode]
    parent_nodes: list[GraphNode]
    shared: Mapping[int, int]
    """Child's node to the parent's node of that identity and operator."""

    inserted: tuple[int, ...]
    """Child's nodes that were put on an edge of the parent."""

    origin: Mapping[int, int]
    """Child's node to the parent's whose states it holds or stands for; the embedding is 0."""

    @classmethod
    def of(
        cls, child: StudentForSequenceClassification, parent: StudentForSequenceClassification
    ) -> _Kinship:
        # The modules of a student stand in this order.
        a, b = child.config.architecture.ordered(), parent.config.architecture.ordered()
        known = {identity: k for k, identity in enumerate(b.identities, start=1)}
        same = {
            k: known[identity]
            for k, identity in enumerate(a.identities, start=1)
            if identity in known
        }
        origin = {0: 0, **same}
        candidates = []
        for number, node in enumerate(a.nodes, start=1):
            entry = origin.get(node.inputs[0])
            if number not in same and node.residual and len(node.inputs) == 1 and entry is not None:
                candidates.append(number)
                origin[number] = entry
        inserted: set[int] = set()
        for number in reversed(candidates):
            if _bridges(number, a, b, same, origin[number], inserted):
                inserted.add(number)
            else:
                del origin[number]
        return cls(
            child=a,
            parent=b,
            child_nodes=cast(list[GraphNode], list(child.nodes)),
            parent_nodes=cast(list[GraphNode], list(parent.nodes)),
            shared={
                k: p for k, p in same.items() if a.nodes[k - 1].operator == b.nodes[p - 1].operator
            },
            inserted=tuple(sorted(inserted)),
            origin=origin,
        )


def _bridges(
    number: int,
    child: Genome,
    parent: Genome,
    same: Mapping[int, int],
    start: int,
    inserted: set[int],
) -> bool:
    """Whether without node ``number`` one of its readers would read what it reads in the parent."""
    if number in child.outputs and start in parent.outputs:
        return True
    readers = [k for k, node in enumerate(child.nodes, start=1) if number in node.inputs]
    return any(
        k in inserted or (k in same and start in parent.nodes[same[k] - 1].inputs) for k in readers
    )


class _Plan:
    """Copies tensors and keeps the books."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def tensor(self, name: str, target: torch.Tensor, source: torch.Tensor) -> None:
        """Fill a tensor, or a part of one that is called ``name``."""
        target.copy_(source)
        self.counts[name] = self.counts.get(name, 0) + target.numel()

    def state(
        self,
        prefix: str,
        target: torch.nn.Module,
        source: torch.nn.Module,
        *,
        buffers: bool = True,
        leave: tuple[str, ...] = (),
    ) -> None:
        """Fill the tensors of equal name and shape."""
        given = source.state_dict()
        own = dict(target.named_parameters(remove_duplicate=False))
        for name, tensor in target.state_dict().items():
            if name in leave or name not in given or given[name].shape != tensor.shape:
                continue
            if buffers or name in own:
                self.tensor(prefix + name, tensor, given[name])

    def record(
        self, child: StudentForSequenceClassification, inserted: tuple[str, ...]
    ) -> Inheritance:
        sizes = {name: tensor.numel() for name, tensor in child.state_dict().items()}
        trained = {name: tensor.numel() for name, tensor in child.named_parameters()}
        taken = sum(self.counts.get(name, 0) for name in trained)
        return Inheritance(
            taken=tuple(n for n, size in sizes.items() if self.counts.get(n) == size),
            partly=tuple(n for n, size in sizes.items() if 0 < self.counts.get(n, 0) < size),
            new=tuple(n for n in sizes if n not in self.counts),
            inserted=inserted,
            taken_parameters=taken,
            new_parameters=sum(trained.values()) - taken,
        )


def _embedding(
    plan: _Plan, child: StudentForSequenceClassification, parent: StudentForSequenceClassification
) -> None:
    mine, theirs = child.config.architecture.embedding, parent.config.architecture.embedding
    own, given = child.embedding, parent.embedding
    if mine == theirs:
        plan.state("embedding.", own, given)
    else:
        # What else it has may depend on its parameters: a row stands for other n-grams.
        for name in _TABLES:
            plan.state(
                f"embedding.{name}.", getattr(own, name), getattr(given, name), buffers=False
            )
    columns = min(own.shape.inner, given.shape.inner)
    if own.shape.inner == given.shape.inner:
        return
    others = dict(given.named_parameters())
    for name, tensor in own.named_parameters():
        if mine != theirs and name.partition(".")[0] not in _TABLES:
            continue
        source = others.get(name)
        # Tables of vectors: the last dimension is the embedding width, the others agree.
        widths = (tensor.shape[-1], None if source is None else source.shape[-1])
        if source is None or widths != (own.shape.inner, given.shape.inner):
            continue
        if tensor.shape[:-1] == source.shape[:-1]:
            if name == "projection.weight":
                tensor.zero_()
            plan.tensor(f"embedding.{name}", tensor[..., :columns], source[..., :columns])


def _node(plan: _Plan, kin: _Kinship, number: int, origin: int) -> None:
    own, given = kin.child_nodes[number - 1], kin.parent_nodes[origin - 1]
    prefix = f"nodes.{number - 1}."
    equal = kin.child.nodes[number - 1].parameters == kin.parent.nodes[origin - 1].parameters
    plan.state(prefix, own, given, buffers=equal, leave=("merge.scores",))
    if own.merge.kind != "gated" or given.merge.kind != "gated":
        return
    scores = dict(zip(given.inputs, given.merge.scores, strict=True))
    for i, score in zip(own.inputs, own.merge.scores, strict=True):
        source = scores.get(kin.origin.get(i, -1))
        if source is not None and source.shape == score.shape:
            plan.tensor(f"{prefix}merge.scores", score, source)
