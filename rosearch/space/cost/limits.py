"""Limits on the costs of students, kept while genomes are drawn."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rosearch.checks import positive, refused
from rosearch.errors import SpaceError
from rosearch.parameters import Parameters
from rosearch.space.cost import additive
from rosearch.space.cost.additive import Part, Task
from rosearch.space.cost.latency import LatencyTable, possible_parts
from rosearch.space.domain import Domain, pair
from rosearch.space.draft import Change, Draft
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, changed

Bounds = tuple[float | None, float | None]
"""Minimum and maximum, both included; ``None`` leaves that side open."""

Costs = tuple[float, ...]
"""A value for each of the limited quantities, in the order of :attr:`Limits.quantities`."""

_QUANTITIES = ("parameters", "flops", "latency")

_NODE_KINDS = ("node", "merge", "pool", "gain")
"""Kinds of parts that a node can add to a student."""


@dataclass(frozen=True)
class Frame:
    """A draft without nodes, and the numbers of nodes with which it can meet the limits."""

    draft: Draft
    costs: Costs
    """Of the embedding, one pooling and the classifier."""
    min_nodes: int
    max_nodes: int
    weight: float
    """Relative probability of the frame in a sample."""


class Limits:
    """The limits of a search space.

    Args:
        domain: The values that a genome's parts may have.
        bounds: ``(minimum, maximum)`` by name: parameters, compression, flops, latency.
        teacher: A Teacher or a Task, see :meth:`rosearch.space.Task.of`.
        latencies: Seconds of the parts; needed for a limit on latency.

    Raises:
        ArgumentError: A limit is not a pair of positive numbers or ``None``, or ``teacher`` is
            neither a Teacher nor a Task.
        SpaceError: No genome of the domain can meet a limit, or the teacher's parameters or the
            latencies are missing.
    """

    def __init__(
        self,
        domain: Domain,
        bounds: Mapping[str, Bounds],
        *,
        teacher: Any,
        latencies: LatencyTable | None,
    ) -> None:
        self.bounds = {name: _checked_bounds(name, values) for name, values in bounds.items()}
        self.task = Task.of(teacher)
        self.latencies = latencies
        self._check_requirements()
        limits = self._quantity_limits()
        self.quantities = tuple(name for name in _QUANTITIES if name in limits)
        self.low: Costs = tuple(limits[name][0] for name in self.quantities)
        self.high: Costs = tuple(limits[name][1] for name in self.quantities)
        self._costs: dict[Part, Costs] = {}
        # Sums of the parts of which a search asks for thousands of genomes a second.
        self._frame_costs: dict[Any, Costs] = {}
        self._node_costs: dict[Any, Costs] = {}
        self.options: dict[int, list[tuple[str, Parameters, Costs]]] = {}
        """Operators by width, with parameters and costs."""
        self.option_costs: dict[int, np.ndarray] = {}
        """The costs alone, shape ``(operators, quantities)``."""
        self.min_costs: dict[int, Costs] = {}
        """Minimum costs of a node, by width."""
        self.max_costs: dict[int, Costs] = {}
        """Maximum costs of a node with everything that can belong to it, by width."""
        self._most: dict[int, list[tuple[int, int, list[float], list[float]]]] = {}
        """By width, for two quantities: the most of the first that nodes can have on average with
        so much of the second; both as numbers to interpolate between."""
        for width in domain.widths:
            self._measure_nodes(domain, width)
        # Genomes with bounds cost the same whatever the bound, and more than those without.
        every = {b is not None: list(self._all_frames(domain, b)) for b in domain.bounds}
        self._frames: dict[bool, tuple[list[Frame], list[float]]] = {}
        for is_bounded, frames in every.items():
            able = [frame for frame in frames if frame.min_nodes <= frame.max_nodes]
            if able:
                weights = list(itertools.accumulate(frame.weight for frame in able))
                self._frames[is_bounded] = able, weights
        if not self._frames:
            raise SpaceError(self._unreachable(domain.nodes, [*itertools.chain(*every.values())]))
        self.drawn_bounds = [b for b in domain.bounds if (b is not None) in self._frames]
        """Bounds of the domain with which a genome can meet the limits."""

    def frames(self, bound: float | None) -> tuple[Sequence[Frame], Sequence[float]]:
        """Return the frames that can meet the limits with a bound, and their cumulative weights."""
        return self._frames[bound is not None]

    def _check_requirements(self) -> None:
        if "compression" in self.bounds and self.task.reference_parameters is None:
            raise SpaceError(
                f"compression={self.bounds['compression']} refers to a teacher's parameters: pass "
                f"teacher=TEACHER or Task(reference_parameters=...)."
            )
        if "latency" not in self.bounds:
            return
        if self.latencies is None:
            raise SpaceError(
                f"latency={self.bounds['latency']} needs the seconds of every part: pass "
                f"latencies=LatencyTable.measure(SearchSpace(...)), measured for the same space "
                f"without limits, or LatencyTable.from_json(...)."
            )
        if self.latencies.length != self.task.length:
            raise SpaceError(
                f"The latencies are for {self.latencies.length} tokens and the task for "
                f"{self.task.length}; measure with length={self.task.length}."
            )

    def _quantity_limits(self) -> dict[str, tuple[float, float]]:
        """Return the limits by quantity, compression as a limit on parameters."""
        limits: dict[str, tuple[float, float]] = {}
        for name, (low, high) in self.bounds.items():
            if name == "compression":
                reference = self.task.reference_parameters or 0
                low, high = high and reference / high, low and reference / low
                name = "parameters"
            before = limits.get(name, (-math.inf, math.inf))
            limits[name] = (max(before[0], low or -math.inf), min(before[1], high or math.inf))
            low, high = limits[name]
            if low > high:
                raise SpaceError(
                    f"{self} exclude each other: {name} would have to be at least {low:,.0f} and "
                    f"at most {high:,.0f}."
                )
        return limits

    def __str__(self) -> str:
        return " and ".join(f"{name}={values}" for name, values in self.bounds.items())

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the search space that define the limits, as plain values."""
        return {
            **{name: list(values) for name, values in self.bounds.items()},
            "teacher": asdict(self.task),
            "latencies": None if self.latencies is None else self.latencies.to_dict(),
        }

    def costs(self, part: Part) -> Costs:
        """Return the costs of a part; only what is limited is measured, and only once."""
        found = self._costs.get(part)
        if found is None:
            found = self._costs[part] = tuple(self._measure(q, part) for q in self.quantities)
        return found

    def _measure(self, quantity: str, part: Part) -> float:
        if quantity == "latency" and self.latencies is not None:
            return self.latencies.of(part)
        if quantity == "parameters":
            return additive.part_parameters(part, self.task)
        return additive.part_flops(part, self.task)

    def total(self, genome: Genome) -> Costs:
        """Return the costs of a genome's student."""
        if genome.bound == 0:
            return add(*map(self.costs, additive.parts(genome)))
        width, embedding = genome.width, genome.embedding
        scores = genome.bound is not None, genome.scopes
        frame = width, embedding.operator, embedding.parameters, genome.embedding_width, scores
        found = self._frame_costs.get(frame)
        if found is None:
            bare = changed(genome, nodes=(), outputs=())
            found = self._frame_costs[frame] = add(*map(self.costs, additive.parts(bare)))
        total, pool = list(found), self.costs(("pool", genome.pooling, width))
        every = range(len(total))
        for k in every:
            total[k] += len(genome.outputs) * pool[k]
        for node in genome.nodes:
            costs = self._costs_of_node(node, width)
            for k in every:
                total[k] += costs[k]
        return tuple(total)

    def total_after(self, draft: Draft, costs: Costs, change: Change) -> Costs:
        """Return the costs of a draft after a change."""
        if change.new is None or draft.bound == 0:
            return self.total(change.make().genome())
        new = self._costs_of_node(change.new, draft.width)
        if change.gone is None:
            return tuple([a + b for a, b in zip(costs, new, strict=True)])
        gone = self._costs_of_node(change.gone, draft.width)
        return tuple([a - b + c for a, b, c in zip(costs, gone, new, strict=True)])

    def _costs_of_node(self, node: Node, width: int) -> Costs:
        """The costs of all that a node adds to a student."""
        inputs = len(node.inputs)
        key = width, node.operator, node.parameters, inputs, node.merge, node.residual
        costs = self._node_costs.get(key)
        if costs is None:
            whole = [("node", node.operator, node.parameters, width)]
            whole += additive.extra_parts(node, width)
            costs = self._node_costs[key] = add(*map(self.costs, whole))
        return costs

    def excess(self, genome: Genome) -> float:
        """Return by how much the costs are outside the limits, relative to them; 0 inside."""
        return self.outside(self.total(genome))

    def outside(self, costs: Costs) -> float:
        """Return by how much costs are outside the limits, relative to them; 0 inside."""
        out = 0.0
        for value, low, high in zip(costs, self.low, self.high, strict=True):
            if value > high:
                out += (value - high) / max(high, 1e-12)
            elif value < low:
                out += (low - value) / low
        return out

    def describe(self, genome: Genome) -> str:
        """Return a genome's limited values, and whether each is within its limit."""
        texts = []
        for name, value in self._named_values(self.total(genome)).items():
            low, high = self.bounds[name]
            is_met = (low is None or value >= low) and (high is None or value <= high)
            within = "within" if is_met else "not within"
            texts.append(f"{name} of {_number(value)}, {within} {self.bounds[name]}")
        return "; ".join(texts)

    def _named_values(self, costs: Costs) -> dict[str, float]:
        """Return the values that ``bounds`` limits, by its names."""
        values = dict(zip(self.quantities, costs, strict=True))
        if "compression" in self.bounds:
            values["compression"] = (self.task.reference_parameters or 0) / values["parameters"]
        return {name: values[name] for name in self.bounds}

    def _measure_nodes(self, domain: Domain, width: int) -> None:
        found: dict[str, list[Costs]] = defaultdict(list)
        self.options[width] = []
        for part in possible_parts(domain, width):
            costs = self.costs(part)
            found[part[0]].append(costs)
            if part[0] == "node":
                self.options[width].append((part[1], part[2], costs))
        costs_of_options = [costs for _, _, costs in self.options[width]]
        self.option_costs[width] = np.reshape(costs_of_options, (-1, len(self.quantities)))
        nothing = [(0.0,) * len(self.quantities)]
        self.min_costs[width] = _extreme(min, found["node"] or nothing)
        highest = (_extreme(max, found[kind] or nothing) for kind in _NODE_KINDS)
        self.max_costs[width] = add(*highest)
        self._most[width] = []
        for i, j in itertools.permutations(range(len(self.quantities)), 2):
            if self.low[i] > 0 and self.high[j] < math.inf:
                hulls = [_upper_hull((c[j], c[i]) for c in found[kind]) for kind in _NODE_KINDS]
                sums = (map(sum, zip(*points, strict=True)) for points in itertools.product(*hulls))
                hull = _upper_hull((x, y) for x, y in sums)
                self._most[width].append((i, j, [x for x, _ in hull], [y for _, y in hull]))

    def _all_frames(self, domain: Domain, bound: float | None) -> Iterator[Frame]:
        for width, name in itertools.product(domain.widths, domain.embeddings):
            embeddings = [Embedding(name, values) for values in domain.fitting(name, width)]
            for embedding, inner, pooling in itertools.product(
                embeddings, domain.embedding_widths, domain.poolings
            ):
                draft = Draft(width, inner, pooling, embedding, [], set())
                draft = changed(draft, bound=bound, scopes=domain.scopes)
                costs = self.total(draft.genome())
                nodes = self._node_range(domain.nodes, width, costs)
                yield Frame(draft, costs, *nodes, 1 / (width * inner * len(embeddings)))

    def _node_range(self, nodes: tuple[int, int], width: int, costs: Costs) -> tuple[int, int]:
        """Return the minimum and maximum number of nodes with which a frame can meet the limits.

        The minimum is above the maximum if it cannot.
        """
        few, many = nodes
        node_costs = zip(self.min_costs[width], self.max_costs[width], strict=True)
        for cost, low, high, (least, most) in zip(
            costs, self.low, self.high, node_costs, strict=True
        ):
            missing, left = low - cost, high - cost
            if left < 0:
                return 1, 0
            if least > 0 and left < math.inf:
                many = min(many, math.floor(left / least + 1e-9))
            if missing > 0:
                few = max(few, math.ceil(missing / most - 1e-9) if most else many + 1)
        # What one limit leaves may be too little for another: no nodes with few FLOPs have the
        # parameters that a small embedding lacks.
        for i, j, x, y in self._most[width] if many else ():
            missing = self.low[i] - costs[i]
            if missing > many * np.interp((self.high[j] - costs[j]) / many, x, y) * (1 + 1e-9):
                return 1, 0
        return few, many

    def _unreachable(self, nodes: tuple[int, int], frames: Sequence[Frame]) -> str:
        """Return a message with the ranges that the domain has."""
        low, high = [], []
        for frame in frames:
            width = frame.draft.width
            low.append(add(frame.costs, *[self.min_costs[width]] * nodes[0]))
            high.append(add(frame.costs, *[self.max_costs[width]] * nodes[1]))
        ends = [self._named_values(_extreme(min, low)), self._named_values(_extreme(max, high))]
        ranges = []
        for name in self.bounds:
            least, most = sorted(values[name] for values in ends)
            ranges.append(f"{name} from about {_number(least)} to {_number(most)}")
        return (
            f"No genome of this space can meet {self}: it has {', '.join(ranges)}. Move a limit or "
            f"widen the space."
        )


def add(*costs: Costs) -> Costs:
    """Return the sum of costs."""
    return tuple(map(sum, zip(*costs, strict=True)))


def _upper_hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the concave hull of points and the origin, up to the highest."""
    highest = {0.0: 0.0}
    for x, y in points:
        highest[x] = max(y, highest.get(x, y))
    hull: list[tuple[float, float]] = []
    for x, y in sorted(highest.items()):
        if hull and y <= hull[-1][1]:
            continue
        while len(hull) > 1:
            (x0, y0), (x1, y1) = hull[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _extreme(choose: Callable[..., float], costs: Sequence[Costs]) -> Costs:
    return tuple(map(choose, zip(*costs, strict=True)))


def _checked_bounds(name: str, values: Any) -> Bounds:
    low, high = pair(name, values)
    for end in (low, high):
        if end is not None:
            positive(f"each end of {name}", end)
    if low is not None and high is not None and low > high:
        raise refused(name, "(minimum, maximum) with the minimum first", values)
    return low, high


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
