"""Whether any combination of an attack's substitutions changes a victim's answer."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rosearch.attack.base import Attack
from rosearch.attack.certificates.graph_bounds import graph_margins
from rosearch.attack.certificates.reader import ModelReader, Reader, SummedScores
from rosearch.attack.certificates.text_parts import TextPart, text_parts
from rosearch.attack.certificates.word_options import UndecidedError, WordOptions, word_options
from rosearch.attack.report.results import AttackResult
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.victim import Victim
from rosearch.checks import whole_number

_BATCH = 256


@dataclass(frozen=True)
class Certificate:
    """What is known about all combinations of an attack's substitutions in one text."""

    holds: bool | None
    """Whether the answer is the true class for all of them; ``None``: unknown. Where it is false,
    some combination changes the answer, which constraints on whole texts may still forbid."""

    reason: str
    """How that is known, or why it is not."""


def certify(
    victim: Victim,
    attack: Attack,
    attacked: AttackedInput,
    label: int,
    *,
    seed: int = 0,
    limit: int = 1000,
) -> Certificate:
    """Return whether any combination of an attack's substitutions changes a victim's answer.

    Each word may become everything that the attack may put there, whatever it does to the others;
    constraints on whole texts are left out. Where the logits of a model are sums of token scores,
    the worst combination is the sum of each word's worst. Where something bounded is added to them,
    that and the bound are a lower bound. Otherwise, all combinations that the victim reads
    differently are tried, if there are few enough. Else a student's graph is bounded by interval
    arithmetic (Jia et al. 2019; Huang et al. 2019).

    Args:
        victim: A victim as of :meth:`~rosearch.attack.RobustnessEvaluator.victim`. A model with a
            method ``summed_scores`` such as a student's is known to be a sum.
        attack: The attack.
        attacked: The text or pair.
        label: The true class.
        seed: Seed of the attack's random draws.
        limit: Most combinations to try; 0: none.

    Raises:
        ArgumentError: ``limit`` is below 0, or the victim has no class ``label``.
    """
    whole_number("limit", limit, 0)
    exact = victim.exact
    try:
        if not isinstance(exact, (ModelVictim, FunctionVictim)):
            raise UndecidedError(f"a {type(exact).__name__} does not say what it reads of a word")
        classes = exact.probabilities([attacked.text]).shape[1]
        whole_number("label", label, 0, classes - 1)
        options = word_options(attack, attacked, seed=seed)
        reader = Reader.of(exact, attacked)
        parts = text_parts(options, reader.encoding, reader.read)
        if not reader.fits(parts):
            raise UndecidedError("the text may be truncated")
        return _decided(exact, reader, parts, options, label, limit)
    except UndecidedError as reason:
        return Certificate(None, str(reason))


def _decided(
    victim: Victim,
    reader: Reader,
    parts: Sequence[TextPart],
    options: WordOptions,
    label: int,
    limit: int,
) -> Certificate:
    most = options.most_changed
    is_exact = options.is_exact and all(part.is_exact for part in parts)
    if most is not None:  # which counts words, and here parts count
        is_exact = is_exact and all(part.words < 2 for part in parts)
    sums, worst = reader.summed_scores(parts), np.zeros(())
    if sums is not None:
        worst, method = sums.worst(label, most), "bound" if sums.bound else "sum"
        if worst.min() > sums.bound + sums.rounding:
            return Certificate(True, method)
        if worst.min() < -sums.bound - sums.rounding and is_exact and sums.is_exact:
            return Certificate(False, method)
    if combinations(parts, most, limit) > limit:
        if isinstance(reader, ModelReader):
            why = _by_intervals(reader, parts, label, sums, worst)
            if why is None:
                return Certificate(True, "intervals")
            raise UndecidedError(f"more than {limit} combinations, and {why}")
        raise UndecidedError(f"more than {limit} combinations")
    keys = map(reader.key, combined(parts, most))
    while batch := list(itertools.islice(keys, _BATCH)):
        if (victim.answers(batch).argmax(axis=1) != label).any():
            if not is_exact:
                raise UndecidedError("a combination that may not be possible is wrong")
            return Certificate(False, "enumeration")
    return Certificate(True, "enumeration")


def _by_intervals(
    reader: ModelReader,
    parts: Sequence[TextPart],
    label: int,
    sums: SummedScores | None,
    worst: np.ndarray,
) -> str | None:
    """Why the bounds of a student's graph do not show that all combinations are right, if so.

    ``worst`` has the smallest margins of the sums, or is zero without them.
    """
    bound, rounding = (None, 0.0) if sums is None else (sums.bound, sums.rounding)
    try:
        margins = graph_margins(reader, parts, label, bound=bound) + worst
    except UndecidedError as reason:
        return str(reason)
    if (margins > rounding).all():
        return None
    return "what the graph may answer is not known well enough"


def certified(
    results: Sequence[AttackResult], attack: Attack, victim: Victim, side: int, *, seed: int
) -> list[AttackResult]:
    """Return the results of an attack with what is known about all its combinations.

    Args:
        results: One for each example.
        attack: The attack.
        victim: The victim.
        side: Attacked text of a pair, 0 or 1.
        seed: Seed of the attack.
    """
    found = []
    for result in results:
        holds: bool | None = False
        if result.status == "error":
            holds = None
        elif result.predicted == result.label and not result.broken:
            attacked = AttackedInput(result.text, side)
            try:
                holds = certify(victim, attack, attacked, result.label, seed=seed).holds
            except Exception:  # noqa: BLE001 - as in attacks, a victim may fail on some texts
                holds = None
        found.append(replace(result, certified=holds))
    return found


def combinations(parts: Sequence[TextPart], most: int | None, limit: int) -> int:
    """Return an upper bound of the combinations of which at most ``most`` parts are changed.

    It stops counting above ``limit``.
    """
    counts = [1]  # by the number of changed parts
    for part in parts:
        same, new = len(part.unchanged), len(_new(part))
        grown = [same * count for count in [*counts, 0]]
        for k, count in enumerate(counts, start=1):
            grown[k] += new * count
        counts = grown if most is None else grown[: most + 1]
        if sum(counts) > limit:
            break
    return sum(counts)


def combined(parts: Sequence[TextPart], most: int | None) -> Iterator[tuple[Hashable, ...]]:
    """Yield every combination of readings of which at most ``most`` parts are changed."""
    changeable = [k for k, part in enumerate(parts) if _new(part)]
    if most is None or most >= len(changeable):
        yield from itertools.product(*[(*part.unchanged, *_new(part)) for part in parts])
        return
    for count in range(most + 1):
        for changed in map(frozenset, itertools.combinations(changeable, count)):
            yield from itertools.product(
                *[_new(part) if k in changed else part.unchanged for k, part in enumerate(parts)]
            )


def _new(part: TextPart) -> list[Hashable]:
    """The readings that only a changed part has."""
    return [form for form in part.changed if form not in part.unchanged]
