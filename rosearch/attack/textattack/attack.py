"""Any attack of TextAttack in rosearch's evaluator, its queries batched across examples."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Mapping
from importlib import metadata
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from rosearch.attack.base import Answer, Attack, Search, SearchContext
from rosearch.attack.settings import public_settings, without_addresses
from rosearch.attack.text import Words
from rosearch.attack.textattack.loading import load_textattack, undisturbed
from rosearch.attack.textattack.running import Run
from rosearch.checks import choice, refused
from rosearch.errors import ArgumentError, DataError, MissingResourceError

_REHEARSAL = "It is a truly wonderful film, with a clever story and 2 great actors from London."
_REHEARSED_STEPS = 12


class TextAttackAttack(Attack):
    """An attack of TextAttack, run by rosearch's engine.

    The search is TextAttack's own code, with the same texts, verdicts and query counts as in
    TextAttack, with these differences:

    - Success is what the evaluator's goal says, so a recipe for untargeted classification also runs
      with a targeted goal.
    - Random draws depend only on the evaluator's seed, the attack and the text.
    - Only the attacked side of a pair is changed; TextAttack looks for columns named premise and
      hypothesis, and changes all columns otherwise.
    - Words that the victim truncates away are not changed, unless ``skip_truncated=False``.

    Each search runs as a greenlet in the thread that started it. An evaluator may run in any
    thread, but a search must not move between threads.

    Args:
        recipe: Name of a recipe (``"PWWSRen2019"``), a class with a method ``build``, or a
            ``textattack.Attack``, whose own victim is ignored.
        name: Name in reports and seeds. Default: ``"textattack:"`` and the name of the recipe.
        options: Keyword arguments for ``build`` of the recipe.

    Raises:
        MissingResourceError: TextAttack, or something that this attack reads, is not available; it
            is checked by a few steps on a sample sentence.
        ArgumentError: There is no such recipe, or ``options`` are given for a finished attack.
        DataError: The attack is not for untargeted classification, or needs the victim's gradients.
    """

    def __init__(
        self,
        recipe: Any,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        load_textattack()
        self._recipe = recipe
        self._options = dict(options or {})
        self._attack: Any = None
        self._pickled: bytes | None = None
        label = recipe if isinstance(recipe, str) else getattr(recipe, "__name__", "Attack")
        self.name = name or f"textattack:{label}"  # type: ignore[misc]
        self.version = f"1, textattack {metadata.version('textattack')}"  # type: ignore[misc]
        self.recipe = label
        self.options = public_settings(SimpleNamespace(**dict(sorted(self._options.items()))))
        try:
            self.parts = without_addresses(repr(self._loaded()))
            self._rehearse()
        except (ImportError, LookupError, OSError) as error:
            reason = " ".join(str(error).split())
            raise MissingResourceError(
                f"TextAttack's {label} lacks a resource: {type(error).__name__}: {reason:.400}. To "
                f"see what is available and how to get the rest: "
                f"rosearch resources"
            ) from error

    def search(self, text: Words, context: SearchContext) -> Search:
        return (yield from Run(self._loaded(), text, context).steps())

    def _loaded(self) -> Any:
        """The attack, built or unpickled at the first use in a process."""
        if self._attack is None:
            load_textattack()
            with undisturbed():
                if self._pickled is not None:
                    self._attack = pickle.loads(self._pickled)  # noqa: S301 - from __getstate__
                else:
                    self._attack = _build(self._recipe, self._options)
        return self._attack

    def _rehearse(self) -> None:
        """Take a few steps with made-up answers, to find out what is missing."""
        text = Words.of(_REHEARSAL)
        context = SearchContext(
            score=0.1,
            indices=tuple(range(len(text))),
            text_key=text.text,
            attack=self.name,
            probabilities=np.array([0.9, 0.1], np.float32),
        )
        steps: Any = self.search(text, context)
        with undisturbed(), contextlib.closing(steps), contextlib.suppress(StopIteration):
            wanted = next(steps)
            for step in range(_REHEARSED_STEPS):
                n = len(wanted)
                scores = np.linspace(0.1, 0.2 + step / 100, n, dtype=np.float32)
                probabilities = np.stack([1 - scores, scores], axis=1)
                wanted = steps.send(Answer(scores, np.zeros(n, dtype=bool), probabilities))

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_attack": None}
        if not isinstance(self._recipe, (str, type)):
            # Pickled separately, so that TextAttack is imported by load_textattack.
            state["_recipe"] = None
            state["_pickled"] = self._pickled or pickle.dumps(self._attack)
        return state


def _build(given: Any, options: Mapping[str, Any]) -> Any:
    """A TextAttack attack without a victim, to be copied for each search."""
    from rosearch.attack.textattack.parts import PooledGoal

    recipe = _find(given)
    label = getattr(recipe, "__name__", "Attack")
    if isinstance(recipe, type):
        attack = _built(recipe, label, options)
    elif options:
        raise ArgumentError("options are for recipes; a textattack.Attack is complete.")
    else:
        attack = copy.copy(recipe)
    goal = attack.goal_function
    if type(goal).__name__ != "UntargetedClassification" or goal.target_max_score is not None:
        raise DataError(
            f"Expected a TextAttack attack with the goal UntargetedClassification; {label} has "
            f"{' '.join(repr(goal).split())}. Pass other goals of classification to the evaluator: "
            f"RobustnessEvaluator(..., goal=...)."
        )
    if not attack.is_black_box:
        raise DataError(
            f"TextAttack's {label} needs the victim's gradients, but the engine returns "
            f"probabilities only. Use a black-box recipe, or one of rosearch's own attacks."
        )
    attack.search_method = copy.copy(attack.search_method)
    attack.goal_function = PooledGoal(None, goal.query_budget)
    return attack


def _find(given: Any) -> Any:
    """The recipe class or ``textattack.Attack`` that ``given`` names or is."""
    import textattack
    from textattack.attack_recipes import AttackRecipe

    if isinstance(given, str):
        found = {
            name: value
            for name, value in vars(textattack.attack_recipes).items()
            if isinstance(value, type) and issubclass(value, AttackRecipe) and value != AttackRecipe
        }
        return found[choice("recipe", given, sorted(found))]
    if isinstance(given, textattack.Attack) or (
        isinstance(given, type) and hasattr(given, "build")
    ):
        return given
    expected = "the name of a TextAttack recipe, the class of one, or a textattack.Attack"
    raise refused("recipe", expected, given)


def _built(recipe: Any, label: str, options: Mapping[str, Any]) -> Any:
    from textattack.shared import logger

    from rosearch.attack.textattack.parts import NoVictim

    # TextAttack warns that it does not know this victim.
    with mock.patch.object(logger, "disabled", True):
        try:
            return recipe.build(NoVictim(), **options)
        except (ImportError, LookupError, OSError):
            raise
        except Exception as error:
            raise DataError(
                f"TextAttack's recipe {label} cannot be built without a victim and with options "
                f"{dict(options)}: {error}. Recipes that read the victim's weights are not "
                f"supported."
            ) from error
