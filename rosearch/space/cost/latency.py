"""An estimate of a student's latency as the sum over its parts, so that it can be limited."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from rosearch.checks import whole_number
from rosearch.errors import SpaceError
from rosearch.space.cost.additive import Part, Task, build_part
from rosearch.space.domain import Domain
from rosearch.threads import computing

_ROWS = 2048
"""Rows of the token table that is measured; rows that are not read take no time."""


@dataclass(frozen=True)
class LatencyTable:
    """Seconds of every part that a student of a search space may have, measured one by one.

    The sum over a genome's parts estimates the latency of one text. Students are ordered well by
    it, but it is not exact: parts that run one after another find other caches than a part that
    runs alone, and Python's overhead counts once for each part. Measure the student itself to get
    its latency. A search with a limit on latency is reproducible if every process reads the same
    table, saved as JSON.

    Args:
        length: Tokens of the text.
        seconds: Seconds by part, named as :func:`part_name` does.
        device: Device of the measurements, for display only.
    """

    length: int
    seconds: Mapping[str, float]
    device: str = ""

    @classmethod
    def measure(
        cls,
        space: Domain,
        *,
        length: int = 32,
        device: torch.device | str = "cpu",
        repeats: int = 10,
    ) -> LatencyTable:
        """Measure every part of a search space, a minute for the default one.

        Args:
            space: The search space.
            length: Tokens of the text, from 1.
            device: Device to measure on.
            repeats: Forward passes of each part, of which the median counts; from 1.

        Raises:
            ArgumentError: Length or repeats are out of range.
        """
        length, repeats = whole_number("length", length), whole_number("repeats", repeats)
        device = torch.device(device)
        task = Task(vocabulary=_ROWS, positions=length, length=length)
        seconds: dict[str, float] = {}
        # Building the parts must not change the state of the random number generators.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            for width in space.widths:
                for part in possible_parts(space, width):
                    seconds[part_name(part)] = _median_seconds(part, task, device, repeats)
        return cls(length, seconds, str(device))

    def of(self, part: Part) -> float:
        """Return the seconds of one part, see :func:`rosearch.space.cost.additive.parts`.

        Raises:
            SpaceError: The table does not have the part.
        """
        name = part_name(part)
        if name not in self.seconds:
            raise SpaceError(
                f"The latency table has no {name}; measure one for this space with "
                f"LatencyTable.measure(space), given the same operators and widths."
            )
        return self.seconds[name]

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LatencyTable:
        """Return the table of a dictionary from :meth:`to_dict`.

        Raises:
            SpaceError: The dictionary is not a latency table.
        """
        try:
            seconds = {str(key): float(value) for key, value in values["seconds"].items()}
            if not all(0 <= value < math.inf for value in seconds.values()):
                raise ValueError("seconds must be finite and at least 0")
            return cls(int(values["length"]), seconds, str(values.get("device", "")))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SpaceError(
                f"A latency table must be as LatencyTable.to_dict returns it, got {values!r:.80}."
            ) from error

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """Return the table of a text from :meth:`to_json`.

        Raises:
            SpaceError: The text is not valid JSON, or not a latency table.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpaceError(
                f"A latency table must be valid JSON, got {text!r:.80}: {error}"
            ) from error
        return cls.from_dict(values)


def part_name(part: Part) -> str:
    """Return the name of a part in a table: its kind and details as JSON."""
    return json.dumps(part, sort_keys=True, default=dict)


def _median_seconds(part: Part, task: Task, device: torch.device, repeats: int) -> float:
    with device:
        run, inputs = build_part(part, task)
    if isinstance(run, nn.Module):
        run.eval()
    times = []
    with torch.inference_mode(), computing(device):
        for _ in range(repeats + 2):
            start = time.perf_counter()
            run(*inputs)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    return statistics.median(times[2:])  # the first two are warm-up


def possible_parts(space: Domain, width: int) -> Iterator[Part]:
    """Yield every part that a student of this width may have."""
    for name in space.operators:
        yield from (("node", name, values, width) for values in space.fitting(name, width))
    for kind in space.merges:
        yield from (("merge", kind, count, width) for count in range(2, space.max_inputs + 1))
    yield "gain", width
    yield from (("pool", kind, width) for kind in space.poolings)
    yield "output", width
    if space.bounds != (None,):
        yield ("scores", "scopes", width) if space.scopes else ("scores", width)
    for name in space.embeddings:
        for values in space.fitting(name, width):
            yield from (("embedding", name, values, e, width) for e in space.embedding_widths)
