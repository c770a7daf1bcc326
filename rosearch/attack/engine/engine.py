"""Run one attack on many examples concurrently, with batched queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rosearch.attack.base import Attack
from rosearch.attack.engine.attack_run import AttackRun, Example, Setup
from rosearch.attack.engine.query_pool import pooled, pooled_probabilities
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.report.results import AttackResult
from rosearch.attack.resources.oracles import Ask
from rosearch.attack.victim.victim import Victim
from rosearch.checks import whole_number
from rosearch.errors import EvaluationError

# The memory of a search grows with the square of its text's length: it holds as many perturbed
# texts as there are words, each as long as the text.
_MAX_SQUARED_WORDS = 256 * 128**2


def run_attack(
    attack: Attack,
    examples: Sequence[Example],
    victim: Victim,
    *,
    goal: Goal | None = None,
    seed: int = 0,
    in_flight: int = 256,
    query_budget: int | None = None,
    attacked_side: int = 1,
    skip_truncated: bool = True,
    all_may_fail: bool = False,
    on_result: Callable[[AttackResult], object] | None = None,
    known: Mapping[int, AttackResult] = MappingProxyType({}),
) -> list[AttackResult]:
    """Attack every example that the victim classifies correctly and that does not meet the goal.

    Args:
        attack: The attack.
        examples: Inputs to attack.
        victim: The classifier.
        goal: Goal function. Default: any wrong class.
        seed: Root of all random draws. Results do not depend on the order of examples, on
            ``in_flight`` or on batches (up to the victim's rounding).
        in_flight: Searches that run concurrently, fewer if texts are longer than 128 words. More
            searches fill batches better but need more memory.
        query_budget: Maximum number of queries per example, that of the unchanged text included.
        attacked_side: Attacked text of a pair, 0 or 1.
        skip_truncated: Do not change words that the victim truncates away.
        all_may_fail: Return error records if every example failed, instead of raising.
        on_result: Called with each new result as soon as it is known.
        known: Results of an earlier run, by the example's index; these are not attacked again.

    Returns:
        One result per example, in the same order.

    Raises:
        ArgumentError: ``in_flight`` or ``query_budget`` is not a whole number from 1.
        EvaluationError: The victim or the attack fails on every example. A failure on some examples
            is recorded as their error.
    """
    whole_number("in_flight", in_flight)
    if query_budget is not None:
        whole_number("query_budget", query_budget)
    setup = Setup(
        attack,
        victim,
        goal or Untargeted(),
        seed,
        query_budget,
        attacked_side,
        skip_truncated,
        on_result,
    )
    runs = [AttackRun(example, setup) for example in examples if example.index not in known]
    _check_originals(runs, victim)
    waiting = deque(run for run in runs if run.result is None)
    active: list[AttackRun] = []
    while active or waiting:
        squared_words = sum(len(run.words) ** 2 for run in active)
        while waiting and len(active) < in_flight:
            if active and squared_words >= _MAX_SQUARED_WORDS:
                break
            run = waiting.popleft()
            run.begin()
            if run.result is None:
                active.append(run)
                squared_words += len(run.words) ** 2
        active = _answer_requests(active, victim)
        active = _answer_queries(active)
    new = iter([run.result for run in runs if run.result is not None])
    results = [known[e.index] if e.index in known else next(new) for e in examples]
    if not all_may_fail:
        cause = next((run.error for run in runs if run.error is not None), None)
        check_some_ran(attack.name, results, cause)
    return results


def check_some_ran(
    attack: str, results: Sequence[AttackResult], cause: Exception | None = None
) -> None:
    """Reject the results of an attack that never ran: they would look like a robust victim's.

    Raises:
        EvaluationError: Every example that was not skipped ended in an error.
    """
    tried = [r for r in results if r.status != "skipped"]
    if tried and all(r.status == "error" for r in tried):
        raise EvaluationError(
            f"The victim or the attack {attack!r} failed on all {len(tried)} examples; the first "
            f"error was {tried[0].error}"
        ) from cause


def _check_originals(runs: Sequence[AttackRun], victim: Victim) -> None:
    """Query all unchanged texts together, before any search.

    What a victim decides on its first texts (tokenization, kind of outputs) must not depend on how
    many searches run concurrently.
    """
    answers = pooled_probabilities([[run.example.text] for run in runs], victim.exact)
    for run, answer in zip(runs, answers, strict=True):
        run.check_original(answer)


def _answer_requests(active: list[AttackRun], victim: Victim) -> list[AttackRun]:
    """Answer oracle and gradient requests, until every remaining search waits for the victim."""
    while asking := [run for run in active if run.request is not None]:
        by_oracle: dict[int, list[AttackRun]] = {}
        for run in asking:
            by_oracle.setdefault(id(getattr(run.request, "oracle", None)), []).append(run)
        for runs in by_oracle.values():
            _receive(runs, _pooled_requests(runs, victim))
        active = _unfinished(active)
    return active


def _pooled_requests(runs: Sequence[AttackRun], victim: Victim) -> list[Any]:
    """Answer requests that all go to one oracle, or all ask for gradients."""
    requests: list[Any] = [run.request for run in runs]
    if isinstance(requests[0], Ask):
        return pooled([request.questions for request in requests], requests[0].oracle.answer)

    def gradients(inputs: list[Any]) -> list[Any]:
        texts, labels = [text for text, _ in inputs], [label for _, label in inputs]
        return list(victim.exact.gradients(texts, labels, runs[0].attacked.side))

    return pooled(
        [
            [(run.attacked.whole(text.text), run.example.label) for text in request.texts]
            for run, request in zip(runs, requests, strict=True)
        ],
        gradients,
    )


def _answer_queries(active: Sequence[AttackRun]) -> list[AttackRun]:
    """Answer the queries of all searches, by one call per victim."""
    by_victim: dict[Victim, list[AttackRun]] = {}
    for run in active:
        by_victim.setdefault(run.victim, []).append(run)
    for victim, runs in by_victim.items():
        groups = [[run.attacked.whole(text.text) for text in run.texts] for run in runs]
        _receive(runs, pooled_probabilities(groups, victim))
    return _unfinished(active)


def _receive(runs: Sequence[AttackRun], answers: Sequence[Any]) -> None:
    for run, answer in zip(runs, answers, strict=True):
        run.receive(answer)


def _unfinished(runs: Sequence[AttackRun]) -> list[AttackRun]:
    return [run for run in runs if run.result is None]
