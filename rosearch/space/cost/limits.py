"""Limits on what a student costs, kept while genomes are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rosearch.errors import SpaceError
from rosearch.space.cost import additive as costs
from rosearch.space.cost.additive import Task
from rosearch.space.cost.latency import LatencyTable
from rosearch.space.draft import Draft
from rosearch.space.nodes import Embedding, Parameters

if TYPE_CHECKING:
    from rosearch.space.genome import Genome
    from rosearch.space.search_space import SearchSpace

Bounds = tuple[float | None, float | None]
"""Lowest and highest allowed value, both included; ``None`` leaves that side open."""

Price = tuple[float, ...]
"""What a part adds to each of the limited quantities, in the order of :attr:`Limits.kinds`."""

_KINDS = ("parameters", "flops", "latency")
_UNITS = {"parameters": "parameters", "flops": "FLOPs", "latency": "seconds"}


@dataclass(frozen=True)
class Frame:
    """What of a genome is drawn first: all but its nodes."""

    width: int
    embedding_width: int
    embedding: Embedding
    pooling: str
    price: Price
    """Of the embedding, one pool and the classifier."""
    settings: int
    """Settings that the embedding's operator has at this width."""
    fewest: int
    """Nodes that can meet the lower limits."""
    most: int
    """Nodes that can meet the upper limits."""


class Limits:
    """The limits of a space: what genomes cost, and which frames can meet them.

    Args:
        space: Its options; everything but the limits must be set.
        bounds: ``(low, high)`` by name: parameters, compression, flops, latency.
        teacher: What :meth:`rosearch.space.Task.of` takes.
        latencies: Seconds of the parts, for a limit on latency.

    Raises:
        SpaceError: A limit cannot be met by any genome of the space; or something is missing that
            it needs.
    """

    def __init__(
        self,
        space: SearchSpace,
        bounds: Mapping[str, Bounds],
        *,
        teacher: Any,
        latencies: LatencyTable | None,
    ) -> None:
        self.given = {name: _checked(name, values) for name, values in bounds.items()}
        if teacher is None:
            (name, values), *_ = self.given.items()
            raise SpaceError(
                f"{name}={values} depends on the tokenizer and the classes: pass teacher=TEACHER, "
                f"or teacher=rosearch.space.Task(vocabulary=..., reference_parameters=...)."
            )
        self.task = Task.of(teacher)
        self.latencies = latencies
        self._check_latencies()
        limits = self._limits()
        self.kinds = tuple(kind for kind in _KINDS if kind in limits)
        self.low: Price = tuple(limits[kind][0] for kind in self.kinds)
        self.high: Price = tuple(limits[kind][1] for kind in self.kinds)
        self._prices: dict[tuple[Any, ...], Price] = {}
        self.options: dict[int, list[tuple[str, Parameters, Price]]] = {}
        self.cheapest: dict[int, Price] = {}
        self.dearest: dict[int, Price] = {}
        for width in space.widths:
            self._price_nodes(space, width)
        self.frames = self._frames(space)
        self.cumulative = list(
            accumulate(1 / (f.width * f.embedding_width * f.settings) for f in self.frames)
        )

    def _check_latencies(self) -> None:
        if "latency" not in self.given:
            return
        if self.latencies is None:
            raise SpaceError(
                f"latency={self.given['latency']} needs the seconds of every part: pass "
                f"latencies=LatencyTable.measure(SearchSpace(...)), measured for the same space "
                f"without limits, or LatencyTable.from_json(...)."
            )
        if self.latencies.length != self.task.length:
            raise SpaceError(
                f"The latencies are for {self.latencies.length} tokens and the task for "
                f"{self.task.length}; measure with length={self.task.length}."
            )

    def _limits(self) -> dict[str, tuple[float, float]]:
        """Bounds as numbers; compression as a bound on parameters."""
        limits: dict[str, tuple[float, float]] = {}
        for name, (low, high) in self.given.items():
            if name == "compression":
                reference = self.task.reference_parameters
                if reference is None:
                    raise SpaceError(
                        f"compression={(low, high)} refers to a teacher's parameters: pass "
                        f"teacher=TEACHER or Task(reference_parameters=...)."
                    )
                low, high = (reference / high if high else None), (reference / low if low else None)
                name = "parameters"
            bounds = (-math.inf if low is None else low, math.inf if high is None else high)
            before = limits.get(name, (-math.inf, math.inf))
            limits[name] = (max(before[0], bounds[0]), min(before[1], bounds[1]))
        for name, (low, high) in limits.items():
            if low > high:
                raise SpaceError(
                    f"{self} leave no number of {_UNITS[name]}: at least {low:,.0f} and at most "
                    f"{high:,.0f}."
                )
        return limits

    def __str__(self) -> str:
        return " and ".join(f"{name}={values}" for name, values in self.given.items())

    # What things cost

    def total(self, item: Draft | Genome, outputs: Sequence[int]) -> Price:
        """What the student of a draft or genome costs whose output reads ``outputs``."""
        return added(*map(self.price, costs.parts(item, outputs)))

    def excess(self, price: Price) -> float:
        """By how much, relative to the limits, a price is outside them; 0 inside."""
        out = 0.0
        for value, low, high in zip(price, self.low, self.high, strict=True):
            if value > high:
                out += (value - high) / max(high, 1e-12)
            elif value < low:
                out += (low - value) / low
        return out

    def complaint(self, genome: Genome) -> str | None:
        """Which limit the genome does not meet, or ``None``."""
        price = self.total(genome, genome.outputs)
        if not self.excess(price):
            return None
        for name, value, met in self._judged(price):
            if not met:
                return f"its {name} of {_number(value)} is not within {name}={self.given[name]}"
        return f"it does not meet {self}"

    def verdict(self, item: Draft | Genome, outputs: Sequence[int]) -> str:
        """What is limited of a draft or genome whose output reads ``outputs``, and whether it is
        inside.
        """
        return ", ".join(
            f"{name} {_number(value)} ({'inside' if met else 'outside'} {self.given[name]})"
            for name, value, met in self._judged(self.total(item, outputs))
        )

    def _judged(self, price: Price) -> Iterator[tuple[str, float, bool]]:
        """Each limit's name as it was given, the value there, and whether it is met."""
        for kind, value in zip(self.kinds, price, strict=True):
            for name, (low, high) in self._given_for(kind):
                shown = self._as_given(name, value)
                above, below = low is None or shown >= low, high is None or shown <= high
                yield name, shown, above and below

    def _given_for(self, kind: str) -> list[tuple[str, Bounds]]:
        """What was given that limits this quantity; compression limits the parameters."""
        names = (kind, "compression") if kind == "parameters" else (kind,)
        return [(name, bounds) for name, bounds in self.given.items() if name in names]

    def _as_given(self, name: str, value: float) -> float:
        if name == "compression":
            return (self.task.reference_parameters or 0) / value
        return value

    def price(self, part: costs.Part) -> Price:
        """A part's price, remembered; only what is limited is measured."""
        found = self._prices.get(part)
        if found is None:
            found = self._prices[part] = tuple(self._value(kind, part) for kind in self.kinds)
        return found

    def _value(self, kind: str, part: costs.Part) -> float:
        if kind == "latency" and self.latencies is not None:
            return self.latencies.of(*part)
        measure = costs.part_parameters if kind == "parameters" else costs.part_flops
        return measure(part, self.task)

    # Which frames can meet the limits

    def _price_nodes(self, space: SearchSpace, width: int) -> None:
        options = [
            (name, parameters, self.price(("node", name, parameters, width)))
            for name in space.operators
            for parameters in space.fitting(name, width)
        ]
        self.options[width] = options
        if not options:  # a space without nodes
            return
        merges = [
            self.price(("merge", kind, inputs, width))
            for kind in space.merges
            for inputs in range(2, space.max_inputs + 1)
        ]
        pools = [self.price(("pool", kind, width)) for kind in space.poolings]
        gain = self.price(("gain", width))
        prices = [price for *_, price in options]
        self.cheapest[width] = tuple(map(min, zip(*prices, strict=True)))
        # With all that a node may have beside its operator.
        self.dearest[width] = tuple(
            max(p[k] for p in prices)
            + max((m[k] for m in merges), default=0)
            + max(p[k] for p in pools)
            + gain[k]
            for k in range(len(self.kinds))
        )

    def _frames(self, space: SearchSpace) -> list[Frame]:
        frames = []
        least, most = [math.inf] * len(self.kinds), [-math.inf] * len(self.kinds)
        for width in space.widths:
            for name in space.embeddings:
                settings = space.fitting(name, width)
                for source in (Embedding(name, values) for values in settings):
                    for inner in space.embedding_widths:
                        for pooling in space.poolings:
                            empty = Draft(width, inner, pooling, source, [], set())
                            price = self.total(empty, empty.read())
                            for k, (low, high) in enumerate(self._reach(space, width, price)):
                                least[k], most[k] = min(least[k], low), max(most[k], high)
                            counts = self._counts(space, width, price)
                            if counts[0] <= counts[1]:
                                frames.append(
                                    Frame(
                                        width, inner, source, pooling, price, len(settings), *counts
                                    )
                                )
        if not frames:
            raise SpaceError(self._empty(least, most))
        return frames

    def _reach(self, space: SearchSpace, width: int, price: Price) -> list[tuple[float, float]]:
        few, many = space.nodes
        if not self.options[width]:
            return [(p, p) for p in price]
        return [
            (p + few * low, p + many * high)
            for p, low, high in zip(price, self.cheapest[width], self.dearest[width], strict=True)
        ]

    def _counts(self, space: SearchSpace, width: int, price: Price) -> tuple[int, int]:
        """Fewest and most nodes with which a frame may meet the limits; crossed if it cannot."""
        few, many = space.nodes
        for k, p in enumerate(price):
            low, high = self.low[k] - p, self.high[k] - p  # what is left for the nodes
            if high < 0:
                return 1, 0
            if not self.options[width]:
                if low > 0:
                    return 1, 0
                continue
            if self.cheapest[width][k] > 0 and high < math.inf:
                many = min(many, math.floor(high / self.cheapest[width][k] + 1e-9))
            if low > 0:
                dearest = self.dearest[width][k]
                few = max(few, math.ceil(low / dearest - 1e-9) if dearest else many + 1)
        return few, many

    def _empty(self, least: Sequence[float], most: Sequence[float]) -> str:
        for k, kind in enumerate(self.kinds):
            for name, bounds in self._given_for(kind):
                ends = sorted(self._as_given(name, value) for value in (least[k], most[k]))
                low, high = bounds
                for outside, word, end in (
                    (high is not None and ends[0] > high, "lowest", ends[0]),
                    (low is not None and ends[1] < low, "highest", ends[1]),
                ):
                    if outside:
                        return (
                            f"{name}={bounds} cannot be met: the {word} {name} of this space is "
                            f"about {_number(end)}. Move the limit or widen the space."
                        )
        return (
            f"{self} cannot be met by any width, embedding and number of nodes of this space; move "
            f"a limit or widen the space."
        )

    @property
    def settings(self) -> dict[str, Any]:
        """As plain values, under the names of the space's arguments."""
        return {
            **{name: list(values) for name, values in self.given.items()},
            "teacher": asdict(self.task),
            "latencies": None if self.latencies is None else self.latencies.to_dict(),
        }


def added(*prices: Price) -> Price:
    """The sum of prices."""
    return tuple(map(sum, zip(*prices, strict=True)))


def _checked(name: str, values: Any) -> Bounds:
    expected = f"{name}={values!r}: expected (lowest, highest), numbers above 0 or None"
    try:
        low, high = values
    except (TypeError, ValueError):
        raise SpaceError(f"{expected}.") from None
    for value in (low, high):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and value > 0 and math.isfinite(value)):
            raise SpaceError(f"{expected}.")
    if low is not None and high is not None and low > high:
        raise SpaceError(f"{expected}, the lowest first.")
    return low, high


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
