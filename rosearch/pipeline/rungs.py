"""How far a candidate is trained and attacked before it may be stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, stdev
from typing import Any

from rosearch import checks
from rosearch.attack import RobustnessEvaluator, RobustnessReport
from rosearch.attack.engine.engine import check_some_ran
from rosearch.attack.report.summary import join_attacks, join_examples, summarise
from rosearch.distill import Distiller
from rosearch.errors import ArgumentError
from rosearch.seeding import child_seed
from rosearch.student import StudentForSequenceClassification


@dataclass(frozen=True)
class Rung:
    """How far a candidate has been evaluated at the end of a rung.

    Args:
        epochs: Epochs trained, those of the rungs below included. Default: all of the distiller's.
        examples: Examples attacked, those of the rungs below included. Default: all of the
            evaluator's.
        attacks: Names of the attacks that have been run. Default: all of the evaluator's.
        trainings: Students that have been trained from different seeds and attacked, those of the
            rungs below included. Metrics are their means: one training rewards luck. On the last
            rung, where few candidates arrive, a second one costs little. An evaluation without
            rungs, as :func:`rosearch.confirm` makes, has as many as the last. Trainings that
            inherit share the parent, and so a part of its luck; if one fails, so does the
            candidate.
    """

    epochs: int | None = None
    examples: int | None = None
    attacks: Sequence[str] | None = None
    trainings: int = 1

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values, without ``trainings`` if it is 1, so that earlier studies compare equal."""
        settings = asdict(self)
        if self.trainings == 1:
            del settings["trainings"]
        return settings


def complete_rungs(
    rungs: Sequence[Rung], distiller: Distiller, attacker: RobustnessEvaluator
) -> tuple[Rung, ...]:
    """``rungs`` with every default filled in.

    Raises:
        ArgumentError: A rung asks for less than the one below or for more than there is, or the
            last is not the whole evaluation.
    """
    epochs, examples = distiller.optimization.epochs, len(attacker.indices)
    names = tuple(attack.name for attack in attacker.attacks)
    below_epochs, below_examples = 1, 1
    below_attacks: tuple[str, ...] = ()
    below_trainings = 1
    plan: list[Rung] = []
    for place, rung in enumerate(rungs):
        label = f"rungs[{place}]"
        checks.instance(label, rung, Rung, "a Rung")
        wanted = names if rung.attacks is None else tuple(rung.attacks)
        if isinstance(rung.attacks, str) or not wanted or not set(wanted) <= set(names):
            raise checks.refused(
                f"{label}.attacks", f"a list of the evaluator's attacks, {names}", rung.attacks
            )
        missing = [name for name in below_attacks if name not in wanted]
        if missing:
            raise ArgumentError(f"{label} leaves out the attack {missing[0]!r} of the rung below.")
        below_epochs = checks.whole_number(
            f"{label}.epochs", epochs if rung.epochs is None else rung.epochs, below_epochs, epochs
        )
        below_examples = checks.whole_number(
            f"{label}.examples",
            examples if rung.examples is None else rung.examples,
            below_examples,
            examples,
        )
        below_attacks = tuple(name for name in names if name in wanted)
        below_trainings = checks.whole_number(f"{label}.trainings", rung.trainings, below_trainings)
        plan.append(Rung(below_epochs, below_examples, below_attacks, below_trainings))
    if plan and replace(plan[-1], trainings=1) != Rung(epochs, examples, names):
        raise ArgumentError(
            f"The last rung must be the whole evaluation: epochs={epochs}, examples={examples}, "
            f"attacks={names}; got {plan[-1]}. Rung() is short for it."
        )
    return tuple(plan)


def training_seeds(seed: int, count: int) -> list[int]:
    """The seeds of a candidate's trainings, its own first."""
    return [seed, *(child_seed(seed, "training", number) for number in range(1, count))]


def mean_metrics(trainings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The metrics of a candidate from those of its trainings.

    Returns:
        The means; ``seconds`` of all together; of more than one training their number, as
        ``trainings``, and the standard deviations ``accuracy_std`` and
        ``accuracy_under_attack_std``.
    """
    columns = {name: [one[name] for one in trainings] for name in trainings[0]}
    # A mean of equal values may differ from them in the last digit, and break a limit by that.
    found = {k: v[0] if len(set(v)) == 1 else fmean(v) for k, v in columns.items()}
    found["seconds"] = sum(one["seconds"] for one in trainings)
    if len(trainings) > 1:
        found["trainings"] = float(len(trainings))
        for name in ("accuracy", "accuracy_under_attack"):
            found[f"{name}_std"] = stdev(one[name] for one in trainings)
    return found


def attack_rung(
    attacker: RobustnessEvaluator,
    student: StudentForSequenceClassification,
    rung: Rung,
    earlier: Mapping[str, RobustnessReport],
) -> tuple[RobustnessReport, dict[str, RobustnessReport]]:
    """Attack the examples of a rung that earlier reports do not cover.

    Args:
        attacker: The whole evaluation.
        student: The victim.
        rung: With every default filled in.
        earlier: Reports on this very student from lower rungs, by attack.

    Returns:
        The report on the rung's examples and attacks, and the report on each attack by name.

    Raises:
        EvaluationError: An attack fails on every example.
    """
    count, names = rung.examples or 0, tuple(rung.attacks or ())
    victim = attacker.victim(student)
    settings = attacker.part(0, count, attacks=names).report_settings(victim)
    reports = {}
    for name in names:
        parts = [_first(earlier[name], count)] if name in earlier else []
        done = parts[0].n if parts else 0
        if done < count:
            rest = attacker.part(done, count, attacks=[name])
            parts.append(rest.evaluate(victim, all_may_fail=True).attacks[name])
        own = {**settings, "attacks": parts[0].settings["attacks"]}
        reports[name] = join_examples(parts, own)
        check_some_ran(name, reports[name].examples)
    return join_attacks(reports, settings), reports


def _first(report: RobustnessReport, count: int) -> RobustnessReport:
    """The report on the first ``count`` of its examples."""
    if report.n <= count:
        return report
    return summarise(
        report.examples[:count],
        forward_rows=report.forward_rows,
        seconds=report.seconds,
        settings=report.settings,
    )
