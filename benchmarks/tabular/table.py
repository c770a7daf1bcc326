"""The table: genomes, their metrics at each rung, and how they were measured."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rosearch.errors import DataError
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Fitness, best_index
from rosearch.optional import try_import
from rosearch.space import Genome

FILE = Path(__file__).with_name("movie_reviews.json.gz")
_FORMAT = 1
_SAMPLE = "random"
"""Source of a genome that is a random sample of the space."""
_DIGITS = 6
"""Significant digits of a stored metric: a mean over a few hundred examples, or a duration."""


@dataclass(frozen=True, repr=False)
class Table:
    """Genomes and their metrics.

    Args:
        genomes: The architectures, without repetition.
        rungs: One entry for each rung, the cheapest first: the metrics of every genome in the order
            of ``genomes``. ``seconds`` is the duration of that rung and those below.
        made: How the table was made, as plain data. The optional ``sources`` names the source of
            each genome: ``"random"`` for a random sample of the space, anything else for a genome
            that was chosen.

    Raises:
        DataError: A genome occurs twice, a rung lacks a genome, a metric or ``seconds``, or
            ``sources`` does not have one entry for each genome.
    """

    genomes: tuple[Genome, ...]
    rungs: tuple[tuple[Mapping[str, float], ...], ...]
    made: Mapping[str, Any]

    def __post_init__(self) -> None:
        frozen = tuple(tuple(dict(row) for row in rung) for rung in self.rungs)
        object.__setattr__(self, "genomes", tuple(self.genomes))
        object.__setattr__(self, "rungs", frozen)
        if not self.genomes or not frozen:
            raise DataError("A table needs at least one genome and one rung.")
        if len(self.index) < len(self.genomes):
            raise DataError("A genome is in the table twice.")
        names = set(frozen[0][0]) if frozen[0] else set()
        for number, rung in enumerate(frozen):
            if len(rung) != len(self.genomes) or any(set(row) != names for row in rung):
                raise DataError(
                    f"Rung {number} of the table has {len(rung)} rows for {len(self.genomes)} "
                    f"genomes, or rows with other metrics than {sorted(names)}."
                )
        if "seconds" not in names:
            raise DataError(f"The table has no metric 'seconds', only {sorted(names)}.")
        sources = self.made.get("sources")
        if sources is not None and len(sources) != len(self.genomes):
            raise DataError(
                f"The table has {len(self.genomes)} genomes, and made['sources'] {len(sources)}."
            )

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each genome by its key."""
        return {genome.key: i for i, genome in enumerate(self.genomes)}

    @cached_property
    def samples(self) -> tuple[int, ...]:
        """Positions of the random samples; all positions if ``made`` names no sources."""
        sources = self.made.get("sources") or [_SAMPLE] * len(self)
        return tuple(i for i, source in enumerate(sources) if source == _SAMPLE)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of genomes and metrics."""
        return hashlib.blake2b(self._payload(), digest_size=8).hexdigest()

    def metrics(self, genome: Genome, *, rung: int | None = None) -> dict[str, float]:
        """The metrics of ``genome``.

        Args:
            genome: A genome of the table.
            rung: From 0; ``None`` is the last one.

        Raises:
            DataError: The genome or the rung is not in the table.
        """
        place = self.index.get(genome.key)
        if place is None:
            raise DataError(
                f"Genome {genome.key} is not among the {len(self.genomes)} of the table. Search "
                f"a TabularSpace of it."
            )
        rung = len(self.rungs) - 1 if rung is None else rung
        if not 0 <= rung < len(self.rungs):
            raise DataError(f"The table has rungs 0 to {len(self.rungs) - 1}, not {rung!r}.")
        return dict(self.rungs[rung][place])

    def best(self, fitness: Fitness) -> tuple[Genome, float]:
        """The best genome of the table and its fitness (the first objective)."""
        scores = [fitness.score(row) for row in self.rungs[-1]]
        place = best_index(scores)
        return self.genomes[place], scores[place].values[0]

    def as_search(self, fitness: Fitness, *, study: str = "table") -> SearchResult:
        """The table as a search result, for :func:`rosearch.statistics` and the plots.

        Every genome is a candidate that was evaluated in full, in the order of the table.

        Args:
            fitness: Scores the candidates.
            study: Name of the result.
        """
        trials = []
        for number, genome in enumerate(self.genomes):
            rows = tuple(rung[number] for rung in self.rungs)
            scores = tuple(fitness.score(row) for row in rows)
            trials.append(
                TrialRecord(
                    number=number,
                    genome=genome,
                    key=genome.key,
                    seed=0,
                    state="complete",
                    metrics=rows[-1],
                    score=scores[-1],
                    seconds=rows[-1]["seconds"],
                    failure=None,
                    rung=len(rows) - 1,
                    rungs=rows,
                    scores=scores,
                )
            )
        settings = {"table": self.fingerprint, "fitness": fitness.settings}
        versions = self.made.get("versions", {})
        return SearchResult.from_trials(
            study, trials, fitness, settings=settings, versions=versions
        )

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each genome and rung.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = try_import("pandas", "to_pandas()", "pandas")
        rows = [
            {"key": genome.key, "rung": number, **row}
            for number, rung in enumerate(self.rungs)
            for genome, row in zip(self.genomes, rung, strict=True)
        ]
        return pd.DataFrame(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a file (gzip-compressed JSON), replacing it atomically."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without the time of writing, so that equal tables give equal files.
        packed = gzip.compress(self._payload(), 9, mtime=0)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(packed)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """Read a file that :meth:`save` wrote.

        Raises:
            DataError: The file is not a table.
        """
        try:
            data = json.loads(gzip.decompress(Path(path).read_bytes()))
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']}, not {_FORMAT}")
            columns = data["metrics"]
            return cls(
                tuple(Genome.from_dict(genome) for genome in data["genomes"]),
                tuple(
                    tuple(dict(zip(columns, row, strict=True)) for row in rung)
                    for rung in data["rungs"]
                ),
                data["made"],
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} was not written by Table.save: {error}") from error

    def _payload(self) -> bytes:
        names = sorted(self.rungs[0][0])
        data = {
            "format": _FORMAT,
            "made": dict(self.made),
            "metrics": names,
            "genomes": [_compact(genome) for genome in self.genomes],
            "rungs": [[[_rounded(row[n]) for n in names] for row in rung] for rung in self.rungs],
        }
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()

    def __repr__(self) -> str:
        return f"Table({len(self)} genomes, {len(self.rungs)} rungs)"

    def __len__(self) -> int:
        return len(self.genomes)


def load() -> Table:
    """The table of this folder, ``movie_reviews.json.gz``.

    Its genomes are of the default space and between 4.6 and 6.5 times smaller than their teacher,
    distilled and attacked on movie reviews at two rungs; ``table.made`` has the settings.
    """
    return Table.read(FILE)


def _compact(genome: Genome) -> dict[str, Any]:
    # Identities of nodes are random text, which nothing reads here and does not compress.
    data = genome.ordered().to_dict()
    for node in data["nodes"]:
        node.pop("identity", None)
    return data


def _rounded(value: float) -> float | int:
    number = float(f"{value:.{_DIGITS}g}")
    return int(number) if number.is_integer() else number
