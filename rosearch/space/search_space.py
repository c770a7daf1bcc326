"""The search space: which genomes there are, and how to sample, mutate and recombine them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rosearch.errors import SpaceError
from rosearch.operators import MERGES, POOLINGS
from rosearch.pages import table
from rosearch.seeding import Seed, generator
from rosearch.space.cost.additive import Task
from rosearch.space.cost.latency import LatencyTable
from rosearch.space.cost.limits import Bounds, Limits
from rosearch.space.crossover import crossover
from rosearch.space.domain import Domain, PartChoices
from rosearch.space.genome import Genome
from rosearch.space.mutations import mutate
from rosearch.space.random_choices import RandomChoices
from rosearch.space.sampling import sample


class SearchSpace(Domain):
    """A set of genomes to sample, mutate and recombine. Keyword arguments narrow it.

    The defaults are our own, since the paper does not describe its space in enough detail; they
    include the hand-designed students of :mod:`rosearch.space.templates`.

    :meth:`sample` draws width and embedding width with weights of one over the width, and the
    number of nodes with weights that halve with every four more, so that most samples are small:
    by default half of them have at most 4 nodes and a width of at most 128, and one in six has a
    width of 312 or more. Operators are drawn uniformly, then their parameters. A node reads the
    node before it or, with probability 0.3, any node before it, and each further input has
    probability 0.4. The output reads every node that no other node reads, and each other one with
    probability 0.05. Where there are encodings, each level has one of them or none, all equally
    likely, with parameters drawn uniformly. So every genome of the space can be drawn.

    With limits, the same weights hold for the frames (width, embedding, pooling) that can meet
    them, and for the numbers of nodes with which a frame can. Each node is then drawn among the
    operators that leave those after it able to meet the limits, and a sample that still misses
    them is repaired by a few random changes. Every genome inside the limits can still be drawn,
    but not with the same probability as without limits.

    Args:
        operators: Names of the operators of nodes, or a mapping from name to
            ``{parameter: values}`` that narrows their parameters too. Default:
            :data:`rosearch.operators.OPERATORS`, which plug-ins never join by themselves.
        nodes: Minimum and maximum number of nodes.
        max_inputs: Maximum number of inputs of a node. The inputs of the output are not limited.
        widths: Channels of the hidden states.
        embedding_widths: Inner widths of the factorised embedding.
        embeddings: Names of the embeddings, or a mapping as for ``operators``. Default:
            :data:`rosearch.operators.EMBEDDINGS`.
        poolings: How the hidden states of output nodes are pooled to a vector.
        merges: How a node combines several inputs.
        encodings: Names of encodings, or a mapping as for ``operators``, such as
            ``{"spelling": {}, "word_classes": {"strength": [0.05, 0.1]}}``. A genome has none or
            one of each level (characters, words). Default: no genome has any.
        bounds: How far the graph may move the answer from a sum of token scores, numbers above 0,
            and ``None`` for genomes without token scores; see :class:`Genome`. Default: ``None``
            only.
        scopes: Whether token scores depend on scopes, in all genomes that have any.
        parameters: Minimum and maximum number of parameters of the student. As in all limits,
            ``None`` leaves a side open, and ``teacher`` is needed.
        compression: Minimum and maximum ratio of the teacher's parameters to the student's.
        flops: Minimum and maximum number of floating-point operations for one text, by torch's
            counter.
        latency: Minimum and maximum seconds for one text, as ``latencies`` estimates them.
        teacher: A Teacher, whose students are counted with positions for short texts; a Distiller,
            which knows the texts; or a :class:`Task` with the sizes. An Evolver counts the
            positions of its Pipeline's students where a Teacher is given. FLOPs and latency are for
            a text of 32 tokens; ``teacher=Task.of(teacher, length=64)`` changes that.
        latencies: From :meth:`LatencyTable.measure` or :meth:`LatencyTable.from_json`.

    Raises:
        ArgumentError: An argument is empty or out of range.
        SpaceError: No operator fits one of the widths, or a limit cannot be met, was met by none of
            50 samples, or needs another argument.
        RegistryError: No operator or encoding has one of the names.
        GenomeError: An operator or encoding has no such parameter or value.
    """

    def __init__(
        self,
        *,
        operators: PartChoices | None = None,
        nodes: tuple[int, int] = (0, 24),
        max_inputs: int = 3,
        widths: Sequence[int] = (64, 96, 128, 160, 192, 256, 312, 384, 512, 768),
        embedding_widths: Sequence[int] = (32, 64, 96, 128, 256, 312, 384, 768),
        embeddings: PartChoices | None = None,
        poolings: Sequence[str] = POOLINGS,
        merges: Sequence[str] = MERGES,
        encodings: PartChoices | None = None,
        bounds: Sequence[float | None] | None = None,
        scopes: bool = False,
        parameters: Bounds | None = None,
        compression: Bounds | None = None,
        flops: Bounds | None = None,
        latency: Bounds | None = None,
        teacher: Any = None,
        latencies: LatencyTable | Mapping[str, Any] | None = None,
    ) -> None:
        sizes = nodes, max_inputs, widths, embedding_widths
        super().__init__(operators, *sizes, embeddings, poolings, merges, encodings, bounds, scopes)
        size = {"parameters": parameters, "compression": compression}
        limits = size | {"flops": flops, "latency": latency}
        given = {name: values for name, values in limits.items() if values is not None}
        if latencies is not None and not isinstance(latencies, LatencyTable):
            latencies = LatencyTable.from_dict(latencies)
        self.limits = Limits(self, given, teacher=teacher, latencies=latencies) if given else None
        self._knows_texts = isinstance(teacher, (Task, Mapping)) or hasattr(teacher, "positions")
        if self.limits:
            self.sample(seed=0)  # fails if the limits can be met separately, but not together

    def counting(self, positions: int) -> SearchSpace:
        """Return the space with costs of students that have so many positions.

        It is this space if it has no limits, or was told of the positions by its ``teacher``.

        Raises:
            SpaceError: The limits cannot be met.
        """
        if not self.limits or self._knows_texts or self.limits.task.positions == positions:
            return self
        space = copy.copy(self)
        task = replace(self.limits.task, positions=positions)
        limits = self.limits
        space.limits = Limits(self, limits.bounds, teacher=task, latencies=limits.latencies)
        return space

    def sample(self, *, seed: Seed) -> Genome:
        """Return a random genome.

        Args:
            seed: A seed, or a generator to draw from.

        Raises:
            SpaceError: No genome within the limits was found.
        """
        return sample(self, self.limits, RandomChoices(generator(seed, "sample")))

    def mutate(self, genome: Genome, *, seed: Seed, kind: str | None = None) -> Genome:
        """Return a neighbour of ``genome``: one change of a random kind, and another key.

        The kind is drawn uniformly among those that have a neighbour in the space; then what
        changes, step by step, each drawn uniformly among the options that lead to a neighbour.

        Args:
            genome: A genome of the space.
            seed: A seed, or a generator to draw from.
            kind: One of :data:`rosearch.space.MUTATIONS`; random if omitted.

        Raises:
            ArgumentError: No kind of mutation has that name.
            SpaceError: ``genome`` is not in the space, or has no such neighbour in it.
        """
        self.require(genome)
        rng = RandomChoices(generator(seed, "mutate", genome.key))
        return mutate(self, self.limits, genome, rng, kind)

    def crossover(self, a: Genome, b: Genome, *, seed: Seed) -> Genome:
        """Return a child with the first nodes of ``a`` and the last nodes of ``b``.

        Its other fields come from either parent. A child outside the limits is repaired by a few
        random changes.

        Args:
            a: A genome of the space.
            b: Another genome of the space.
            seed: A seed, or a generator to draw from.

        Raises:
            SpaceError: A parent is not in the space.
        """
        self.require(a)
        self.require(b)
        rng = RandomChoices(generator(seed, "crossover", a.key, b.key))
        return crossover(self, self.limits, a, b, rng)

    def violation(self, genome: Genome) -> str | None:
        """Return why ``genome`` is outside the space, or ``None`` if it is inside."""
        disallowed = self.disallowed_part(genome)
        if disallowed or not self.limits or not self.limits.excess(genome):
            return disallowed
        return self.limits.describe(genome)

    def require(self, genome: Genome) -> None:
        """Check that ``genome`` is in the space.

        Raises:
            SpaceError: It is outside; the message says why.
        """
        violation = self.violation(genome)
        if violation:
            raise SpaceError(f"Genome {genome.key} is outside the space: {violation}.")

    def __contains__(self, genome: object) -> bool:
        return isinstance(genome, Genome) and self.violation(genome) is None

    def _repr_html_(self) -> str:
        """What can be chosen, as notebooks show it."""
        rows = [(name.replace("_", " "), _words(value)) for name, value in self.choices.items()]
        if self.limits:
            rows += [(f"{k}, limits", _words(v)) for k, v in self.limits.bounds.items()]
        return str(table("Search space", ["", "choices"], rows))

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that define the space, as plain values."""
        return {**self.choices, **(self.limits.settings if self.limits else {})}


def _words(choices: Any) -> str:
    """Choices as text, such as ``"convolution (kernel_size 3, 5, 7), identity"``."""
    if isinstance(choices, Mapping):
        told = [(name, [f"{k} {_words(v)}" for k, v in v.items()]) for name, v in choices.items()]
        return ", ".join(f"{name} ({'; '.join(v)})" if v else name for name, v in told)
    return ", ".join(map(str, choices)) if isinstance(choices, (tuple, list)) else str(choices)
