"""Whether any combination of an attack's substitutions changes a victim's answer."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from rosearch.attack.base import Attack
from rosearch.attack.certificates.reader import CuesChangeError, Reader
from rosearch.attack.certificates.text_parts import TextPart, text_parts
from rosearch.attack.certificates.word_options import word_options
from rosearch.attack.report.results import AttackResult
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.victim import Victim
from rosearch.checks import whole_number

_ROUNDING = 1e-4
"""Difference of two logits, summed in float32, that may be rounding."""

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
    differently are tried, if there are few enough.

    Args:
        victim: A victim as of :meth:`~rosearch.attack.RobustnessEvaluator.victim`. A model with a
            method ``summed_scores`` such as a student's is known to be a sum.
        attack: The attack.
        attacked: The text or pair.
        label: The true class.
        seed: Seed of the attack's random draws.
        limit: Most combinations to try; 0: none.

    Raises:
        ArgumentError: ``limit`` is below 0.
    """
    whole_number("limit", limit, 0)
    exact = victim.exact
    if not isinstance(exact, (ModelVictim, FunctionVictim)):
        return Certificate(None, f"a {type(exact).__name__} does not say what it reads of a word")
    options = word_options(attack, attacked, seed=seed)
    if options is None:
        return Certificate(None, f"what {attack.name} may put in a place depends on other places")
    reader = Reader.of(exact, attacked)
    parts = text_parts(options, reader.encoding, reader.read)
    if parts is None:
        return Certificate(None, "what is read of a word depends on the words beside it")
    most = len(parts) if options.most_changed is None else options.most_changed
    if not reader.fits(parts):
        return Certificate(None, "the text may be truncated")
    is_exact = all(part.is_exact for part in parts)
    try:
        sums = reader.summed_scores(parts)
    except CuesChangeError:
        sums = None
    if sums is not None:
        worst, method = sums.worst(label, most), "bound" if sums.bound else "sum"
        if worst > sums.bound + _ROUNDING:
            return Certificate(True, method)
        if worst < -sums.bound - _ROUNDING and is_exact:
            return Certificate(False, method)
    if combinations(parts, most) > limit:
        return Certificate(None, f"more than {limit} combinations")
    keys = map(reader.key, combined(parts, most))
    while batch := list(itertools.islice(keys, _BATCH)):
        if (exact.answers(batch).argmax(axis=1) != label).any():
            return Certificate(False if is_exact else None, "enumeration")
    return Certificate(True, "enumeration")


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
            holds = certify(victim, attack, attacked, result.label, seed=seed).holds
        found.append(replace(result, certified=holds))
    return found


def combinations(parts: Sequence[TextPart], most: int) -> int:
    """Return an upper bound of the combinations of which at most ``most`` parts are changed."""
    counts = [1] + [0] * min(most, len(parts))  # by the number of changed parts
    for part in parts:
        same, new = len(part.unchanged), len(set(part.changed) - set(part.unchanged))
        counts = [
            same * count + (new * counts[k - 1] if k else 0) for k, count in enumerate(counts)
        ]
    return sum(counts)


def combined(parts: Sequence[TextPart], most: int) -> Iterator[tuple[Hashable, ...]]:
    """Yield every combination of readings of which at most ``most`` parts are changed."""
    if not parts:
        yield ()
        return
    for rest in combined(parts[1:], most):
        for form in parts[0].unchanged:
            yield (form, *rest)
    if most:
        for rest in combined(parts[1:], most - 1):
            for form in set(parts[0].changed) - set(parts[0].unchanged):
                yield (form, *rest)
