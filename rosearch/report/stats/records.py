"""What the statistics of a study are made of: small frozen records of plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rosearch.optional import try_import

RELATIVE_ROBUSTNESS = "robustness_at_equal_accuracy"
"""The measure that is accuracy under attack with clean accuracy held fixed."""

_ROWS = 12
"""Rows of each table that ``str()`` of the statistics shows."""


@dataclass(frozen=True)
class Relation:
    """How one descriptor goes with one measure: a rank correlation.

    Attributes:
        name: The descriptor.
        measure: Metric that it is related to, or :data:`RELATIVE_ROBUSTNESS`.
        given: What is held fixed; empty for a plain Spearman correlation.
        estimate: Correlation of the ranks, from -1 to 1.
        low: Lower end of the bootstrap interval.
        high: Upper end of the bootstrap interval.
        p: Two-sided p-value by itself.
        p_corrected: The p-value corrected for all tests of its table.
        n: Architectures.
    """

    name: str
    measure: str
    given: tuple[str, ...]
    estimate: float
    low: float
    high: float
    p: float
    p_corrected: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is wholly on one side of no relation."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Importance:
    """How much a forest needs one descriptor to predict one measure.

    Attributes:
        name: The descriptor.
        measure: What the forest predicts.
        estimate: Fall of R2 on held-out architectures when the descriptor is shuffled.
        low: Lower end of the interval over the architectures.
        high: Upper end of the interval over the architectures.
        p: One-sided p-value of an importance above 0.
        p_corrected: The p-value corrected for all tests of its table.
        n: Architectures.
    """

    name: str
    measure: str
    estimate: float
    low: float
    high: float
    p: float
    p_corrected: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is wholly above 0; importances below 0 mean nothing."""
        return self.low > 0


@dataclass(frozen=True)
class Forest:
    """How well a forest predicts one measure from all descriptors.

    Attributes:
        measure: What it predicts.
        r2: Share of the variance predicted in architectures that it was not fitted on,
            at most 1; 0 or less is no better than the mean.
        low: Lower end of the bootstrap interval of ``r2``.
        high: Upper end of the bootstrap interval of ``r2``.
        n: Architectures.
    """

    measure: str
    r2: float
    low: float
    high: float
    n: int

    @property
    def predicts(self) -> bool:
        """Whether it predicts at all; without that its importances mean nothing."""
        return self.r2 > 0 and self.low > 0


@dataclass(frozen=True)
class Enrichment:
    """How much more often an operator or an edge is found in the front than outside it.

    Attributes:
        name: The operator, or an edge such as ``"convolution -> attention"``.
        kind: ``"operator"`` or ``"edge"``.
        estimate: Odds ratio (conditional maximum likelihood); may be 0 or infinite.
        low: Lower end of its exact interval, may be 0.
        high: Upper end of its exact interval, may be infinite.
        p: Two-sided p-value of Fisher's exact test.
        p_corrected: The p-value corrected for all tests of its kind.
        front_with: Architectures of the front that have it.
        front: Architectures of the front.
        others_with: Architectures outside the front that have it.
        others: Architectures outside the front.
    """

    name: str
    kind: str
    estimate: float
    low: float
    high: float
    p: float
    p_corrected: float
    front_with: int
    front: int
    others_with: int
    others: int

    @property
    def n(self) -> int:
        """Architectures, of the front and outside it."""
        return self.front + self.others

    @property
    def excludes_one(self) -> bool:
        """Whether the interval is wholly on one side of equal odds."""
        return self.low > 1 or self.high < 1


def is_shown(record: Relation | Importance | Enrichment, confidence: float) -> bool:
    """Whether a row counts as a finding: by its corrected p-value and by its interval, both."""
    apart = record.excludes_one if isinstance(record, Enrichment) else record.excludes_zero
    return apart and record.p_corrected < 1 - confidence


@dataclass(frozen=True)
class Statistics:
    """How the architectures of a study relate to their accuracy and robustness.

    ``str()`` gives the findings and the strongest rows of each table.

    Attributes:
        study: The study's name.
        n: Architectures in the tables.
        left_out: How many trials are not in the tables, by reason.
        measures: What descriptors are related to.
        objectives: Metrics that span the front; ``("search.front",)`` if it is the search's own.
        front: Numbers of the trials that are on the front.
        confidence: Of all intervals, such as 0.95.
        correction: How p-values are corrected for many tests: ``"holm"`` or ``"fdr"``.
        majority: Share of the majority class, by which students near chance were left out; ``None``
            where they count too.
        examples: Examples that accuracy is taken to be measured on, for the same.
        seed: Of the bootstrap and the forest.
        correlations: A Spearman correlation for each descriptor and measure; for
            :data:`RELATIVE_ROBUSTNESS` given accuracy.
        partial: The same given the number of parameters, and accuracy where the measure is not
            accuracy itself.
        forests: How well a forest predicts each measure.
        importances: Permutation importances in those forests that predict.
        enrichment: Operators and edges of the front.
        groups: Descriptors that say the same here; the first of each stands for all.
        unused: Descriptors without a relation to speak of, each with the reason.
        findings: Sentences on what the tests show, and on what they do not.
        notes: What to know before reading the tables.
    """

    study: str
    n: int
    left_out: Mapping[str, int]
    measures: tuple[str, ...]
    objectives: tuple[str, ...]
    front: tuple[int, ...]
    confidence: float
    correction: str
    majority: float | None
    examples: int
    seed: int
    correlations: tuple[Relation, ...]
    partial: tuple[Relation, ...]
    forests: tuple[Forest, ...]
    importances: tuple[Importance, ...]
    enrichment: tuple[Enrichment, ...]
    groups: tuple[tuple[str, ...], ...]
    unused: Mapping[str, str]
    findings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold; an infinite odds ratio is ``None``."""
        data: dict[str, Any] = _plain(asdict(self))
        return data

    def to_json(self, *, indent: int | None = None) -> str:
        """:meth:`to_dict` as JSON.

        Args:
            indent: Spaces of each level; ``None`` writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_pandas(self) -> Any:
        """All tables one below the other, as a ``pandas.DataFrame``.

        The column ``table`` says which one a row is of; columns that a table lacks are empty.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = try_import("pandas", "to_pandas()", "report", "to_dict() works without it.")
        tables = ("correlations", "partial", "forests", "importances", "enrichment")
        rows = []
        for table in tables:
            for record in getattr(self, table):
                row = {f.name: getattr(record, f.name) for f in fields(record)} | {"n": record.n}
                if table == "forests":
                    row["estimate"] = row.pop("r2")
                if "given" in row:
                    row["given"] = ", ".join(row["given"])
                rows.append({"table": table} | row)
        first = ["table", "name", "measure", "given", "estimate", "low", "high", "p", "p_corrected"]
        frame = pd.DataFrame(rows)
        for column in [*first, "n"]:
            if column not in frame:
                frame[column] = None
        return frame[[*first, "n", *(c for c in frame if c not in {*first, "n"})]]

    def __str__(self) -> str:
        lines = [f"Statistics of the study {self.study!r}: {self.n} architectures", "", "Findings"]
        lines += [f"- {sentence}" for sentence in self.findings]
        tables = (
            ("Rank correlations", self.correlations),
            ("Partial rank correlations", self.partial),
            ("Permutation importances", self.importances),
            ("Enrichment in the front (odds ratios)", self.enrichment),
        )
        for title, records in tables:
            lines += _table(title, records)
        lines += ["", "Notes", *(f"- {sentence}" for sentence in self.notes)]
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(title: str, records: tuple[Any, ...]) -> list[str]:
    """The rows with the smallest p-values, aligned."""
    if not records:
        return []
    shown = sorted(records, key=lambda r: (r.p_corrected, r.p))[:_ROWS]
    rows = [("name", "with", "estimate", "interval", "corrected p")]
    for record in shown:
        given = f" given {', '.join(record.given)}" if getattr(record, "given", ()) else ""
        measure = getattr(record, "measure", None)
        rows.append(
            (
                record.name,
                f"{measure}{given}" if measure else f"the front ({record.kind})",
                f"{record.estimate:.2f}",
                f"{record.low:.2f} to {record.high:.2f}",
                f"{record.p_corrected:.3g}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    more = len(records) - len(shown)
    return [
        "",
        f"{title}, n = {records[0].n}" + (f" ({more} more rows)" if more else ""),
        *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]
