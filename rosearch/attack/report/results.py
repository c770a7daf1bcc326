"""Results of attacks: one record per example, and the report over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from rosearch.attack.report import diff
from rosearch.attack.report.diff import Color
from rosearch.attack.report.html import render
from rosearch.data import Text
from rosearch.errors import DataError
from rosearch.optional import try_import

if TYPE_CHECKING:
    import pandas as pd

_NOTEBOOK_EXAMPLES = 50
_PRINTED_CLASSES = 10


@dataclass(frozen=True)
class AttackResult:
    """The outcome of an attack on one example."""

    attack: str
    """Name of the attack."""
    index: int
    """Position of the example in the evaluator's data set."""
    text: Text
    """The unchanged input."""
    label: int
    """The true class."""
    predicted: int | None
    """The victim's prediction for the unchanged input; ``None`` if it failed."""
    status: str
    """``"skipped"`` (misclassified before the attack, or the goal already met), ``"succeeded"``
    (the goal is met), ``"failed"`` or ``"error"``."""
    perturbed: Text | None = None
    """The final input of the search, if the example was attacked."""
    perturbed_predicted: int | None = None
    """The victim's prediction for :attr:`perturbed`."""
    changed: tuple[int, ...] = ()
    """Indices of the perturbed words of the attacked side."""
    words: int = 0
    """Number of words of the attacked side."""
    queries: int = 0
    """Queries, including that of the unchanged text and those answered from the cache."""
    error: str | None = None
    """The error, if the status is ``"error"``."""
    certified: bool | None = None
    """Whether no combination of the attack's substitutions makes the prediction wrong; ``None``:
    unknown, or the evaluator was not asked to certify."""

    @property
    def broken(self) -> bool:
        """Whether the prediction was right before the attack and wrong after it.

        For the default goal this is the same as success.
        """
        after = self.perturbed_predicted
        return self.predicted == self.label and after is not None and after != self.label

    @property
    def changed_share(self) -> float:
        """Share of the attacked side's words that were perturbed."""
        return len(self.changed) / self.words if self.words else 0.0

    def diff(self, *, color: Color = "auto") -> str:
        """Return the attacked side with its changes marked, for a terminal.

        Args:
            color: Use ANSI codes (deleted words red and struck through, inserted ones green and
                underlined); otherwise marks such as ``[-good-]{+fine+}``. ``"auto"`` uses codes if
                standard output is a terminal and ``NO_COLOR`` is not set.
        """
        return diff.in_terminal(*self._attacked_side(), color=color)

    def diff_html(self) -> str:
        """Return the attacked side as HTML with its changes in ``<del>`` and ``<ins>``."""
        return diff.in_html(*self._attacked_side())

    def _attacked_side(self) -> tuple[str, str]:
        """The attacked side before and after the attack."""
        before = self.text
        after = before if self.perturbed is None else self.perturbed
        if isinstance(before, str) or isinstance(after, str):
            return str(before), str(after)
        side = 0 if before[0] != after[0] else 1
        return before[side], after[side]


class Interval(NamedTuple):
    """A closed interval of a rate."""

    low: float
    high: float


class ClassRates(NamedTuple):
    """A victim's rates on the examples of one class."""

    n: int
    """Number of examples of the class."""
    accuracy: float
    """Share classified correctly before the attack."""
    accuracy_under_attack: float
    """Share classified correctly before and after the attack; errors count as broken."""


@dataclass(frozen=True)
class RobustnessReport:
    """A victim's robustness under one or several attacks.

    Rates are shares of all :attr:`n` examples unless stated otherwise; an example misclassified
    before the attack also counts as misclassified after it. For every goal function, rates refer to
    the true class: an attack succeeds on an example if the prediction was right before and is wrong
    after it. Whether it met its goal is recorded in :attr:`AttackResult.status`. Under several
    attacks an example is robust only if it survives all of them. An example with an error counts
    as not broken in the rates, and either way in their bounds. No rate is ever NaN.
    """

    n: int
    """Number of examples."""
    correct: int
    """Examples classified correctly before the attack."""
    attacked: int
    """Examples whose attack completed."""
    succeeded: int
    """Examples right before the attack and wrong after it; see :attr:`AttackResult.broken`."""
    errors: int
    """Examples on which the victim or the attack failed."""
    accuracy: float
    """``correct / n``."""
    accuracy_under_attack: float
    """``accuracy - succeeded / n``."""
    attack_success_rate: float
    """``succeeded / attacked``; 0 if nothing was attacked."""
    accuracy_interval: Interval
    """95 % Wilson score interval."""
    accuracy_under_attack_interval: Interval
    """95 % Wilson score interval."""
    attack_success_rate_interval: Interval
    """95 % Wilson score interval."""
    accuracy_bounds: Interval
    """Minimum and maximum of the rate over all possible outcomes of the examples with errors."""
    accuracy_under_attack_bounds: Interval
    """As :attr:`accuracy_bounds`; the lower bound counts every error as broken."""
    attack_success_rate_bounds: Interval
    """As :attr:`accuracy_bounds`."""
    mean_queries: float
    """Mean queries per attacked example, summed over all attacks."""
    mean_changed: float
    """Mean share of perturbed words over the :attr:`succeeded` examples."""
    queries: int
    """Total queries, those of skipped examples included, as TextAttack counts them."""
    forward_rows: int
    """Rows the victim computed."""
    seconds: float
    """Wall time of the attacks, in seconds."""
    settings: Mapping[str, Any]
    """Attacks with versions and all thresholds, seed, example indices and the other settings."""
    examples: tuple[AttackResult, ...] = field(repr=False)
    """One record per example, in the order of the evaluator's indices."""
    attacks: Mapping[str, RobustnessReport] = field(default_factory=dict, repr=False)
    """One report per attack, by name; empty in those reports."""

    @property
    def certified(self) -> float | None:
        """Share of the examples that no combination of the attacks' substitutions breaks.

        Under several attacks, none of them by itself. It is at most :attr:`accuracy_under_attack`:
        a search may miss the combination that breaks an example. Examples of which that is unknown
        are not counted, but in :attr:`undecided`. ``None`` without
        ``RobustnessEvaluator(certify=True)``.
        """
        return self._share(True)

    @property
    def undecided(self) -> float | None:
        """Share of the examples of which it is unknown whether some combination breaks them."""
        return self._share(None)

    def _share(self, certified: bool | None) -> float | None:
        if not self.settings.get("certify"):
            return None
        found = sum(result.certified is certified for result in self.examples)
        return found / self.n if self.n else 0.0

    def class_name(self, label: int | None) -> str:
        """Return the name of a class; its index where the report does not name it."""
        names = self.settings.get("classes", ())
        known = isinstance(label, int) and 0 <= label < len(names)
        return str(names[label] if known else label)

    @property
    def by_class(self) -> dict[int, ClassRates]:
        """The rates of each true class.

        They distinguish a robust victim from one that ignores its input: a constant classifier is
        right about all of one class under any attack, and about none of the others.
        """
        rates = {}
        for label in sorted({result.label for result in self.examples}):
            own = [result for result in self.examples if result.label == label]
            right = [result for result in own if result.predicted == label]
            robust = sum(not result.broken and result.status != "error" for result in right)
            rates[label] = ClassRates(len(own), len(right) / len(own), robust / len(own))
        return rates

    def worst_class(self, classes: int = 0) -> float:
        """Return the lowest accuracy under attack of any class.

        Args:
            classes: Number of classes. The result is 0 if one of them has no example, since a
                constant classifier could be right about all the others.
        """
        rates = self.by_class
        if len(rates) < max(classes, 1):
            return 0.0
        return min(each.accuracy_under_attack for each in rates.values())

    @property
    def goal_success_rate(self) -> float:
        """Share of the attacked examples whose attack met its goal; 0 if none was attacked.

        For the default goal it equals :attr:`attack_success_rate`. For a targeted goal it is the
        share of the attacked examples that became the target class. Examples of the target class
        are not attacked and count as robust.
        """
        met = sum(result.status == "succeeded" for result in self.examples)
        tried = sum(result.status in ("succeeded", "failed") for result in self.examples)
        return met / tried if tried else 0.0

    def to_json(self) -> str:
        """Return the whole report as a JSON object, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> RobustnessReport:
        """Load a report written by :meth:`to_json`.

        Raises:
            DataError: ``text`` is not valid JSON, or not a report.
        """
        try:
            return _report(json.loads(text))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(
                f"Expected a JSON object written by RobustnessReport.to_json, but reading it "
                f"failed: {type(error).__name__}: {error}."
            ) from error

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one row per example and attack.

        The columns are the fields of :class:`AttackResult` and its properties ``changed_share`` and
        ``broken``. Pairs of texts are tuples; classes have the dtype
        ``Int64`` and are missing where the victim failed.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pandas = try_import("pandas", "to_pandas()", "pandas")
        names = [*(f.name for f in fields(AttackResult)), "changed_share", "broken"]
        reports = list(self.attacks.values()) or [self]
        records = [result for report in reports for result in report.examples]
        table: pd.DataFrame = pandas.DataFrame(
            {name: pandas.Series([getattr(r, name) for r in records]) for name in names}
        )
        classes = ["label", "predicted", "perturbed_predicted"]
        return table.astype(dict.fromkeys(classes, "Int64"))

    def to_html(self, *, examples: int | None = None) -> str:
        """Return the rates and a table of the attacked examples with their changes marked.

        The result is ASCII and can be embedded in another page; markup in the texts is escaped.

        Args:
            examples: Maximum number of examples to show. Default: all.
        """
        return render(self, examples)

    def _repr_html_(self) -> str:
        return self.to_html(examples=_NOTEBOOK_EXAMPLES)

    def __str__(self) -> str:
        """The rates of each attack, those of all together, and those of each class."""
        whole = {"all together": self} if len(self.attacks) > 1 else {}
        lines = [f"{name}: {one._rates()}" for name, one in {**self.attacks, **whole}.items()]
        note = " (errors count as broken)" if self.errors else ""
        rates = sorted(self.by_class.items(), key=lambda item: item[1].accuracy_under_attack)
        classes = [
            f"class {self.class_name(label)}: accuracy {one.accuracy:.1%}, under attack "
            f"{one.accuracy_under_attack:.1%}{note}, n = {one.n}"
            for label, one in rates[:_PRINTED_CLASSES]
            if len(rates) > 1
        ]
        if len(rates) > _PRINTED_CLASSES:
            classes.append(f"and {len(rates) - _PRINTED_CLASSES} classes, less often broken")
        return "\n".join([*(lines or [self._rates()]), *(f"  {line}" for line in classes)])

    def _rates(self) -> str:
        low, high = self.accuracy_under_attack_interval
        text = (
            f"accuracy {self.accuracy:.1%}, under attack {self.accuracy_under_attack:.1%} "
            f"(95 %: {low:.1%} to {high:.1%}), attack success {self.attack_success_rate:.1%}, "
            f"{self.mean_queries:.1f} queries per example, n = {self.n}"
        )
        if self.certified is not None:
            text += f"; certified {self.certified:.1%}, undecided {self.undecided:.1%}"
        if not self.errors:
            return text
        low, high = self.accuracy_under_attack_bounds
        return f"{text}; {self.errors} errors, so under attack between {low:.1%} and {high:.1%}"


_STATUSES = ("skipped", "succeeded", "failed", "error")
_KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "None": type(None)}


def _check(kind: type[Any], data: Mapping[str, Any]) -> None:
    """Check the type of every field that is text or a number."""
    for each in fields(kind):
        names = str(each.type).split(" | ")
        kinds = [_KINDS[name] for name in names if name in _KINDS]
        value = data[each.name]
        if len(kinds) == len(names) and not any(isinstance(value, kind) for kind in kinds):
            raise TypeError(f"{each.name} must be {each.type}, got {value!r:.80}")


def read_result(data: Mapping[str, Any]) -> AttackResult:
    """Return a result from its fields as JSON has them.

    Raises:
        TypeError, ValueError, KeyError: ``data`` is no result.
    """
    data = {"certified": None, **data}  # reports from before there were certificates
    _check(AttackResult, data)
    if data["status"] not in _STATUSES:
        raise ValueError(f"status must be one of {_STATUSES}, got {data['status']!r:.80}")
    lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
    return AttackResult(**{**data, **lists})


def _report(data: Mapping[str, Any]) -> RobustnessReport:
    _check(RobustnessReport, data)
    intervals = {
        name: Interval(*value)
        for name, value in data.items()
        if name.endswith(("_interval", "_bounds"))
    }
    examples = tuple(read_result(result) for result in data["examples"])
    attacks = {name: _report(report) for name, report in data["attacks"].items()}
    return RobustnessReport(**{**data, **intervals, "examples": examples, "attacks": attacks})
