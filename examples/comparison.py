"""Test victims on unseen examples, each once, and write what is found as a table and a report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rosearch as rs


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table, measured on the test examples.

    Attributes:
        name: The victim.
        accuracy: On all test examples.
        report: On those that are attacked.
        metrics: ``parameters``, ``compression`` and ``seconds``, for the report.
    """

    name: str
    accuracy: float
    report: rs.RobustnessReport
    metrics: Mapping[str, float]


class Comparison:
    """What victims do on test examples, kept in a folder so that each is attacked once.

    Args:
        folder: Where results are kept.
        test: The examples that accuracy is measured on.
    """

    def __init__(self, folder: Path, test: rs.TextDataset) -> None:
        self.folder = folder
        self.test = test
        self.rows: list[Row] = []

    def add(
        self,
        name: str,
        key: Any,
        judge: rs.RobustnessEvaluator,
        victim: Callable[[], Any],
        accuracy: Callable[[Any], float],
        metrics: Mapping[str, float],
    ) -> None:
        """Attack a victim, unless an earlier run has.

        Args:
            name: Of the row.
            key: Whatever tells the victim from others, as JSON values.
            judge: Attacks it.
            victim: Makes it, where it is attacked now.
            accuracy: Measures it on all test examples.
            metrics: Parameters, compression and seconds.
        """
        text = json.dumps([key, judge.settings], sort_keys=True, default=str)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            report = rs.RobustnessReport.from_json(kept["report"])
            self.rows.append(Row(name, kept["accuracy"], report, metrics))
            return
        model = victim()
        row = Row(name, accuracy(model), judge.evaluate(model), metrics)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        kept = {"accuracy": row.accuracy, "report": row.report.to_json()}
        scratch.write_text(json.dumps(kept), encoding="utf-8")
        scratch.replace(path)
        under = row.report.accuracy_under_attack
        print(f"  {name}: {row.accuracy:.1%}, under attack {under:.1%}", flush=True)
        self.rows.append(row)

    def table(self, attacks: Sequence[str]) -> list[list[str]]:
        """The header and a line a victim, and the constant classifier's: per cent, but for sizes.

        Args:
            attacks: Names of the attacks.
        """
        several = len(attacks) > 1
        together = [f"all {len(attacks)}" if len(attacks) > 2 else "both"] * several
        header = [
            "victim", "accuracy", *[f"under {name}" for name in (*attacks, *together)],
            "95 % interval", "worst class", "certified", "attacked", "size", "compression",
            "seconds",
        ]  # fmt: skip
        classes = len(self.test.classes)
        lines = [header]
        for row in self.rows:
            report = row.report
            each = [report.attacks.get(name, report).accuracy_under_attack for name in attacks]
            low, high = report.accuracy_under_attack_interval
            rates = [row.accuracy, *each, *[report.accuracy_under_attack] * several]
            certified = report.certified
            lines.append(
                [
                    row.name,
                    *[f"{100 * rate:.1f}" for rate in rates],
                    f"{100 * low:.1f} to {100 * high:.1f}",
                    f"{100 * report.worst_class(classes):.1f}",
                    "-" if certified is None else f"{100 * certified:.1f}",
                    str(report.n),
                    f"{row.metrics['parameters'] / 1e6:.2f} M",
                    f"{row.metrics['compression']:.1f}x",
                    f"{row.metrics['seconds']:.0f}",
                ]
            )
        lines.append(self._constant(len(attacks) + several))
        return lines

    def _constant(self, columns: int) -> list[str]:
        """The line of the classifier that always answers the most frequent class."""
        answer = statistics.mode(self.test.labels.tolist())
        attacked = [example.label == answer for example in self.rows[-1].report.examples]
        under = f"{100 * statistics.fmean(attacked):.1f}"
        accuracy = f"{100 * self.test.majority_share:.1f}"
        rates = [accuracy, *[under] * columns, "-", "0.0", under]
        return ["constant classifier", *rates, str(len(attacked)), "-", "-", "-"]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines as a table in columns."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    shown = []
    for line in lines:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *[cell.rjust(width) for cell, width in others]]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Lines as a table in Markdown."""
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([shown[0], "|---" + "|--:" * (len(lines[0]) - 1) + "|", *shown[1:]])
