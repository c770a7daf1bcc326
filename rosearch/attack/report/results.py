"""What came of an attack: one record an example, and the rates over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rosearch.attack.report import diff
from rosearch.attack.report.diff import Color, WordChange
from rosearch.attack.report.html import render
from rosearch.data import Text
from rosearch.errors import DataError, MissingResourceError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 50
"""Examples that a notebook shows."""

STATUSES = ("skipped", "succeeded", "failed", "error")


@dataclass(frozen=True)
class AttackResult:
    """The outcome for one example."""

    attack: str
    """Name of the attack."""
    index: int
    """Position of the example in the data set that the evaluator was made with."""
    text: Text
    """The input as it was."""
    label: int
    """The true class."""
    predicted: int | None
    """The victim's answer to the unchanged input; ``None`` where it gave none."""
    status: str
    """``"skipped"`` (wrong before the attack, or the goal met already), ``"succeeded"`` (the goal
    is met), ``"failed"`` or ``"error"``."""
    perturbed: Text | None = None
    """The input that the search settled on, where the example was attacked."""
    perturbed_predicted: int | None = None
    """The victim's answer to :attr:`perturbed`."""
    changed: tuple[int, ...] = ()
    """Indices of the words of the attacked side that were replaced."""
    words: int = 0
    """Words of the attacked side."""
    queries: int = 0
    """Logical queries: every text asked about, the unchanged one included, cached or not."""
    error: str | None = None
    """What went wrong, where the status is ``"error"``."""

    @property
    def broken(self) -> bool:
        """Right before the attack and wrong after it; the same as success for the default goal."""
        after = self.perturbed_predicted
        return self.predicted == self.label and after is not None and after != self.label

    @property
    def changed_share(self) -> float:
        """Share of the attacked side's words that were replaced."""
        return len(self.changed) / self.words if self.words else 0.0

    @property
    def changes(self) -> tuple[WordChange, ...]:
        """Each change of the attacked side: index of the word, the word, what replaced it.

        Empty where nothing was changed. Words are counted in the original; see
        :func:`rosearch.attack.report.diff.changes`.
        """
        return diff.changes(*self._sides()[0])

    def diff(self, *, color: Color = "auto") -> str:
        """The attacked side with its changes marked, for a terminal.

        Args:
            color: Whether to write ANSI codes (deleted words red and struck through, inserted ones
                green and underlined), or marks such as ``[-good-]{+fine+}``. ``"auto"``: codes
                where standard output is a terminal and ``NO_COLOR`` is not set.
        """
        return diff.in_terminal(*self._sides()[0], color=color)

    def diff_html(self) -> str:
        """The attacked side with its changes in ``<del>`` and ``<ins>``, the rest escaped."""
        return diff.in_html(*self._sides()[0])

    def _sides(self) -> tuple[tuple[str, str], str | None]:
        """The attacked side before and after, and the other side of a pair."""
        after = self.text if self.perturbed is None else self.perturbed
        if isinstance(self.text, str) or isinstance(after, str):
            return (_one(self.text), _one(after)), None
        side = 0 if self.text[0] != after[0] else 1
        return (self.text[side], after[side]), self.text[1 - side]


class Interval(NamedTuple):
    """A range of a rate, both ends included."""

    low: float
    high: float


class ClassRates(NamedTuple):
    """How a victim stands up to attacks on the examples of one class."""

    n: int
    """Examples of the class."""
    accuracy: float
    """Share that is right before the attack."""
    accuracy_under_attack: float
    """Share that is right before and after it; an example in error counts as broken."""


@dataclass(frozen=True)
class RobustnessReport:
    """How a victim stands up to attacks.

    Rates refer to :attr:`n` examples unless they say otherwise; an example that the victim gets
    wrong before the attack counts as wrong after it. Rates go by the true class whatever the goal:
    an attack on an example succeeds in them where the victim was right before and is wrong
    after, and whether it met the goal is told by :attr:`AttackResult.status`. Under several
    attacks an example counts as robust only if it survives all of them. An example that ended in
    an error counts as not broken in the rates, and either way in their bounds. No rate is ever NaN.
    """

    n: int
    """Examples."""
    correct: int
    """Right before the attack."""
    attacked: int
    """Right before the attack, and the attack ran to its end."""
    succeeded: int
    """Right before the attack and wrong afterwards; see :attr:`AttackResult.broken`."""
    errors: int
    """Examples on which the victim or the attack failed."""
    accuracy: float
    """``correct / n``."""
    accuracy_under_attack: float
    """``accuracy - succeeded / n``."""
    attack_success_rate: float
    """``succeeded / attacked``, 0 where nothing was attacked."""
    accuracy_interval: Interval
    """95 % Wilson score interval."""
    accuracy_under_attack_interval: Interval
    """95 % Wilson score interval."""
    attack_success_rate_interval: Interval
    """95 % Wilson score interval."""
    accuracy_bounds: Interval
    """Least and most that the rate can be, whatever the examples in error would have been."""
    accuracy_under_attack_bounds: Interval
    """As :attr:`accuracy_bounds`; the lower one counts every example in error as broken."""
    attack_success_rate_bounds: Interval
    """As :attr:`accuracy_bounds`."""
    mean_queries: float
    """Logical queries per attacked example, those of all attacks together."""
    mean_changed: float
    """Mean share of words replaced, over :attr:`succeeded` only."""
    queries: int
    """Logical queries in all, skipped examples included: what TextAttack counts."""
    forward_rows: int
    """Rows the victim computed: what the machine paid."""
    seconds: float
    """Wall time, in seconds."""
    settings: Mapping[str, Any]
    """Attacks with version and every threshold, seed, example indices and the rest."""
    examples: tuple[AttackResult, ...] = field(repr=False)
    """One record an example, in the order of the evaluator's indices."""
    attacks: Mapping[str, RobustnessReport] = field(default_factory=dict, repr=False)
    """One report an attack, by name; empty in these themselves."""

    @property
    def by_class(self) -> dict[int, ClassRates]:
        """The rates of each true class, by its number.

        They tell apart a robust victim and one that hardly looks at its input: who gives one answer
        to everything is right about all of that class, whatever is done to it, and about none of
        the others.
        """
        rates = {}
        for label in sorted({result.label for result in self.examples}):
            own = [result for result in self.examples if result.label == label]
            right = [result for result in own if result.predicted == label]
            stand = sum(not result.broken and result.status != "error" for result in right)
            rates[label] = ClassRates(len(own), len(right) / len(own), stand / len(own))
        return rates

    def worst_class(self, classes: int = 0) -> float:
        """Accuracy under attack of the class that fares worst.

        Args:
            classes: How many there are. It is 0 if one of so many has no example: who answers
                always the same could pass for right about all of them.
        """
        rates = self.by_class
        if len(rates) < max(classes, 1):
            return 0.0
        return min(each.accuracy_under_attack for each in rates.values())

    @property
    def goal_success_rate(self) -> float:
        """Share of the attacked examples whose attack met its goal; 0 where none was attacked.

        For the default goal the same as :attr:`attack_success_rate`. For a targeted one those that
        became the target: the other rates count every wrong class, and examples that are of the
        target's class are not attacked and count as robust.
        """
        met = sum(result.status == "succeeded" for result in self.examples)
        tried = sum(result.status in ("succeeded", "failed") for result in self.examples)
        return met / tried if tried else 0.0

    def to_json(self) -> str:
        """Everything, as a JSON object; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> RobustnessReport:
        """The report that :meth:`to_json` wrote.

        Raises:
            DataError: ``text`` is no JSON, or not that of a report.
        """
        try:
            return _report(json.loads(text))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(
                f"Expected the JSON object that RobustnessReport.to_json wrote; it cannot be read: "
                f"{type(error).__name__}: {error}."
            ) from error

    def to_pandas(self) -> pd.DataFrame:
        """One row an example and attack, with all fields of :class:`AttackResult` and more.

        The columns ``changes``, ``changed_share`` and ``broken`` are its properties; texts of
        pairs are tuples; classes are of the type ``Int64``, missing where there is none.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingResourceError(
                'to_pandas needs pandas. Get it with: pip install "rosearch[pandas]"'
            ) from error
        extra = ("changes", "changed_share", "broken")
        names = [*(f.name for f in fields(AttackResult)), *extra]
        reports = list(self.attacks.values()) or [self]
        records = [result for report in reports for result in report.examples]
        table = pd.DataFrame(
            {name: pd.Series([getattr(r, name) for r in records]) for name in names}
        )
        classes = ["label", "predicted", "perturbed_predicted"]
        return table.astype(dict.fromkeys(classes, "Int64"))

    def to_html(self, *, examples: int | None = None) -> str:
        """The rates and a table of the attacked examples with their changes marked.

        It is plain ASCII and stands alone or inside another page; markup in the texts is shown, not
        run.

        Args:
            examples: Most examples to show. Default: all.
        """
        return render(self, examples)

    def _repr_html_(self) -> str:
        return self.to_html(examples=_SHOWN)

    def __str__(self) -> str:
        low, high = self.accuracy_under_attack_interval
        text = (
            f"accuracy {self.accuracy:.1%}, under attack {self.accuracy_under_attack:.1%} "
            f"(95 %: {low:.1%} to {high:.1%}), attack success {self.attack_success_rate:.1%}, "
            f"{self.mean_queries:.1f} queries an example, n = {self.n}"
        )
        if not self.errors:
            return text
        low, high = self.accuracy_under_attack_bounds
        return f"{text}; {self.errors} errors, so under attack between {low:.1%} and {high:.1%}"


def wilson(successes: int, trials: int) -> Interval:
    """95 % score interval of a share (Wilson 1927); (0, 1) where there was no trial."""
    if trials == 0:
        return Interval(0.0, 1.0)
    z2 = 1.959963984540054**2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = (z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) ** 0.5 / (1 + z2 / trials)
    # At either end the formula is off by rounding only.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def summarise(
    results: Sequence[AttackResult],
    *,
    forward_rows: int,
    seconds: float,
    settings: Mapping[str, Any],
    attacks: Mapping[str, RobustnessReport] | None = None,
) -> RobustnessReport:
    """Rates over one record an example; see :class:`RobustnessReport` for the rules."""
    n = len(results)
    correct = sum(r.predicted == r.label for r in results)
    succeeded = [r for r in results if r.broken]
    attacked = [r for r in results if r.status in ("succeeded", "failed")]
    errors = sum(r.status == "error" for r in results)
    broken = len(succeeded)
    # Errors before a prediction could have been right; errors after it could have been successes.
    unseen = sum(r.predicted is None for r in results)
    torn = sum(r.status == "error" and r.predicted == r.label for r in results)
    tried = len(attacked)
    accuracy = correct / n if n else 0.0
    return RobustnessReport(
        n=n,
        correct=correct,
        attacked=tried,
        succeeded=broken,
        errors=errors,
        accuracy=accuracy,
        accuracy_under_attack=(correct - broken) / n if n else 0.0,
        attack_success_rate=broken / tried if tried else 0.0,
        accuracy_interval=wilson(correct, n),
        accuracy_under_attack_interval=wilson(correct - broken, n),
        attack_success_rate_interval=wilson(broken, tried),
        accuracy_bounds=_bounds(correct, correct + unseen, n),
        accuracy_under_attack_bounds=_bounds(correct - torn - broken, correct + unseen - broken, n),
        attack_success_rate_bounds=_bounds(broken, broken + torn + unseen, tried + torn + unseen),
        mean_queries=sum(r.queries for r in attacked) / tried if tried else 0.0,
        mean_changed=sum(r.changed_share for r in succeeded) / broken if broken else 0.0,
        queries=sum(r.queries for r in results),
        forward_rows=forward_rows,
        seconds=seconds,
        settings=settings,
        examples=tuple(results),
        attacks=attacks or {},
    )


def combine(results: Sequence[AttackResult]) -> AttackResult:
    """One record for one example under several attacks.

    The first that broke the example stands for all, one that also met the goal before one that
    did not; else the first error; else the first that met the goal; else the first record.
    Queries add up, the look at the unchanged input once for each attack.
    """
    rank = {"error": 2, "succeeded": 3, "failed": 4, "skipped": 5}

    def place(result: AttackResult) -> int:
        return int(result.status != "succeeded") if result.broken else rank[result.status]

    first = min(results, key=place)
    return replace(first, queries=sum(r.queries for r in results))


def _bounds(low: int, high: int, n: int) -> Interval:
    return Interval(low / n, high / n) if n else Interval(0.0, 0.0)


def _one(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else tuple(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or isinstance(value, float)


def _sides(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return isinstance(value, str) or (pair and all(isinstance(side, str) for side in value))


# What JSON has for the fields of records and reports, by their annotations.
_FITS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "int": _whole,
    "int | None": lambda value: value is None or _whole(value),
    "float": _number,
    "Interval": lambda v: isinstance(v, list) and len(v) == 2 and all(map(_number, v)),
    "Text": _sides,
    "Text | None": lambda value: value is None or _sides(value),
    "tuple[int, ...]": lambda value: isinstance(value, list) and all(map(_whole, value)),
    "tuple[AttackResult, ...]": lambda value: isinstance(value, list),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Mapping[str, RobustnessReport]": lambda value: isinstance(value, dict),
}


def _check(kind: type[AttackResult | RobustnessReport], given: Mapping[str, Any]) -> None:
    for each in fields(kind):
        value = given[each.name]
        if not _FITS[str(each.type)](value):
            raise TypeError(f"{each.name} is {value!r:.80}, expected {each.type}")


def _result(given: Mapping[str, Any]) -> AttackResult:
    _check(AttackResult, given)
    if given["status"] not in STATUSES:
        raise ValueError(f"status is {given['status']!r:.80}, expected one of {STATUSES}")
    texts = {name: _text(given[name]) for name in ("text", "perturbed")}
    return AttackResult(**{**given, **texts, "changed": tuple(given["changed"])})


def _report(given: Mapping[str, Any]) -> RobustnessReport:
    _check(RobustnessReport, given)
    ranges = {
        name: Interval(*value)
        for name, value in given.items()
        if name.endswith(("_interval", "_bounds"))
    }
    return RobustnessReport(
        **{
            **given,
            **ranges,
            "examples": tuple(_result(result) for result in given["examples"]),
            "attacks": {name: _report(report) for name, report in given["attacks"].items()},
        }
    )
