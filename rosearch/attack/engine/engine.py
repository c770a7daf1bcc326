"""Runs many searches side by side and answers them from common batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import torch

from rosearch.attack.base import (
    Answer,
    AskGradients,
    Attack,
    BudgetExhausted,
    Search,
    SearchContext,
)
from rosearch.attack.engine.consulting import Question, consult
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.report.results import AttackResult
from rosearch.attack.resources.oracles import Ask
from rosearch.attack.settings import check_whole
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.victim import OutputsError, Victim
from rosearch.data import Text
from rosearch.errors import EvaluationError

_MOST_IDLE_YIELDS = 10_000
# What searches hold grows with the square of a text's length: as many texts as words, each as long.
_MOST_SQUARED_WORDS = 256 * 128**2


@dataclass(frozen=True)
class Example:
    """One input to be attacked."""

    index: int
    """Its position in the data set, for the report."""
    text: Text
    label: int


@dataclass(slots=True)
class _Run:
    """A search under way."""

    position: int
    example: Example
    attacked: AttackedInput
    words: Words
    start: np.ndarray
    """Probabilities of the unchanged input, shape ``(1, classes)``."""
    search: Search | None = None
    wanted: Sequence[Words] = ()
    """What the search has yielded last."""
    asked: list[Words] = field(default_factory=list)
    """The part of it that the budget still pays for."""
    queries: int = 1
    best: tuple[bool, float, Words] | None = None
    seen: dict[str, bool] = field(default_factory=dict)
    """Texts asked about, and whether they met the goal."""
    believed: bool = False
    """Whether the text settled on was said to meet the goal."""
    final: Words | None = None
    probe: bool = True
    """Whether the next texts are the first of this search."""
    exact: bool = False
    """Whether all answers are to be exact, because a screening victim has erred."""
    asking: Ask | AskGradients | None = None
    """What the search waits for, if that is not the victim's answer to :attr:`asked`."""


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
) -> list[AttackResult]:
    """Attack every example that the victim gets right and that does not meet the goal yet.

    Args:
        attack: The attack.
        examples: What to attack.
        victim: The classifier.
        goal: What counts as success. Default: any wrong class.
        seed: Root of all randomness; results do not depend on the order of examples, on
            ``in_flight`` or on batches (up to rounding of the victim).
        in_flight: Searches that run side by side, fewer of texts over 128 words. More fill batches
            better and hold more memory.
        query_budget: Most logical queries of one example, the first look at it included.
        attacked_side: Which text of a pair is attacked: 0 the first, 1 the second.
        skip_truncated: Leave words alone that the victim does not get to read.
        all_may_fail: Return records of errors where every example failed, instead of raising.
        on_result: Called with every result as it comes.

    Returns:
        One result an example, in the order given.

    Raises:
        DataError: ``in_flight`` or ``query_budget`` is no whole number from 1.
        EvaluationError: The victim or the attack fails on every example. What fails on some
            becomes these examples' error.
    """
    in_flight = check_whole("in_flight", in_flight)
    if query_budget is not None:
        query_budget = check_whole("query_budget", query_budget)
    engine = _Engine(
        attack, victim, goal or Untargeted(), seed, query_budget, skip_truncated, on_result
    )
    return engine.run(examples, in_flight, attacked_side, all_may_fail)


def check_some_ran(
    attack: str, results: Sequence[AttackResult], cause: Exception | None = None
) -> None:
    """Refuse results of an attack that never ran: its rates would be those of a robust victim.

    Raises:
        EvaluationError: Every example that was to be attacked ended in an error.
    """
    tried = [r for r in results if r.status != "skipped"]
    if tried and all(r.status == "error" for r in tried):
        raise EvaluationError(
            f"The attack {attack!r} failed on every one of {len(tried)} examples; "
            f"the first failure was {tried[0].error}"
        ) from cause


class _Engine:
    def __init__(
        self,
        attack: Attack,
        victim: Victim,
        goal: Goal,
        seed: int,
        query_budget: int | None,
        skip_truncated: bool,
        on_result: Callable[[AttackResult], object] | None,
    ) -> None:
        self.attack = attack
        self.victim = victim
        self.goal = goal
        self.seed = seed
        self.budget = query_budget
        self.skip_truncated = skip_truncated
        self.on_result = on_result
        self.results: dict[int, AttackResult] = {}
        self.first_error: Exception | None = None

    def run(
        self, examples: Sequence[Example], in_flight: int, side: int, all_may_fail: bool
    ) -> list[AttackResult]:
        # The unchanged inputs come first and together, whatever is in flight later: what is
        # decided on them (tokenisation, kind of outputs) is then the same for every in_flight.
        self._verify([example.text for example in examples])
        starts = self._ask([[example.text] for example in examples], self.victim.exact)
        failures = [start for start in starts if isinstance(start, Exception)]
        if examples and len(failures) == len(examples) and not all_may_fail:
            raise EvaluationError(
                f"The victim fails on every one of {len(examples)} unchanged texts: {failures[0]}"
            ) from failures[0]
        queue: deque[_Run] = deque()
        for position, (example, start) in enumerate(zip(examples, starts, strict=True)):
            attacked = AttackedInput(example.text, side)
            run = _Run(position, example, attacked, attacked.words, np.empty((1, 0), np.float32))
            if isinstance(start, Exception):
                self._fail(run, start)
                continue
            run.start = start
            if not 0 <= example.label < start.shape[1]:
                self._fail(run, _unknown_label(example, start.shape[1]))
                continue
            # A goal other than the default may ask for more than a wrong class, or for less.
            wrong = int(start[0].argmax()) != example.label
            if wrong or self.goal.judge(start, example.label).succeeded[0]:
                self._finish(run, "skipped")
            else:
                queue.append(run)
        active: list[_Run] = []
        while active or queue:
            held = sum(len(run.words) ** 2 for run in active)
            while queue and len(active) < in_flight and (held < _MOST_SQUARED_WORDS or not active):
                run = queue.popleft()
                held += len(run.words) ** 2
                if self._begin(run):
                    active.append(run)
            active = self._consult(active)
            self._verify_firsts(active)
            active = [
                run
                for run, answer in zip(active, self._answers(active), strict=True)
                if self._deliver(run, answer)
            ]
        results = [self.results[position] for position in range(len(examples))]
        if not all_may_fail:
            check_some_ran(self.attack.name, results, self.first_error)
        return results

    def _answers(self, active: Sequence[_Run]) -> list[np.ndarray | Exception]:
        """The victim's answers to what each search asks; exact ones to what is to be judged."""
        answers: list[np.ndarray | Exception | None] = [None] * len(active)
        for exact in (False, True):
            places = [i for i, run in enumerate(active) if self._needs_exact(run) == exact]
            victim = self.victim.exact if exact else self.victim
            groups = [active[i].attacked.wholes(active[i].asked) for i in places]
            for place, answer in zip(places, self._ask(groups, victim), strict=True):
                answers[place] = answer
        return [answer for answer in answers if answer is not None]

    def _needs_exact(self, run: _Run) -> bool:
        return self.victim.exact is not self.victim and (run.exact or run.final is not None)

    def _ask(self, groups: Sequence[list[Text]], victim: Victim) -> list[np.ndarray | Exception]:
        """Probabilities for each group of texts, or what went wrong with it."""
        if not groups:
            return []
        try:
            flat = victim.probabilities([text for group in groups for text in group])
        except (MemoryError, torch.OutOfMemoryError, OutputsError):
            raise
        except Exception as error:  # noqa: BLE001 - one bad text must not end the run
            if len(groups) <= 1:
                return [error for _ in groups]
            # One text may have spoilt the batch: ask again, group by group.
            return [answer for group in groups for answer in self._ask([group], victim)]
        answers: list[np.ndarray | Exception] = []
        start = 0
        bad = np.isnan(flat).any()
        for group in groups:
            part = flat[start : start + len(group)]
            start += len(group)
            if bad and np.isnan(part).any():
                text = group[int(np.isnan(part).any(axis=1).argmax())]
                answers.append(EvaluationError(f"The victim gives NaN for {text!r:.200}."))
            else:
                answers.append(part)
        return answers

    def _verify(self, texts: list[Text]) -> None:
        try:
            self.victim.verify(texts)
        except Exception:  # noqa: BLE001 - a text that cannot be read gets its error when asked
            for text in texts if len(texts) > 1 else ():
                self._verify([text])

    def _verify_firsts(self, active: Sequence[_Run]) -> None:
        """Check the victim's assumptions on one perturbed text of every search."""
        firsts = []
        for run in active:
            if run.probe and run.asked:
                run.probe = False
                firsts.append(run.attacked.whole(run.asked[-1].text))
        if firsts:
            self._verify(firsts)

    def _begin(self, run: _Run) -> bool:
        """Start a search; whether it has something to ask."""
        visible = range(len(run.words))
        try:
            if self.skip_truncated:
                visible = self.victim.visible(run.attacked, run.words)
            text = run.example.text
            context = SearchContext(
                score=self.goal.judge(run.start, run.example.label).scores[0],
                indices=tuple(visible),
                text_key=text if isinstance(text, str) else "\0".join(text),
                seed=self.seed,
                attack=self.attack.name,
                whole=text,
                side=run.attacked.side,
                budget=None if self.budget is None else self.budget - run.queries,
                probabilities=run.start[0],
            )
            run.search = self.attack.search(run.words, context)
        except Exception as error:  # noqa: BLE001 - an author's bug is that example's error
            return self._fail(run, error)
        return self._advance(run, None)

    def _deliver(self, run: _Run, answer: np.ndarray | Exception) -> bool:
        """Hand the victim's answer to a search; whether it goes on."""
        if isinstance(answer, Exception):
            if run.search is not None:
                run.search.close()
            return self._fail(run, answer)
        if run.final is not None:
            return self._judge(run, answer)
        judged = replace(self.goal.judge(answer, run.example.label), probabilities=answer)
        self._remember(run, judged)
        return self._advance(run, judged)

    def _consult(self, active: Sequence[_Run]) -> list[_Run]:
        """Answer what searches ask of oracles, pooled, until all that go on want the victim."""
        active = list(active)
        while asking := [run for run in active if run.asking is not None]:
            questions = [
                Question(run.asking, run.attacked, run.example.label)
                for run in asking
                if run.asking is not None
            ]
            answers = consult(questions, self.victim.exact)
            done = {
                id(run)
                for run, answer in zip(asking, answers, strict=True)
                if not self._reply(run, answer)
            }
            active = [run for run in active if id(run) not in done]
        return active

    def _reply(self, run: _Run, answer: list[Any] | Exception) -> bool:
        """Hand an oracle's answer to a search; whether it goes on."""
        run.asking = None
        if isinstance(answer, Exception):
            if run.search is not None:
                run.search.close()
            return self._fail(run, answer)
        return self._advance(run, answer)

    def _advance(self, run: _Run, answer: Answer | list[Any] | None) -> bool:
        """Let the search go on until it asks something that must be computed."""
        search = run.search
        if search is None:
            raise RuntimeError("A search was advanced before it began.")
        try:
            wanted: Any = _resume(search, run, answer)
            idle = 0
            while True:
                if isinstance(wanted, (Ask, AskGradients)):
                    known = (
                        wanted.oracle.recall(wanted.questions) if isinstance(wanted, Ask) else None
                    )
                    if known is None:
                        run.asking = wanted
                        return True
                    wanted = search.send(known)
                    continue
                if self._want(run, wanted):
                    break
                idle += 1
                if idle > _MOST_IDLE_YIELDS:
                    raise RuntimeError(
                        f"{type(self.attack).__name__}.search yielded nothing to ask "
                        f"{idle} times in a row. It must return to end."
                    )
                empty = self.goal.judge(run.start[:0], run.example.label)
                if len(wanted) == 0:
                    wanted = search.send(empty)
                else:
                    wanted = search.throw(BudgetExhausted(empty))
        except StopIteration as stop:
            return self._settle(run, stop.value)
        except BudgetExhausted:
            return self._settle(run, run.best[2] if run.best else run.words)
        except Exception as error:  # noqa: BLE001 - an author's bug is that example's error
            return self._fail(run, error)
        return True

    def _want(self, run: _Run, wanted: Any) -> bool:
        """Note what a search asks for; whether any of it is left to compute."""
        listed = isinstance(wanted, Sequence) and not isinstance(wanted, str)
        odd = [text for text in wanted if not isinstance(text, Words)] if listed else [wanted]
        if odd:
            raise TypeError(
                f"{type(self.attack).__name__}.search yielded {type(odd[0]).__name__} "
                f"({odd[0]!r:.80}). Expected a list of Words, as text.replace(...) makes them."
            )
        run.wanted = wanted
        run.asked = list(wanted)
        if self.budget is not None:
            run.asked = run.asked[: max(0, self.budget - run.queries)]
        run.queries += len(run.asked)
        return bool(run.asked)

    def _remember(self, run: _Run, judged: Answer) -> None:
        run.seen.update(zip(map(str, run.asked), judged.succeeded.tolist(), strict=True))
        if self.budget is None:
            return
        # Only a search cut short by its budget falls back on this.
        order = np.lexsort((judged.scores, judged.succeeded))
        place = int(order[-1])
        found = (bool(judged.succeeded[place]), float(judged.scores[place]), run.asked[place])
        if run.best is None or found[:2] > run.best[:2]:
            run.best = found

    def _settle(self, run: _Run, final: Any) -> bool:
        """Judge the text a search returned; whether that needs another answer."""
        if not isinstance(final, Words):
            return self._fail(
                run,
                TypeError(
                    f"{type(self.attack).__name__}.search returned {type(final).__name__}. "
                    f"Expected the Words to be judged."
                ),
            )
        run.final = final
        run.search = None
        text = final.text
        run.believed = run.seen.get(text, False)
        if text == run.words.text:
            return self._judge(run, run.start)
        if text not in run.seen:
            if self.budget is not None and run.queries >= self.budget:
                run.final = run.words
                return self._judge(run, run.start)
            run.queries += 1
        run.asked = [final]
        return True

    def _judge(self, run: _Run, answer: np.ndarray) -> bool:
        verdict = self.goal.judge(answer, run.example.label)
        if self._needs_exact(run) and not run.exact and run.believed and not verdict.succeeded[0]:
            # The search ended on a success that was none: it begins again with exact answers, on
            # what is left of its budget.
            run.exact, run.final, run.best = True, None, None
            run.seen.clear()
            return self._begin(run)
        self._finish(run, "succeeded" if verdict.succeeded[0] else "failed", answer)
        return False

    def _finish(
        self,
        run: _Run,
        status: str,
        answer: np.ndarray | None = None,
        error: Exception | None = None,
    ) -> None:
        final = None if error is not None else run.final
        result = AttackResult(
            attack=self.attack.name,
            index=run.example.index,
            text=run.example.text,
            label=run.example.label,
            predicted=int(run.start[0].argmax()) if run.start.size else None,
            status=status,
            perturbed=None if final is None else run.attacked.whole(final.text),
            perturbed_predicted=None if answer is None else int(answer[0].argmax()),
            changed=() if final is None else _changed(run.words.words, final.words),
            words=len(run.words),
            queries=run.queries,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )
        self.results[run.position] = result
        if self.on_result is not None:
            self.on_result(result)

    def _fail(self, run: _Run, error: Exception) -> bool:
        self.first_error = self.first_error or error
        self._finish(run, "error", error=error)
        return False


def _unknown_label(example: Example, classes: int) -> EvaluationError:
    return EvaluationError(
        f"The label of example {example.index} is {example.label}; the victim tells {classes} "
        f"classes apart, 0 to {classes - 1}."
    )


def _resume(search: Search, run: _Run, answer: Answer | list[Any] | None) -> Any:
    if answer is None:
        return next(search)
    if isinstance(answer, Answer) and len(answer.scores) < len(run.wanted):
        return search.throw(BudgetExhausted(answer))
    return search.send(answer)


def _changed(before: Sequence[str], after: Sequence[str]) -> tuple[int, ...]:
    """Indices of the words of ``before`` that ``after`` does not have in their place."""
    if len(before) == len(after):
        return tuple(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    # A word was split in two, or two became one.
    changed: list[int] = []
    for kind, start, end, _, _ in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            changed += range(start, max(end, start + 1))
    return tuple(i for i in changed if i < len(before))
