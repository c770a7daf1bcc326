"""An estimate of a student's latency as a sum over its parts, so that limits can be kept."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rosearch import operators as ops
from rosearch.errors import SpaceError

if TYPE_CHECKING:
    from rosearch.space.search_space import SearchSpace

_ROWS = 2048
"""Rows of the token table that is measured: what is not read takes no time."""


@dataclass(frozen=True)
class LatencyTable:
    """Seconds of every part that a student of a space may have, measured one by one.

    The sum over a genome's parts estimates the latency of one text. It is an estimate: parts that
    run one after another find other caches than a part that runs alone, and what Python spends
    between them counts once for each part. It orders students well; measure the student itself
    for a figure. A table that is saved as JSON and given to every process makes a search with a
    limit on latency the same everywhere.

    Args:
        length: Tokens of the text.
        seconds: By part: ``json.dumps`` of its kind and what it depends on, as :meth:`measure`
            writes them.
        device: Where it was measured, for people.
    """

    length: int
    seconds: Mapping[str, float]
    device: str = ""

    @classmethod
    def measure(
        cls,
        space: SearchSpace,
        *,
        length: int = 32,
        device: torch.device | str = "cpu",
        repeats: int = 10,
    ) -> LatencyTable:
        """Measure every part of the space here: milliseconds for each, a minute for the default.

        Args:
            space: Its operators, widths, embeddings, merges and poolings are measured.
            length: Tokens of the text.
            device: Where.
            repeats: Passes, of which the median counts.

        Raises:
            ValueError: Length or repeats are below 1.
        """
        if length < 1 or repeats < 1:
            raise ValueError(f"length={length} and repeats={repeats}: expected 1 or more.")
        clock = _Clock(torch.device(device), length, repeats)
        seconds: dict[str, float] = {}
        with torch.random.fork_rng(devices=[]):  # the parts' first values are nobody's draws
            for width in space.widths:
                _measure_width(space, width, clock, seconds)
        return cls(length, seconds, str(clock.device))

    def of(self, kind: str, *details: Any) -> float:
        """Seconds of one part.

        Raises:
            SpaceError: The table does not have it.
        """
        found = self.seconds.get(part(kind, *details))
        if found is None:
            raise SpaceError(
                f"The table of latencies has no {part(kind, *details)}; measure one for this space "
                f"with LatencyTable.measure(space), given the same operators and widths."
            )
        return found

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"length": self.length, "seconds": dict(self.seconds), "device": self.device}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LatencyTable:
        """Inverse of :meth:`to_dict`.

        Raises:
            SpaceError: These are no latencies.
        """
        try:
            seconds = {str(key): float(value) for key, value in values["seconds"].items()}
            if not all(0 <= value < math.inf for value in seconds.values()):
                raise ValueError("seconds are finite and not below 0")
            return cls(int(values["length"]), seconds, str(values.get("device", "")))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SpaceError(
                f"Expected latencies as LatencyTable.to_json writes them, got {values!r:.80}."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """Inverse of :meth:`to_json`.

        Raises:
            SpaceError: The text is no JSON of latencies.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpaceError(f"Expected latencies as JSON, got {text!r:.80}: {error}") from error
        return cls.from_dict(values)


def part(kind: str, *details: Any) -> str:
    """What a part is called in a table."""
    plain = [dict(d) if isinstance(d, Mapping) else d for d in details]
    return json.dumps([kind, *plain], sort_keys=True)


@dataclass(frozen=True)
class _Clock:
    device: torch.device
    length: int
    repeats: int

    def hidden(self, width: int) -> torch.Tensor:
        return torch.ones(1, self.length, width, device=self.device)

    def mask(self) -> torch.Tensor:
        return torch.ones(1, self.length, dtype=torch.bool, device=self.device)

    def seconds(self, module: nn.Module, run: Callable[[], object]) -> float:
        module.to(self.device).eval()
        times = []
        with torch.inference_mode():
            for step in range(self.repeats + 2):
                start = time.perf_counter()
                run()
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                if step >= 2:
                    times.append(time.perf_counter() - start)
        return statistics.median(times)


def _measure_width(
    space: SearchSpace, width: int, clock: _Clock, seconds: dict[str, float]
) -> None:
    hidden, mask = clock.hidden(width), clock.mask()
    norm = nn.LayerNorm(width)
    plain = clock.seconds(norm, lambda: norm(hidden))
    for name in space.operators:
        for values in space.fitting(name, width):
            operator = ops.require(name, ops.Operator)(width, **values)
            spent = clock.seconds(operator, lambda operator=operator: operator(hidden, mask))  # type: ignore[misc]
            seconds[part("node", name, values, width)] = spent + plain
    for kind in space.merges:
        for inputs in range(2, space.max_inputs + 1):
            merge = ops.Merge(kind, width=width, inputs=inputs)
            states = [hidden] * inputs
            spent = clock.seconds(merge, lambda merge=merge, states=states: merge(states))  # type: ignore[misc]
            seconds[part("merge", kind, inputs, width)] = spent
    gain = torch.ones(width, device=clock.device)
    seconds[part("gain", width)] = clock.seconds(norm, lambda: torch.addcmul(hidden, hidden, gain))
    for kind in space.poolings:
        pool = ops.Pool(kind, width=width)
        seconds[part("pool", kind, width)] = clock.seconds(
            pool,
            lambda pool=pool: pool(hidden, mask),  # type: ignore[misc]
        )
    head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))
    seconds[part("output", width)] = clock.seconds(head, lambda: head(hidden[:, 0]))
    ids = torch.ones(1, clock.length, dtype=torch.long, device=clock.device)
    for inner in space.embedding_widths:
        shape = ops.InputShape(
            vocabulary=_ROWS, positions=clock.length, types=2, inner=inner, width=width, padding=0
        )
        for name in space.embeddings:
            for values in space.fitting(name, width):
                source = ops.require(name, ops.EmbeddingOperator)(shape, **values)
                seconds[part("embedding", name, values, inner, width)] = clock.seconds(
                    source,
                    lambda source=source: source(ids, mask, None),  # type: ignore[misc]
                )
