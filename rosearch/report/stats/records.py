"""The results of the statistics of a study, as frozen records of plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

from markupsafe import Markup

from rosearch.optional import try_import

RELATIVE_ROBUSTNESS = "robustness_at_equal_accuracy"
"""The measure that is accuracy under attack with clean accuracy held fixed."""

_MAX_ROWS = 12
"""Maximum rows of each table in ``str(statistics)``."""

E = TypeVar("E", bound="Effect")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One tested row of a table.

    Attributes:
        name: The descriptor, operator, edge or encoding.
        estimate: Size of the effect.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: p-value, not corrected.
        p_corrected: The p-value corrected for all tests of its table.
        n: Number of architectures.
    """

    null: ClassVar[float] = 0.0
    """The estimate without an effect."""

    name: str
    estimate: float
    low: float
    high: float
    p: float
    p_corrected: float = 1.0
    n: int

    @property
    def excludes_null(self) -> bool:
        """Whether the interval excludes :attr:`null`."""
        return self.low > self.null or self.high < self.null

    def is_finding(self, confidence: float) -> bool:
        """Whether both the corrected p-value and the interval show an effect.

        Args:
            confidence: One minus the significance level.
        """
        return self.excludes_null and self.p_corrected < 1 - confidence


@dataclass(frozen=True, kw_only=True)
class Relation(Effect):
    """The rank correlation of one descriptor with one measure, -1 to 1.

    Attributes:
        measure: The metric, or :data:`RELATIVE_ROBUSTNESS`.
        given: Columns held fixed; empty for a plain Spearman correlation.
    """

    measure: str
    given: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Importance(Effect):
    """The permutation importance of one descriptor in a forest that predicts one measure.

    The estimate is the decrease of R² on held-out architectures when the descriptor is permuted;
    the p-value is the one-sided one of an importance above 0.

    Attributes:
        measure: What the forest predicts.
    """

    measure: str


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


@dataclass(frozen=True, kw_only=True)
class Enrichment(Effect):
    """How much more frequent an operator, edge or encoding is on the front than elsewhere.

    An edge is named like ``"convolution -> attention"``. The estimate is the odds ratio
    (conditional maximum likelihood), with its exact interval; both may be 0 or infinite. The
    p-value is the two-sided one of Fisher's exact test, corrected for all tests of its kind.

    Attributes:
        kind: ``"operator"``, ``"edge"`` or ``"encoding"``.
        front_with: Number of architectures on the front that have it.
        front: Number of architectures on the front.
        others_with: Number of other architectures that have it.
        others: Number of other architectures.
    """

    null: ClassVar[float] = 1.0

    kind: str
    front_with: int
    front: int
    others_with: int
    others: int


def words(name: str) -> str:
    """The name of a measure, metric or descriptor in words."""
    return name.replace("_", " ")


def by_p_value(records: Iterable[E]) -> list[E]:
    """The records, those with the smallest p-values first."""
    return sorted(records, key=lambda record: (record.p_corrected, record.p))


def by_measure(records: Iterable[Relation]) -> dict[tuple[str, tuple[str, ...]], list[Relation]]:
    """The relations by their measure and the columns held fixed."""
    groups: dict[tuple[str, tuple[str, ...]], list[Relation]] = {}
    for record in records:
        groups.setdefault((record.measure, record.given), []).append(record)
    return groups


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
        enrichment: Tests of operators, edges and encodings on the front.
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
        return dict(_plain(asdict(self)))

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
        frame = pd.DataFrame(
            {"table": table, "estimate": getattr(record, "r2", None), **asdict(record)}
            for table in ("correlations", "partial", "forests", "importances", "enrichment")
            for record in getattr(self, table)
        )
        shared = ["table", "name", "measure", "given", "estimate", "low", "high", "p"]
        shared += ["p_corrected", "n"]
        own = [f.name for f in fields(Enrichment) if f.name not in shared]
        frame = frame.reindex(columns=[*shared, *own])
        return frame.assign(given=frame["given"].str.join(", "))

    def _repr_html_(self) -> str:
        """The findings and notes, which notebooks show; ``print`` shows the tables too."""
        head = f"Statistics of the study {self.study!r}: {self.n} architectures"
        notes = Markup("<details><summary>Notes</summary>{}</details>").format(_items(self.notes))
        page = Markup("<p><strong>{}</strong></p>{}{}")
        return str(page.format(head, _items(self.findings), notes))

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


def _items(sentences: Iterable[str]) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
    return Markup("<ul>{}</ul>").format(items)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(title: str, records: Sequence[Effect]) -> list[str]:
    """The rows with the smallest p-values, aligned."""
    if not records:
        return []
    rows = [("name", "with", "estimate", "interval", "corrected p")]
    for r in by_p_value(records)[:_MAX_ROWS]:
        related = f"the front ({r.kind})" if isinstance(r, Enrichment) else ""
        if isinstance(r, (Relation, Importance)):
            related = r.measure
        if isinstance(r, Relation) and r.given:
            related += f" given {', '.join(r.given)}"
        interval = f"{r.low:.2f} to {r.high:.2f}"
        rows.append((r.name, related, f"{r.estimate:.2f}", interval, f"{r.p_corrected:.3g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    more = len(records) - _MAX_ROWS
    return [
        "",
        f"{title}, n = {records[0].n}" + (f" ({more} more rows)" if more > 0 else ""),
        *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows),
    ]
