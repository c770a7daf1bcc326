"""Texts that broke earlier victims, tried on the next one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rosearch.attack.base import Attack, Search, SearchContext
from rosearch.attack.engine import Example, run_attack
from rosearch.attack.results import Interval, RobustnessReport, summarise
from rosearch.attack.settings import check_whole
from rosearch.attack.text import Words, check_side
from rosearch.attack.victim import make_victim
from rosearch.data import Text
from rosearch.errors import DataError


@dataclass(frozen=True)
class Replayed:
    """One example and what has broken it."""

    index: int
    """Its position in the data set."""
    text: Text
    """The input as it was."""
    label: int
    """The true class."""
    perturbed: tuple[Text, ...] = ()
    """Inputs that some victim got wrong although it was right about :attr:`text`; the oldest
    first."""


@dataclass(frozen=True)
class TransferReport:
    """How a victim takes what broke others. Nothing was attacked for it."""

    n: int
    """Examples."""
    correct: int
    """Right on the unchanged input."""
    fooled: int
    """Right on the unchanged input and wrong on a replayed perturbation of it."""
    errors: int
    """Examples on which the victim failed; they count as not fooled in the rates."""
    perturbations: int
    """Replayed texts in all."""
    accuracy: float
    """``correct / n``."""
    transfer_accuracy: float
    """Share of all examples that the victim gets right together with all their perturbations.

    It is no accuracy under attack: nobody searched for what breaks this victim. Every text that
    fools it is one that an attack under the same constraints was free to find.
    """
    transfer_accuracy_interval: Interval
    """95 % Wilson score interval."""
    transfer_accuracy_bounds: Interval
    """Least and most that the rate can be, whatever the examples in error would have been."""
    forward_rows: int
    """Rows that the victim computed."""
    seconds: float
    """Wall time, in seconds."""

    def __str__(self) -> str:
        low, high = self.transfer_accuracy_interval
        text = (
            f"accuracy {self.accuracy:.1%}, transfer accuracy {self.transfer_accuracy:.1%} "
            f"(95 %: {low:.1%} to {high:.1%}) on {self.perturbations} replayed texts, n = {self.n}"
        )
        return text + (f", {self.errors} errors" if self.errors else "")


@dataclass(frozen=True)
class Replay:
    """Perturbations that succeeded, as a first screen for the next candidates of a search.

    Trying them costs one row each, in full batches, where an attack takes a hundred queries an
    example::

        replay = Replay.from_reports(*(trial_report for trial_report in finished))
        if replay.evaluate(student).transfer_accuracy < 0.2:
            ...  # not worth an attack

    Immutable: :meth:`with_report` gives a larger one. Candidates that are to be compared must
    face the same one.
    """

    examples: tuple[Replayed, ...]
    """By index."""
    attacked_side: int = 1
    """Which text of a pair was attacked."""

    @classmethod
    def from_reports(cls, *reports: RobustnessReport, most: int | None = None) -> Replay:
        """What broke the victims of some reports on the same data set.

        Examples that nothing has broken are in it too: the victim has to get them right.

        Args:
            reports: The reports, oldest first.
            most: Most perturbations of one example; the latest stay. Default: all.

        Raises:
            DataError: No report is given, two disagree about an example or the attacked side, or
                ``most`` is no whole number from 1.
        """
        if not reports:
            raise DataError("Replay.from_reports takes one report at least, got none.")
        replay = cls((), _side(reports[0]))
        for report in reports:
            replay = replay.with_report(report, most=most)
        return replay

    def with_report(self, report: RobustnessReport, *, most: int | None = None) -> Replay:
        """This and what broke another victim; see :meth:`from_reports`."""
        if most is not None:
            most = check_whole("most", most)
        if _side(report) != self.attacked_side:
            raise DataError(
                f"This replay attacks side {self.attacked_side} of a pair, the report side "
                f"{_side(report)}. Keep a replay for each."
            )
        known = {example.index: example for example in self.examples}
        for part in report.attacks.values() or (report,):
            for result in part.examples:
                old = known.get(result.index, Replayed(result.index, result.text, result.label))
                if (old.text, old.label) != (result.text, result.label):
                    raise DataError(
                        f"Example {result.index} is {old.text!r:.80} (class {old.label}) in one "
                        f"report and {result.text!r:.80} (class {result.label}) in another. "
                        f"Replay reports on the same data set only."
                    )
                found = dict.fromkeys(old.perturbed)
                if result.broken and result.perturbed is not None:
                    found[result.perturbed] = None
                latest = tuple(found)[-most if most else 0 :]
                known[result.index] = Replayed(old.index, old.text, old.label, latest)
        return Replay(tuple(known[index] for index in sorted(known)), self.attacked_side)

    def evaluate(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        max_length: int | None = None,
        token_budget: int | None = None,
    ) -> TransferReport:
        """Try the perturbations on a victim, all at once.

        Args:
            model: As for :meth:`rosearch.RobustnessEvaluator.evaluate`.
            tokenizer: As there.
            max_length: As for :class:`rosearch.RobustnessEvaluator`.
            token_budget: As there.

        Raises:
            DataError: There is no example, or the model has no tokenizer.
            EvaluationError: The victim fails on every example.
        """
        begun = time.perf_counter()
        if not self.examples:
            raise DataError("This replay holds no example; make it from reports.")
        victim = make_victim(model, tokenizer, max_length=max_length, token_budget=token_budget)
        rows = victim.forward_rows
        results = run_attack(
            _Repetition(self),
            [Example(e.index, e.text, e.label) for e in self.examples],
            victim,
            in_flight=len(self.examples),
            attacked_side=self.attacked_side,
            skip_truncated=False,
        )
        rates = summarise(results, forward_rows=0, seconds=0.0, settings={})
        return TransferReport(
            n=rates.n,
            correct=rates.correct,
            fooled=rates.succeeded,
            errors=rates.errors,
            perturbations=sum(len(e.perturbed) for e in self.examples),
            accuracy=rates.accuracy,
            transfer_accuracy=rates.accuracy_under_attack,
            transfer_accuracy_interval=rates.accuracy_under_attack_interval,
            transfer_accuracy_bounds=rates.accuracy_under_attack_bounds,
            forward_rows=victim.forward_rows - rows,
            seconds=time.perf_counter() - begun,
        )

    def to_json(self) -> str:
        """Everything, as a JSON object; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Replay:
        """The replay that :meth:`to_json` wrote.

        Raises:
            DataError: ``text`` is no JSON, or not that of a replay.
        """
        try:
            given = json.loads(text)
            examples = tuple(_replayed(example) for example in given["examples"])
            return cls(examples, check_side(given["attacked_side"]))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(
                f"Expected the JSON object that Replay.to_json wrote; it cannot be read: "
                f"{type(error).__name__}: {error}."
            ) from error

    def __repr__(self) -> str:
        count = sum(len(example.perturbed) for example in self.examples)
        return f"Replay({len(self.examples)} examples, {count} perturbations)"


class _Repetition(Attack):
    """Asks about stored perturbations, all at once."""

    name = "replay"

    def __init__(self, replay: Replay) -> None:
        self._texts: dict[str, list[Words]] = {}
        for example in replay.examples:
            key = example.text if isinstance(example.text, str) else "\0".join(example.text)
            variants = [
                p if isinstance(p, str) else p[replay.attacked_side] for p in example.perturbed
            ]
            self._texts.setdefault(key, []).extend(map(Words.of, variants))

    def search(self, text: Words, context: SearchContext) -> Search:
        stored = self._texts[context.text_key]
        if not stored:
            return text
        answer = yield stored
        return stored[int(answer.succeeded.argmax())] if answer.succeeded.any() else text


def _side(report: RobustnessReport) -> int:
    return check_side(report.settings.get("attacked_side", 1))


def _replayed(given: Mapping[str, Any]) -> Replayed:
    return Replayed(
        int(given["index"]),
        _text(given["text"]),
        int(given["label"]),
        tuple(map(_text, given["perturbed"])),
    )


def _text(value: Any) -> Text:
    if isinstance(value, str):
        return value
    first, second = value
    if not isinstance(first, str) or not isinstance(second, str):
        raise TypeError("a text is a string or two")
    return (first, second)
