"""Running a search of TextAttack step by step, paused at each query and resumed with the answer.

TextAttack's code is sequential and queries its victim by a function call. A greenlet is a call
stack that can be paused: the query pauses it and hands the texts to the engine, which resumes it
with the answer. All searches run in one thread, so there are no deadlocks, a paused search costs no
thread, and the models of constraints have one caller at a time.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.textattack.loading import (
    generator_states,
    restore_generators,
    seed_generators,
)
from rosearch.errors import EvaluationError

_STEP = threading.RLock()
"""Held while TextAttack's code runs, since it uses the global random generators, and constraints
share models."""
_COLUMNS = ("first", "second")


class Run:
    """One running search.

    Args:
        attack: A TextAttack attack without a victim; it is copied, but its parts are shared.
        text: The attacked side of the input.
        context: The context of the search.
    """

    def __init__(self, attack: Any, text: Words, context: SearchContext) -> None:
        self._attack = attack
        self._text = text
        self._context = context
        self._states: tuple[Any, ...] | None = None
        self._greenlet: Any = None
        self._closed = False

    def steps(self) -> Search:
        """The search as the engine runs it."""
        from greenlet import greenlet

        self._greenlet = greenlet(self._search)
        try:
            out = self._enter("switch")
            while isinstance(out, list):  # of texts to query
                try:
                    answer = yield [Words.of(self._side(text)) for text in out]
                except BudgetExhausted as exhausted:
                    answer = exhausted.answer
                out = self._enter("switch", answer)
            return Words.of(self._side(out))
        finally:
            self._close()

    def _enter(self, action: str, *args: Any) -> Any:
        """Run TextAttack's code, with the generators of this search, up to its next pause or end.

        Args:
            action: ``"switch"`` or ``"throw"``, the method of the greenlet.
            args: Its arguments.
        """
        from greenlet import getcurrent

        with _STEP:
            users = generator_states()
            if self._states is not None:
                restore_generators(self._states)
            self._greenlet.parent = getcurrent()
            try:
                return getattr(self._greenlet, action)(*args)
            finally:
                self._states = generator_states()
                restore_generators(users)

    def _close(self) -> None:
        """End a paused search, even one that catches the first exceptions."""
        from greenlet import GreenletExit

        self._closed = True
        while not self._greenlet.dead:
            self._enter("throw", GreenletExit)

    def _search(self) -> Any:
        """TextAttack's search, from the unchanged text to the last; runs in the greenlet."""
        from textattack.shared import AttackedText

        context = self._context
        seed_generators(int(context.rng("textattack").integers(1 << 32)))
        attack = self._own_copy()
        whole = context.whole
        pair = isinstance(whole, tuple)
        given = OrderedDict(zip(_COLUMNS, whole, strict=True)) if pair else self._text.text
        initial = attack.goal_function.initial(
            AttackedText(given), float(context.score), context.probabilities
        )
        return attack.search_method(initial).attacked_text

    def _ask(self, texts: Sequence[Any]) -> Answer:
        """Pause the greenlet until the engine has answered; called within it."""
        from greenlet import GreenletExit, getcurrent

        if self._closed:
            raise GreenletExit
        answer: Answer = getcurrent().parent.switch(list(texts))
        return answer

    def _own_copy(self) -> Any:
        """The attack with its own goal function, search method and caches.

        They hold the state of one example. Transformations and constraints are shared: they may be
        large, and cache by text.
        """
        from rosearch.attack.textattack.parts import OnlyWords, PooledGoal

        attack = copy.copy(self._attack)  # with new caches, by TextAttack's __setstate__
        limits = [attack.goal_function.query_budget]
        if self._context.budget is not None:
            limits.append(self._context.budget + 1)
        goal = PooledGoal(self._ask, min(limits))
        search = copy.copy(attack.search_method)
        attack.goal_function, attack.search_method = goal, search
        allowed = self._allowed()
        if allowed is not None:
            constraints = attack.pre_transformation_constraints
            attack.pre_transformation_constraints = [*constraints, OnlyWords(allowed)]
        # As in the constructor of TextAttack's Attack.
        search.goal_function = goal
        search.get_goal_results = goal.get_results
        for name in ("get_transformations", "get_indices_to_order", "filter_transformations"):
            setattr(search, name, getattr(attack, name))
        return attack

    def _allowed(self) -> list[int] | None:
        """Indices, over both columns, of the words that may be changed; ``None`` for all."""
        indices, whole = self._context.indices, self._context.whole
        if not isinstance(whole, tuple):
            return None if len(indices) == len(self._text) else list(indices)
        before = len(Words.of(whole[0])) if self._context.side else 0
        return [before + index for index in indices]

    def _side(self, attacked: Any) -> str:
        """The attacked side of one of TextAttack's texts."""
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
