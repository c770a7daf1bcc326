"""Any attack of TextAttack inside our evaluator, its queries pooled across examples."""

from __future__ import annotations

import contextlib
import copy
import difflib
import pickle
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from rosearch.attack.base import Answer, Attack, Search, SearchContext
from rosearch.attack.settings import public_settings, without_addresses
from rosearch.attack.text import Words
from rosearch.attack.textattack.loading import load_textattack, undisturbed
from rosearch.attack.textattack.running import Run
from rosearch.errors import DataError, MissingResourceError

_REHEARSAL = "It is a truly wonderful film, with a clever story and 2 great actors from London."
_REHEARSED_STEPS = 12


class TextAttackAttack(Attack):
    """An attack written for TextAttack, run by our engine.

    The search is TextAttack's own code: same texts, verdicts and query counts as when it runs
    alone, with these differences:

    - Success is what the evaluator's goal says, so a recipe for untargeted classification runs
      under a targeted goal too.
    - Random draws depend on the evaluator's seed, the attack and the text alone.
    - Only the attacked side of a pair is changed; TextAttack looks for columns named premise and
      hypothesis, and changes all columns of any other name.
    - Words that the victim truncates away stay, unless ``skip_truncated=False``.

    Each search runs as a greenlet, in the thread that asks for it: an evaluator may run in any
    thread, and searches must not be handed from thread to thread half-way.

    Args:
        recipe: Name of a recipe (``"PWWSRen2019"``), a class with a method ``build``, or a
            ``textattack.Attack``, whose own victim is left out of account.
        name: Name in reports and seeds. Default: ``"textattack:"`` and the recipe's name.
        options: Keyword arguments of the recipe's ``build``.

    Raises:
        MissingResourceError: TextAttack, or something that this attack reads, is not on this
            machine. Found out by letting it take a few steps on a sentence.
        DataError: There is no such recipe, it is not for untargeted classification, or it needs
            the victim's gradients.
    """

    def __init__(
        self,
        recipe: Any,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        package = load_textattack()
        self._given = recipe
        self._options = dict(options or {})
        self._attack: Any = None
        self._packed: bytes | None = None
        attack = self._loaded()
        label = recipe if isinstance(recipe, str) else getattr(recipe, "__name__", "Attack")
        # Instances differ in these, other than those of written-out attacks.
        self.name = name or f"textattack:{label}"  # type: ignore[misc]
        self.version = f"1, textattack {_version(package)}"  # type: ignore[misc]
        self.recipe = label
        self.options = public_settings(SimpleNamespace(**dict(sorted(self._options.items()))))
        self.parts = without_addresses(repr(attack))
        self._rehearse()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, version, and TextAttack's description of the attack's parts."""
        return {"name": self.name, "version": self.version, **public_settings(self)}

    def search(self, text: Words, context: SearchContext) -> Search:
        run = Run(self._loaded(), text, context)
        return (yield from run.steps())

    def _loaded(self) -> Any:
        """The attack, built or unpickled where this process has not done so yet."""
        if self._attack is None:
            load_textattack()
            with undisturbed():
                if self._packed is not None:
                    self._attack = pickle.loads(self._packed)  # noqa: S301 - packed by __getstate__
                else:
                    self._attack = _build(self._given, self._options)
        return self._attack

    def _rehearse(self) -> None:
        """Take a few steps against a made-up victim, to learn what is missing."""
        text = Words.of(_REHEARSAL)
        context = SearchContext(
            score=0.1, indices=tuple(range(len(text))), text_key=text.text, attack=self.name
        )
        steps = self.search(text, context)
        with (
            undisturbed(),
            contextlib.closing(steps),
            _named_as_missing(self.recipe),
            contextlib.suppress(StopIteration),
        ):
            wanted = next(steps)
            for step in range(_REHEARSED_STEPS):
                n = len(wanted)  # type: ignore[arg-type]
                scores = np.linspace(0.1, 0.2 + step / 100, n, dtype=np.float32)
                shares = np.stack([1 - scores, scores], axis=1)
                wanted = steps.send(Answer(scores, np.zeros(n, dtype=bool), shares))

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_attack": None}
        if not _can_be_built(self._given):
            # Packed apart: TextAttack is to be imported by us before it is unpickled.
            state["_given"] = None
            state["_packed"] = self._packed or pickle.dumps(self._attack)
        elif not isinstance(self._given, str):
            state["_packed"] = None
        return state


def _can_be_built(given: Any) -> bool:
    return isinstance(given, (str, type))


def _build(given: Any, options: Mapping[str, Any]) -> Any:
    """A TextAttack attack without a victim, ready to be copied for each search.

    Raises:
        MissingResourceError: See :class:`TextAttackAttack`.
        DataError: See :class:`TextAttackAttack`.
    """
    import textattack

    from rosearch.attack.textattack.parts import NoVictim, PooledGoal

    recipe = _recipe(given)
    if isinstance(recipe, type):
        label = recipe.__name__
        with _quiet(textattack), _named_as_missing(label):
            try:
                attack = recipe.build(NoVictim(), **options)  # type: ignore[attr-defined]
            except (ImportError, LookupError, OSError):
                raise
            except Exception as error:
                raise DataError(
                    f"TextAttack's recipe {label} cannot be built without a victim and with "
                    f"options {dict(options)}: {error}. Recipes that read the victim's weights do "
                    f"not run here."
                ) from error
    else:
        if options:
            raise DataError("options= are for recipes; a textattack.Attack is complete as it is.")
        attack, label = recipe, "Attack"
    goal = attack.goal_function
    if type(goal).__name__ != "UntargetedClassification" or goal.target_max_score is not None:
        raise DataError(
            f"Expected a TextAttack attack whose goal is UntargetedClassification; {label} has "
            f"{' '.join(repr(goal).split())}. Other goals of classification are given to the "
            f"evaluator: RobustnessEvaluator(..., goal=...)."
        )
    if not attack.is_black_box:
        raise DataError(
            f"TextAttack's {label} needs the victim's gradients, and the engine answers with "
            f"probabilities only. Use a black-box recipe, or an attack of rosearch's own."
        )
    attack = copy.copy(attack)
    attack.search_method = copy.copy(attack.search_method)
    attack.goal_function = PooledGoal(budget=goal.query_budget)
    return attack


def _recipe(given: Any) -> Any:
    """A class with ``build``, or a ``textattack.Attack``."""
    import textattack
    from textattack.attack_recipes import AttackRecipe

    if isinstance(given, str):
        found = {
            name: value
            for name, value in vars(textattack.attack_recipes).items()
            if isinstance(value, type) and issubclass(value, AttackRecipe) and value != AttackRecipe
        }
        if given not in found:
            close = difflib.get_close_matches(given, found, n=1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise DataError(
                f"TextAttack has no recipe {given!r}.{hint} Known: {', '.join(sorted(found))}."
            )
        return found[given]
    if isinstance(given, textattack.Attack) or (
        isinstance(given, type) and hasattr(given, "build")
    ):
        return given
    raise DataError(
        f"Expected the name of a TextAttack recipe, a recipe's class, or a textattack.Attack; got "
        f"{given!r:.80}."
    )


@contextlib.contextmanager
def _named_as_missing(label: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, LookupError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MissingResourceError(
            f"TextAttack's {label} lacks something on this machine: "
            f"{type(error).__name__}: {reason:.400}. What is installed, and how to get the rest: "
            f"rosearch resources"
        ) from error


@contextlib.contextmanager
def _quiet(textattack: Any) -> Iterator[None]:
    """No remark that no victim is known to suit the goal."""
    logger = textattack.shared.logger
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _version(package: Any) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("textattack")
    except PackageNotFoundError:
        return str(getattr(package, "__version__", "unknown"))
