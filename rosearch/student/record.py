"""What is known of a student besides its weights: how it was made, and how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from rosearch.errors import DataError

RECORD_FILE = "record.json"
"""Name of the file in a student's folder."""


_SHARED = ("goal", "seed", "query_budget", "attacked_side", "skip_truncated", "max_length")
"""Settings of a report that all of its attacks share and that change their rates."""


class Report(Protocol):
    """What a record reads of a report on attacks, such as ``rosearch.RobustnessReport``."""

    @property
    def n(self) -> int:
        """Number of texts."""

    @property
    def accuracy(self) -> float:
        """Share of the texts classified right before the attack."""

    @property
    def accuracy_under_attack(self) -> float:
        """Share of the texts classified right before and after the attack."""

    @property
    def accuracy_under_attack_interval(self) -> tuple[float, float]:
        """Its 95 % interval."""

    @property
    def by_class(self) -> Mapping[int, Any]:
        """``accuracy_under_attack`` of each class."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Attacks with all thresholds, under ``"attacks"``."""

    @property
    def attacks(self) -> Mapping[str, Any]:
        """One report for each attack, by name."""

    def class_name(self, label: int) -> str:
        """Return the name of a class."""


class Repeats(Protocol):
    """What a record reads of repeated trainings, such as ``rosearch.evolve`` confirms."""

    @property
    def mean(self) -> Mapping[str, float]:
        """Mean of each metric."""

    @property
    def std(self) -> Mapping[str, float]:
        """Sample standard deviation of each metric."""

    @property
    def runs(self) -> tuple[Any, ...]:
        """The trainings."""

    @property
    def failures(self) -> tuple[Any, ...]:
        """Why some of them failed."""


@dataclass(frozen=True)
class AttackRates:
    """A student's rates under one attack."""

    attack: str
    """Name of the attack."""
    texts: str
    """Which texts were attacked, such as ``"dev"``."""
    n: int
    """Number of attacked texts."""
    accuracy: float
    """Share classified right before the attack."""
    accuracy_under_attack: float
    """Share classified right before and after the attack."""
    low: float
    """Lower end of the 95 % interval of the accuracy under attack."""
    high: float
    """Its upper end."""
    worst_class: str
    """Name of the class with the lowest accuracy under attack."""
    worst_class_under_attack: float
    """Accuracy under attack of that class."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The attack's settings with all thresholds."""


@dataclass(frozen=True)
class StudentRecord:
    """How a student was made and how good it is, for its model card.

    The distiller, the pipeline and the command line fill it in; it is saved and loaded with the
    student.
    """

    teacher: Mapping[str, Any] = field(default_factory=dict)
    """``name``, ``hub_name`` (``None`` where it is not on the Hub), ``parameters``, and, if known,
    ``accuracy`` on the dev texts."""

    training: Mapping[str, Any] = field(default_factory=dict)
    """``texts``, ``dev_texts`` (numbers of texts), ``seed``, and the distiller's ``settings``."""

    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Accuracy on texts, by what they are, such as ``"dev"``."""

    attacks: tuple[AttackRates, ...] = ()
    """Rates under attacks."""

    repeats: Mapping[str, Any] = field(default_factory=dict)
    """``runs``, the number of further trainings with other seeds, ``mean`` and ``std`` of their
    metrics, and ``measured_on``: which texts and attacks, in words."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the software that trained it."""

    def attacked(self, report: Report, texts: str) -> StudentRecord:
        """Return a record with the rates of a report, in place of earlier ones on such texts.

        Args:
            report: The report on this student.
            texts: Which texts were attacked, such as ``"test"``.
        """
        parts = dict(report.attacks)
        if len(parts) > 1:
            parts["all together"] = report
        rates = [_rates(name, part, texts) for name, part in (parts or {"attack": report}).items()]
        kept = [known for known in self.attacks if known.texts != texts]
        return replace(self, attacks=(*kept, *rates))

    def measured(self, accuracy: float, texts: str) -> StudentRecord:
        """Return a record with an accuracy on all of some texts, such as ``"test"``."""
        return replace(self, accuracy={**self.accuracy, texts: accuracy})

    def repeated(self, found: Repeats, measured_on: str = "") -> StudentRecord:
        """Return a record with what further trainings of the same architecture gave.

        Args:
            found: The trainings.
            measured_on: Which texts and attacks, in words.
        """
        runs = len(found.runs) - len(found.failures)
        mean, std = (
            {name: value for name, value in values.items() if math.isfinite(value)}
            for values in (found.mean, found.std)
        )
        return replace(
            self, repeats={"runs": runs, "mean": mean, "std": std, "measured_on": measured_on}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> StudentRecord:
        """Return the record of :meth:`to_dict`.

        Raises:
            DataError: The values are no record.
        """
        try:
            attacks = tuple(AttackRates(**rates) for rates in values["attacks"])
            return cls(**{**values, "attacks": attacks})
        except (KeyError, TypeError) as error:
            raise DataError(f"{values!r:.80} is no record of a student: {error!r}.") from error


def _rates(name: str, report: Report, texts: str) -> AttackRates:
    low, high = report.accuracy_under_attack_interval
    by_class = {label: rates.accuracy_under_attack for label, rates in report.by_class.items()}
    worst = min(by_class, key=by_class.__getitem__)
    found = [dict(attack) for attack in report.settings.get("attacks", ())]
    shared = {key: report.settings[key] for key in _SHARED if key in report.settings}
    return AttackRates(
        attack=name,
        texts=texts,
        n=report.n,
        accuracy=report.accuracy,
        accuracy_under_attack=report.accuracy_under_attack,
        low=low,
        high=high,
        worst_class=report.class_name(worst),
        worst_class_under_attack=by_class[worst],
        settings=found[0] | shared if len(found) == 1 else {},
    )
