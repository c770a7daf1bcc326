"""The results of the statistics of a study, as frozen records of plain values."""

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
"""Rows of each table in ``str(statistics)``."""


@dataclass(frozen=True)
class Relation:
    """The rank correlation of one descriptor with one measure.

    Attributes:
        name: The descriptor.
        measure: The metric, or :data:`RELATIVE_ROBUSTNESS`.
        given: Columns held fixed; empty for a plain Spearman correlation.
        estimate: Rank correlation, -1 to 1.
        low: Lower end of the bootstrap interval.
        high: Upper end of the bootstrap interval.
        p: Two-sided p-value, not corrected.
        p_corrected: The p-value corrected for all tests of its table.
        n: Number of architectures.
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
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Importance:
    """The permutation importance of one descriptor in a forest that predicts one measure.

    Attributes:
        name: The descriptor.
        measure: What the forest predicts.
        estimate: Decrease of R² on held-out architectures when the descriptor is permuted.
        low: Lower end of the interval over the architectures.
        high: Upper end of the interval over the architectures.
        p: One-sided p-value of an importance above 0.
        p_corrected: The p-value corrected for all tests of its table.
        n: Number of architectures.
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
        """Whether the interval is above 0; importances below 0 have no meaning."""
        return self.low > 0


@dataclass(frozen=True)
class Forest:
    """How well a random forest predicts one measure from all descriptors.

    Attributes:
        measure: What it predicts.
        r2: Share of the variance explained on held-out architectures, at most 1; 0 or less is no
            better than the mean.
        low: Lower end of the bootstrap interval of ``r2``.
        high: Upper end of the bootstrap interval of ``r2``.
        n: Number of architectures.
    """

    measure: str
    r2: float
    low: float
    high: float
    n: int

    @property
    def predicts(self) -> bool:
        """Whether the interval of R² is above 0; otherwise importances have no meaning."""
        return self.r2 > 0 and self.low > 0


@dataclass(frozen=True)
class Enrichment:
    """How much more frequent an operator or an edge is on the front than elsewhere.

    Attributes:
        name: The operator, or an edge such as ``"convolution -> attention"``.
        kind: ``"operator"`` or ``"edge"``.
        estimate: Odds ratio (conditional maximum likelihood); may be 0 or infinite.
        low: Lower end of its exact interval; may be 0.
        high: Upper end of its exact interval; may be infinite.
        p: Two-sided p-value of Fisher's exact test.
        p_corrected: The p-value corrected for all tests of its kind.
        front_with: Number of architectures on the front that have it.
        front: Number of architectures on the front.
        others_with: Number of other architectures that have it.
        others: Number of other architectures.
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
        """Number of all architectures."""
        return self.front + self.others

    @property
    def excludes_one(self) -> bool:
        """Whether the interval excludes 1, equal odds."""
        return self.low > 1 or self.high < 1


def is_shown(record: Relation | Importance | Enrichment, confidence: float) -> bool:
    """Whether a row is a finding: its corrected p-value and its interval both say so."""
    apart = record.excludes_one if isinstance(record, Enrichment) else record.excludes_zero
    return apart and record.p_corrected < 1 - confidence


@dataclass(frozen=True)
class Statistics:
    """How the architectures of a study relate to their accuracy and robustness.

    ``str()`` gives the findings and the strongest rows of each table.

    Attributes:
        study: The study's name.
        n: Architectures in the tables.
        left_out: Number of trials that are not in the tables, by reason.
        measures: What descriptors were related to.
        objectives: Metrics that span the front; ``("search.front",)`` for the front of the search.
        front: Numbers of the trials on the front.
        confidence: Level of all intervals, such as 0.95.
        correction: Correction of p-values for multiple tests: ``"holm"`` or ``"fdr"``.
        majority: Assumed share of the majority class, by which students near chance were left out;
            ``None`` where they were not.
        examples: Assumed number of examples that accuracy was measured on.
        seed: Seed of the bootstrap and the forests.
        correlations: A Spearman correlation for each descriptor and measure; for
            :data:`RELATIVE_ROBUSTNESS` given accuracy.
        partial: The same given the number of parameters, and given accuracy unless it is the
            measure.
        forests: How well a forest predicts each measure.
        importances: Permutation importances in the forests that predict.
        enrichment: Tests of operators and edges on the front.
        groups: Collinear descriptors; each group was tested under its first name.
        unused: Descriptors that were not tested, with the reason.
        findings: Sentences on what the tests show.
        notes: Assumptions and caveats.
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
        """Plain data for JSON; infinite odds ratios are ``None``."""
        data: dict[str, Any] = _plain(asdict(self))
        return data

    def to_json(self, *, indent: int | None = None) -> str:
        """:meth:`to_dict` as JSON.

        Args:
            indent: Spaces of each level; ``None`` writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_pandas(self) -> Any:
        """All tables as one ``pandas.DataFrame``.

        The column ``table`` names the table of a row; columns that a table lacks are empty.

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
