"""One search of TextAttack's, stopped at each question to the victim and resumed with its answer.

TextAttack's code is sequential and asks its victim by a function call. A greenlet is a call stack
that can be left in the middle: the model call leaves it with the texts, and the engine comes back
with the answer. Everything stays in one thread, so nothing can deadlock, searches in flight cost
no thread each, and models that constraints use see one caller at a time.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.textattack.loading import GeneratorStates, seed_generators
from rosearch.errors import EvaluationError

_STEP = threading.RLock()
"""Held while TextAttack's code runs: the global random generators are one search's then, and
models that constraints share have one caller at a time."""
_COLUMNS = ("first", "second")
_STUBBORN = 100


@dataclass(frozen=True)
class _Question:
    texts: list[Any]


class Run:
    """One search under way.

    Args:
        attack: A TextAttack attack without a victim; it is copied, its parts are shared.
        text: The attacked side of the input.
        context: What the engine knows about it.
    """

    def __init__(self, attack: Any, text: Words, context: SearchContext) -> None:
        self._attack = attack
        self._text = text
        self._context = context
        self._states: GeneratorStates | None = None
        self._greenlet: Any = None
        self._closed = False

    def steps(self) -> Search:
        """The search as the engine runs it."""
        try:
            out = self._resume(None)
            while isinstance(out, _Question):
                wanted = [Words.of(self._side(text)) for text in out.texts]
                try:
                    answer = yield wanted
                except BudgetExhausted as exhausted:
                    answer = exhausted.answer
                out = self._resume(answer)
            return Words.of(self._side(out))
        finally:
            self._close()

    def _resume(self, answer: Answer | None) -> Any:
        """Run TextAttack's code up to its next question, or to its end."""
        if answer is not None:
            return self._step(lambda: self._greenlet.switch(answer))
        return self._step(self._start)

    def _start(self) -> Any:
        from greenlet import greenlet

        seed_generators(int(self._context.rng("textattack").integers(1 << 32)))
        self._greenlet = greenlet(self._search)
        return self._greenlet.switch()

    def _step(self, step: Callable[[], Any]) -> Any:
        """Enter TextAttack's code, under this search's own random generators."""
        from greenlet import getcurrent

        with _STEP:
            users = GeneratorStates.now()
            try:
                if self._greenlet is not None:
                    self._greenlet.parent = getcurrent()
                if self._states is not None:
                    self._states.restore()
                out = step()
                self._states = GeneratorStates.now()
                return out
            finally:
                users.restore()

    def _close(self) -> None:
        """End a search that was left in the middle."""
        from greenlet import GreenletExit

        self._closed = True
        for _ in range(_STUBBORN):
            if self._greenlet is None or self._greenlet.dead:
                return
            self._step(lambda: self._greenlet.throw(GreenletExit))

    def _search(self) -> Any:
        """What runs in the greenlet: TextAttack's search, from the unchanged text to the last."""
        from textattack.shared import AttackedText

        attack = self._own_copy()
        goal = attack.goal_function
        attacked = AttackedText(self._input())
        initial = goal.initial(attacked, float(self._context.score), self._context.probabilities)
        return attack.search_method(initial).attacked_text

    def _ask(self, texts: Sequence[Any]) -> Answer:
        """Called within the greenlet; leaves it until the answer is there."""
        from greenlet import GreenletExit, getcurrent

        if self._closed:
            raise GreenletExit
        answer: Answer = getcurrent().parent.switch(_Question(list(texts)))
        return answer

    def _own_copy(self) -> Any:
        """The attack with a goal, a search method and caches of this search.

        They hold what belongs to one example. Transformations and constraints are shared:
        they may be large, and their own caches go by the text.
        """
        from textattack import Attack

        from rosearch.attack.textattack.parts import OnlyWords, PooledGoal

        # TextAttack's method of that name leaves out the caches, and makes new ones.
        attack = copy.copy(self._attack)
        limits = [attack.goal_function.query_budget]
        if self._context.budget is not None:
            limits.append(self._context.budget + 1)
        goal = PooledGoal(self._ask, min(limits))
        search = copy.copy(attack.search_method)
        attack.goal_function, attack.search_method = goal, search
        attack.pre_transformation_constraints = list(attack.pre_transformation_constraints)
        allowed = self._allowed()
        if allowed is not None:
            attack.pre_transformation_constraints.append(OnlyWords(allowed))
        # As the constructor of TextAttack's Attack does it.
        search.goal_function = goal
        search.get_goal_results = goal.get_results
        for name in ("get_transformations", "get_indices_to_order", "filter_transformations"):
            setattr(search, name, getattr(attack, name))
        if not isinstance(attack, Attack):
            raise EvaluationError(f"Copying a TextAttack attack gave a {type(attack).__name__}.")
        return attack

    def _input(self) -> Any:
        whole = self._context.whole
        if not isinstance(whole, tuple):
            return self._text.text
        return OrderedDict(zip(_COLUMNS, whole, strict=True))

    def _allowed(self) -> list[int] | None:
        """Words that may be changed, counted through both columns; ``None``: all."""
        indices, whole = self._context.indices, self._context.whole
        if not isinstance(whole, tuple):
            return None if len(indices) == len(self._text) else list(indices)
        before = len(Words.of(whole[0])) if self._context.side else 0
        return [before + index for index in indices]

    def _side(self, attacked: Any) -> str:
        """The attacked side of a text of TextAttack's."""
        given = attacked.tokenizer_input
        if isinstance(given, str):
            return given
        whole, side = self._context.whole, self._context.side
        if given[1 - side] != whole[1 - side]:
            raise EvaluationError(
                f"TextAttack changed the side of a pair that is not attacked: "
                f"{given[1 - side]!r:.200}."
            )
        text: str = given[side]
        return text
