"""The table itself: genomes, what was measured of each at each rung, and how it was made."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from rosearch.errors import DataError, MissingResourceError
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Fitness, best_index
from rosearch.space import Genome

_FORMAT = 1
_SAMPLE = "random"
"""Source of a genome that nothing but chance has chosen."""
_DIGITS = 6
"""Significant digits of a stored figure; each is a mean over a few hundred examples or a time."""


@dataclass(frozen=True, repr=False)
class Table:
    """Genomes and their metrics.

    Args:
        genomes: The architectures, each once.
        rungs: One entry a rung, from the cheapest: the metrics of every genome in the order of
            ``genomes``. ``seconds`` is what that rung and those below took.
        made: How the table was made, as plain data. ``sources``, if it is there, says of each
            genome where it comes from: ``"random"`` for a sample of the space, anything else for
            one that was chosen.

    Raises:
        DataError: A genome is there twice, a rung lacks a genome, a metric or ``seconds``, or
            ``sources`` has not one entry a genome.
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
        """Positions of the genomes that are samples of their space; all if nothing is known."""
        sources = self.made.get("sources") or [_SAMPLE] * len(self)
        return tuple(i for i, source in enumerate(sources) if source == _SAMPLE)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of genomes and figures."""
        return hashlib.blake2b(self._payload(), digest_size=8).hexdigest()

    def metrics(self, genome: Genome, *, rung: int | None = None) -> dict[str, float]:
        """What was measured of ``genome``.

        Args:
            genome: One of the table's.
            rung: From 0. ``None``: the last one.

        Raises:
            DataError: The genome or the rung is not in the table.
        """
        place = self.index.get(genome.key)
        if place is None:
            raise DataError(
                f"Genome {genome.key} is not among the {len(self.genomes)} of the table. Search "
                f"in a TabularSpace of it."
            )
        rung = len(self.rungs) - 1 if rung is None else rung
        if not 0 <= rung < len(self.rungs):
            raise DataError(f"The table has rungs 0 to {len(self.rungs) - 1}, not {rung!r}.")
        return dict(self.rungs[rung][place])

    def best(self, fitness: Fitness) -> tuple[Genome, float]:
        """The fittest genome of the table and the value of its fitness (its first objective)."""
        scores = [fitness.score(row) for row in self.rungs[-1]]
        place = best_index(scores)
        return self.genomes[place], scores[place].values[0]

    def as_search(self, fitness: Fitness, *, study: str = "table") -> SearchResult:
        """Every genome as a candidate that was evaluated in full, in the order of the table.

        So that :func:`rosearch.statistics` and the pictures of :mod:`rosearch.report` read it as
        they read a search.

        Args:
            fitness: Gives the candidates their scores.
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
        """One row a genome and rung as a ``pandas.DataFrame``.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        try:
            pd = importlib.import_module("pandas")
        except ImportError as error:
            raise MissingResourceError(
                "to_pandas() needs pandas, which is not installed: pip install pandas"
            ) from error
        rows = [
            {"key": genome.key, "rung": number, **row}
            for number, rung in enumerate(self.rungs)
            for genome, row in zip(self.genomes, rung, strict=True)
        ]
        return pd.DataFrame(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a file (gzip-compressed JSON), in one step."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without the time of writing, so that equal tables are equal files.
        packed = gzip.compress(self._payload(), 9, mtime=0)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(packed)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """The table in a file that :meth:`save` wrote.

        Raises:
            DataError: The file is none.
        """
        return cls._unpacked(Path(path).read_bytes(), str(path))

    @classmethod
    def _unpacked(cls, packed: bytes, name: str) -> Table:
        try:
            data = json.loads(gzip.decompress(packed))
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
            raise DataError(
                f"{name} is no table, as Table.save writes one and "
                f"rosearch.evolve.comparison.tabular.load() reads that of the package: {error}"
            ) from error

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


def load(name: str = "movie_reviews") -> Table:
    """A table that the package ships.

    ``movie_reviews``: genomes of the default space between 4.6 and 6.5 times smaller than their
    teacher, distilled and attacked on movie reviews at two fidelities; ``table.made`` says how.

    Raises:
        MissingResourceError: The package has no such table.
    """
    file = files(__package__).joinpath(f"{name}.json.gz")
    if not file.is_file():
        raise MissingResourceError(
            f"There is no table {name!r} in this installation of rosearch. "
            f"benchmarks/make_tabular.py of its repository makes one; Table.read(path) reads it."
        )
    return Table._unpacked(file.read_bytes(), name)


def _compact(genome: Genome) -> dict[str, Any]:
    # Names of nodes are random text, which nothing reads here and no compression shrinks.
    data = genome.ordered().to_dict()
    for node in data["nodes"]:
        node.pop("identity", None)
    return data


def _rounded(value: float) -> float | int:
    number = float(f"{value:.{_DIGITS}g}")
    return int(number) if number.is_integer() else number
