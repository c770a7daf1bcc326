"""Weights that a child student inherits from its parent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rosearch.space import Genome
from rosearch.student.modeling import StudentForSequenceClassification

_TABLES = ("tokens", "positions", "types", "projection", "norm")
"""Modules that every input has."""


@dataclass(frozen=True)
class Inheritance:
    """What a child inherited from its parent."""

    values: dict[str, int]
    """Number of inherited values of each tensor, by its name in the state dict; tensors of which
    none were inherited are left out."""

    inserted: tuple[str, ...]
    """Identities of the inserted nodes, whose gain starts at zero."""

    share: float
    """Share of the child's parameters that were inherited, 0 to 1."""


@torch.no_grad()
def inherit(
    child: StudentForSequenceClassification, parent: StudentForSequenceClassification
) -> Inheritance:
    """Copy the weights of the nodes that a child shares with its parent.

    Nodes are shared if they have the same identity and operator. Of these, tensors of equal shape
    are copied, and buffers if the operator's parameters are equal too. A gated merge inherits the
    scores of shared inputs, and a pool the score of a shared output. Embedding tables, norms and
    classifier are copied if their shapes agree, token scores if both have any; other tensors of an
    input if its operator and parameters are equal. If only the embedding width differs, the tables
    share their first columns, which hold most of the information because students start from their
    teacher's principal directions. The additional columns of a wider table have no effect at first,
    because the projection starts with zeros there.

    An inserted node (new, residual, on an edge of the parent) starts with gain zero and stands for
    the input that it replaced. So a child that differs from its parent by insertions only initially
    computes the same function. Other mutations do not have this property: they remove parts of the
    computation (remove, change_operator, change_width), or feed trained nodes with new inputs
    (rewire, toggle_residual, change_merge).

    Args:
        child: Newly initialized student, changed in place.
        parent: Student with the same tokenizer, on any device and of any dtype.
    """
    # The modules of a student are in this order.
    genome = child.config.architecture.ordered()
    origin_genome = parent.config.architecture.ordered()
    same, inserted, origin = _correspondence(genome, origin_genome)
    transfer = _Transfer(child, parent)
    transfer.embedding(equal=genome.embedding == origin_genome.embedding)
    for number, source in same.items():
        own, given = genome.nodes[number - 1], origin_genome.nodes[source - 1]
        if own.operator == given.operator:
            prefixes = f"nodes.{number - 1}.", f"nodes.{source - 1}."
            transfer.module(*prefixes, buffers=own.parameters == given.parameters)
            inputs = [origin.get(i, -1) for i in own.inputs]
            transfer.scores(*prefixes, inputs, given.inputs)
    for number in inserted:
        transfer.own[f"nodes.{number - 1}.gain"].zero_()
    pools = {output: place for place, output in enumerate(origin_genome.outputs)}
    for place, output in enumerate(genome.outputs):
        source_place = pools.get(origin.get(output, -1))
        if source_place is not None:
            transfer.module(f"pools.{place}.", f"pools.{source_place}.")
    transfer.module("token_scores.", "token_scores.")
    transfer.module("norm.", "norm.")
    transfer.module("classifier.", "classifier.")
    taken = sum(transfer.values[name] for name, _ in child.named_parameters())
    return Inheritance(
        values=dict(transfer.values),
        inserted=tuple(genome.identities[number - 1] for number in inserted),
        share=taken / sum(parameter.numel() for parameter in child.parameters()),
    )


def _correspondence(
    child: Genome, parent: Genome
) -> tuple[dict[int, int], list[int], dict[int, int]]:
    """Find the parent's node for each node of the child.

    Returns:
        The parent's node of the same identity; the nodes inserted on an edge of the parent; and the
        parent's node of which a node computes, or stands for, the states. Nodes are numbered from
        1, and 0 is the embedding.
    """
    known = {identity: k for k, identity in enumerate(parent.identities, start=1)}
    numbered = enumerate(child.identities, start=1)
    same = {k: known[identity] for k, identity in numbered if identity in known}
    origin = {0: 0, **same}
    candidates = []
    for number, node in enumerate(child.nodes, start=1):
        before = origin.get(node.inputs[0])
        if number not in same and node.residual and len(node.inputs) == 1 and before is not None:
            candidates.append(number)
            origin[number] = before
    inserted: list[int] = []
    for number in reversed(candidates):
        # Without the node, one of its readers must read what it reads in the parent.
        start = origin[number]
        if (number in child.outputs and start in parent.outputs) or any(
            k in inserted or (k in same and start in parent.nodes[same[k] - 1].inputs)
            for k, node in enumerate(child.nodes, start=1)
            if number in node.inputs
        ):
            inserted.append(number)
        else:
            del origin[number]
    return same, sorted(inserted), origin


def _inner_width(student: StudentForSequenceClassification) -> int:
    return 0 if student.bound == 0 else student.embedding.shape.inner


class _Transfer:
    """Copies tensors from parent to child and counts the copied values by name."""

    def __init__(
        self, child: StudentForSequenceClassification, parent: StudentForSequenceClassification
    ) -> None:
        self.own, self.given = child.state_dict(), parent.state_dict()
        self.parameters = dict(child.named_parameters(remove_duplicate=False))
        self.widths = (_inner_width(child), _inner_width(parent))
        self.values: Counter[str] = Counter()

    def tensor(self, name: str, target: torch.Tensor, source: torch.Tensor) -> None:
        """Copy a tensor, or a part of the tensor ``name``."""
        target.copy_(source)
        self.values[name] += target.numel()

    def module(self, own_prefix: str, given_prefix: str, *, buffers: bool = True) -> None:
        """Copy tensors of equal name and shape, except the scores of merges."""
        for name, tensor in self.own.items():
            source = self.given.get(given_prefix + name.removeprefix(own_prefix))
            if not name.startswith(own_prefix) or name == f"{own_prefix}merge.scores":
                continue
            if source is None or source.shape != tensor.shape:
                continue
            if buffers or name in self.parameters:
                self.tensor(name, tensor, source)

    def scores(
        self, own_prefix: str, given_prefix: str, own: list[int], given: Sequence[int]
    ) -> None:
        """Copy the scores of equal inputs between gated merges."""
        name, source_name = f"{own_prefix}merge.scores", f"{given_prefix}merge.scores"
        if name in self.own and source_name in self.given:
            rows = dict(zip(given, self.given[source_name], strict=True))
            for number, row in zip(own, self.own[name], strict=True):
                if number in rows and rows[number].shape == row.shape:
                    self.tensor(name, row, rows[number])

    def embedding(self, *, equal: bool) -> None:
        """Copy the input; ``equal`` says whether operator and parameters are equal."""
        columns = min(self.widths)
        for name, tensor in self.own.items():
            source = self.given.get(name)
            scope, _, rest = name.partition(".")
            # The meaning of other tensors may depend on the parameters, such as hashes of n-grams.
            common = rest.partition(".")[0] in _TABLES and name in self.parameters
            if scope != "embedding" or source is None or not (equal or common):
                continue
            if source.shape == tensor.shape:
                self.tensor(name, tensor, source)
            elif (
                name in self.parameters
                and (tensor.shape[-1], source.shape[-1]) == self.widths
                and tensor.shape[:-1] == source.shape[:-1]
            ):
                if rest == "projection.weight":
                    tensor.zero_()
                self.tensor(name, tensor[..., :columns], source[..., :columns])
