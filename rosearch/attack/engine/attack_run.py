"""The attack on one example: its search, queries and verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from rosearch.attack.base import (
    Answer,
    AskGradients,
    Attack,
    BudgetExhausted,
    Search,
    SearchContext,
)
from rosearch.attack.goals import Goal
from rosearch.attack.report.results import AttackResult
from rosearch.attack.resources.oracles import Ask
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.victim import Victim
from rosearch.data import Text
from rosearch.errors import EvaluationError

_MAX_IDLE_STEPS = 100_000


@dataclass(frozen=True)
class Example:
    """One input to attack."""

    index: int
    """Its position in the data set, for the report."""
    text: Text
    label: int


@dataclass(frozen=True)
class Setup:
    """Settings that all searches of a run share; see :func:`run_attack`."""

    attack: Attack
    victim: Victim
    goal: Goal
    seed: int
    query_budget: int | None
    attacked_side: int
    skip_truncated: bool
    on_result: Callable[[AttackResult], object] | None


class AttackRun:
    """The attack on one example, from the unchanged text to the result.

    The engine calls :meth:`check_original` and :meth:`begin` once, and then :meth:`receive` with
    the answer to :attr:`request` or :attr:`texts`, until there is a :attr:`result`.
    """

    def __init__(self, example: Example, setup: Setup) -> None:
        self.example = example
        self.setup = setup
        self.attacked = AttackedInput(example.text, setup.attacked_side)
        self.words = self.attacked.words
        self.request: Ask | AskGradients | None = None
        """What the search waits for, unless it waits for the victim."""
        self.texts: list[Words] = []
        """Texts to query next; those the search yielded, as far as the budget allows."""
        self.result: AttackResult | None = None
        self.error: Exception | None = None
        self._search: Search
        self._original = np.empty((1, 0), np.float32)
        self._final: Words | None = None
        self._queries = 1
        self._yielded = 0
        self._seen: dict[str, bool] = {}  # queried texts, and whether they met the goal
        self._best: tuple[tuple[bool, float], Words] | None = None
        self._exact = False  # whether the search is repeated with exact answers

    @property
    def victim(self) -> Victim:
        """The victim to query about :attr:`texts`; final texts are judged by the exact one."""
        victim = self.setup.victim
        return victim.exact if self._exact or self._final is not None else victim

    def check_original(self, probabilities: np.ndarray | Exception) -> None:
        """Finish at once if the unchanged text is misclassified or already meets the goal."""
        if isinstance(probabilities, Exception):
            return self._fail(probabilities)
        self._original = probabilities
        label, classes = self.example.label, probabilities.shape[1]
        if not 0 <= label < classes:
            return self._fail(
                EvaluationError(
                    f"The label of example {self.example.index} is {label}, but the victim has "
                    f"{classes} classes, 0 to {classes - 1}."
                )
            )
        # A goal may be met by a correct prediction, or not be met by a wrong one.
        wrong = int(probabilities[0].argmax()) != label
        if wrong or self.setup.goal.judge(probabilities, label).succeeded[0]:
            self._finish("skipped")
        return None

    def begin(self) -> None:
        """Start the search."""
        setup = self.setup
        visible = range(len(self.words))
        try:
            if setup.skip_truncated:
                visible = setup.victim.visible(self.attacked, self.words)
            context = SearchContext(
                score=setup.goal.judge(self._original, self.example.label).scores[0],
                indices=tuple(visible),
                text_key=self.attacked.key,
                seed=setup.seed,
                attack=setup.attack.name,
                whole=self.example.text,
                side=setup.attacked_side,
                budget=self._budget_left(),
                probabilities=self._original[0],
            )
            self._search = setup.attack.search(self.words, context)
        except Exception as error:  # noqa: BLE001 - an attack's bug is an error of its example
            self._fail(error)
        else:
            self._advance(None)

    def receive(self, answer: Any) -> None:
        """Continue with the answer, until the next request or the result."""
        if isinstance(answer, Exception):
            self._search.close()
            self._fail(answer)
        elif self._final is not None:
            self._judge(answer)
        elif self.request is not None:
            self._advance(answer)
        else:
            judged = self.setup.goal.judge(answer, self.example.label)
            self._remember(judged)
            self._advance(replace(judged, probabilities=answer))

    def _advance(self, answer: Answer | list[Any] | None) -> None:
        """Resume the search until it needs a computation or ends."""
        name = type(self.setup.attack).__name__
        try:
            for _ in range(_MAX_IDLE_STEPS):
                if isinstance(answer, Answer) and len(answer.scores) < self._yielded:
                    wanted: Any = self._search.throw(BudgetExhausted(answer))
                else:
                    wanted = self._search.send(answer)
                answer = self._take(wanted)
                if answer is None:
                    return
            raise RuntimeError(
                f"{name}.search yielded nothing to query {_MAX_IDLE_STEPS} times in a row. It must "
                f"return to end."
            )
        except StopIteration as stop:
            self._settle(stop.value)
        except BudgetExhausted:
            self._settle(self._best[1] if self._best else self.words)
        except Exception as error:  # noqa: BLE001 - an attack's bug is an error of its example
            self._fail(error)

    def _take(self, wanted: Any) -> Answer | list[Any] | None:
        """Record what the search yielded; return the answer if it needs no computation."""
        self.request, self.texts = None, []
        if isinstance(wanted, (Ask, AskGradients)):
            self.request = wanted
            return wanted.oracle.recall(wanted.questions) if isinstance(wanted, Ask) else None
        listed = isinstance(wanted, Sequence) and not isinstance(wanted, str)
        wrong = [text for text in wanted if not isinstance(text, Words)] if listed else [wanted]
        if wrong:
            raise TypeError(
                f"{type(self.setup.attack).__name__}.search yielded {type(wrong[0]).__name__} "
                f"({wrong[0]!r:.80}). Expected a list of Words, as text.replace(...) returns them."
            )
        self._yielded = len(wanted)
        self.texts = list(wanted[: self._budget_left()])
        self._queries += len(self.texts)
        if self.texts:
            return None
        return self.setup.goal.judge(self._original[:0], self.example.label)

    def _budget_left(self) -> int | None:
        budget = self.setup.query_budget
        return None if budget is None else max(0, budget - self._queries)

    def _remember(self, judged: Answer) -> None:
        self._seen.update(zip(map(str, self.texts), judged.succeeded.tolist(), strict=True))
        if self.setup.query_budget is not None:  # the best text is needed only if it is exhausted
            place = int(np.lexsort((judged.scores, judged.succeeded))[-1])
            rank = (bool(judged.succeeded[place]), float(judged.scores[place]))
            if self._best is None or rank > self._best[0]:
                self._best = (rank, self.texts[place])

    def _settle(self, final: Any) -> None:
        """Request the verdict on the text that the search returned."""
        if not isinstance(final, Words):
            name = type(self.setup.attack).__name__
            message = f"{name}.search returned {type(final).__name__}. Expected the final Words."
            return self._fail(TypeError(message))
        new = final.text not in self._seen
        if new and self._budget_left() == 0:
            final = self.words
        self._final, self.request, self.texts = final, None, [final]
        if final.text == self.words.text:
            return self._judge(self._original)
        self._queries += new
        return None

    def _judge(self, probabilities: np.ndarray) -> None:
        """Finish with the verdict, or repeat the search if it ended on a false success."""
        succeeded = self.setup.goal.judge(probabilities, self.example.label).succeeded[0]
        believed = self._final is not None and self._seen.get(self._final.text, False)
        if believed and not succeeded and not self._exact and self.victim is not self.setup.victim:
            self._exact, self._final, self._best = True, None, None
            self._seen.clear()
            self.begin()
        else:
            self._finish("succeeded" if succeeded else "failed", probabilities)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._final = None
        self._finish("error")

    def _finish(self, status: str, probabilities: np.ndarray | None = None) -> None:
        final, error = self._final, self.error
        self.result = AttackResult(
            attack=self.setup.attack.name,
            index=self.example.index,
            text=self.example.text,
            label=self.example.label,
            predicted=int(self._original[0].argmax()) if self._original.size else None,
            status=status,
            perturbed=None if final is None else self.attacked.whole(final.text),
            perturbed_predicted=None if probabilities is None else int(probabilities[0].argmax()),
            changed=() if final is None else _changed(self.words.words, final.words),
            words=len(self.words),
            queries=self._queries,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )
        # Runs are kept for their results; a long search has thousands of texts.
        self._seen, self._best, self.texts = {}, None, []
        if self.setup.on_result is not None:
            self.setup.on_result(self.result)


def _changed(before: Sequence[str], after: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the words of ``before`` that differ in ``after``."""
    if len(before) == len(after):
        return tuple(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    # A word was split in two, or two words were joined.
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    changed: list[int] = []
    for kind, start, end, _, _ in matcher.get_opcodes():
        if kind != "equal":
            changed += range(start, max(end, start + 1))
    return tuple(i for i in changed if i < len(before))
