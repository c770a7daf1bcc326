"""What an attack is, for those who write one.

An author writes one method, ``search``: a generator over one text that yields lists of perturbed
texts, is sent what the victim made of them, and returns the text it settles on. It never sees the
victim, batches, other texts or a label. The engine runs many searches side by side and
answers them from common batches::

    @rosearch.attacks.register("capitals")
    class Capitals(rosearch.Attack):
        \"\"\"Writes one word after the other in capitals where that helps.\"\"\"

        def search(self, text, context):
            best, score = text, context.score
            for index in context.indices:
                candidate = best.replace(index, best.words[index].upper())
                answer = yield [candidate]
                if answer.scores[0] > score:
                    best, score = candidate, answer.scores[0]
                if answer.succeeded[0]:
                    break
            return best
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from rosearch.attack.resources.oracles import Ask
from rosearch.attack.settings import public_settings
from rosearch.attack.text import Words
from rosearch.data import Text
from rosearch.registry import Registry
from rosearch.seeding import generator

_Registered = TypeVar("_Registered")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the victim made of the texts that a search yielded, in the order yielded."""

    scores: np.ndarray
    """float32, shape ``(texts,)``: how close each text comes to the goal; higher is closer."""
    succeeded: np.ndarray
    """bool, shape ``(texts,)``: whether each text meets the goal."""
    probabilities: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """float32, shape ``(texts, classes)``: what the victim gave. Few searches need it."""


class BudgetExhausted(Exception):  # noqa: N818 - a signal to a search, not a failure
    """Thrown into a search that asks for more than its query budget allows.

    A search that does not catch it ends there, with the best text it has asked about. One that
    catches it may still use :attr:`answer`, and then returns.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__("The query budget of this search is used up.")
        self.answer = answer
        """About the first of the texts last yielded, as many as the budget still paid for."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a search knows besides its text."""

    score: float
    """Score of the text as it is, before any change."""
    indices: tuple[int, ...]
    """Words worth changing, in reading order: those that the victim gets to read,
    because it does not cut them off."""
    text_key: str
    """The whole input in one string; randomness depends on it."""
    seed: int = 0
    """Seed of the run."""
    attack: str = ""
    """Name of the attack."""
    whole: Text = ""
    """The whole input; of a pair, both texts."""
    side: int = 0
    """Which text of a pair is attacked, 0 or 1."""
    budget: int | None = None
    """Logical queries that the search may still ask; ``None``: any number."""
    probabilities: np.ndarray | None = field(default=None, compare=False)
    """float32, shape ``(classes,)``: the victim's answer to the text as it is."""

    def rng(self, *path: str | int) -> np.random.Generator:
        """A generator that depends on the run's seed, the attack, the text and ``path`` alone.

        The order of examples, batch sizes, workers and the victim change nothing about it.
        """
        return generator(self.seed, "attack", self.attack, self.text_key, *path)


@dataclass(frozen=True, slots=True, eq=False)
class AskGradients:
    """What a white-box search yields to learn how the victim's loss changes with each token.

    It is sent a list of :class:`~rosearch.attack.victim.gradients.TokenGradients`, one a text.
    """

    texts: Sequence[Words]


Search: TypeAlias = Generator["Sequence[Words] | Ask | AskGradients", Any, Words]
"""What ``Attack.search`` returns: yields texts, is sent an :class:`Answer`, returns a text.

It may yield an :class:`~rosearch.attack.resources.oracles.Ask` too and is then sent the oracle's
answers, or an :class:`AskGradients` and is sent gradients.
"""


class Attack(ABC):
    """Base of every attack.

    Public attributes of an instance are its settings: they go into reports and study
    fingerprints. Name those that are not settings with a leading underscore.

    Instances serve many searches at once and travel to other processes, so they must be picklable
    and a search keeps its state in local variables.
    """

    name: ClassVar[str] = "attack"
    """Name in reports and seeds; registering a class sets it."""
    version: ClassVar[str] = "1"
    """Raise it when the attack's behaviour changes, so that old reports stay apart."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    @abstractmethod
    def search(self, text: Words, context: SearchContext) -> Search:
        """Attack one text.

        Args:
            text: The text to be changed; of a pair, the attacked side.
            context: Score of the unchanged text, words worth changing, randomness.

        Yields:
            Perturbed texts, any number at once: the more, the fuller the batches. Each one is a
            logical query. The victim's :class:`Answer` comes back from ``yield``.

        Returns:
            The text to be judged. One that was never asked about costs one more query.
        """

    def prepare(self, texts: Sequence[Words]) -> None:  # noqa: B027 - most attacks need none
        """Do beforehand what depends on the texts but not on the victim.

        Called with every text that will be attacked, once, when an evaluator is made. Results
        kept on the instance are shared by all victims and travel to worker processes.
        """

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, version and every threshold, as JSON has it."""
        return {"name": self.name, "version": self.version, **public_settings(self)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        return f"{type(self).__name__}({shown})"


class AttackRegistry(Registry[type[Attack]]):
    """Attacks by name; registering a class also names it."""

    def register(self, name: str) -> Callable[[_Registered], _Registered]:
        """Decorator that registers an :class:`Attack` class under ``name``."""
        decorate = super().register(name)

        def named(item: _Registered) -> _Registered:
            item = decorate(item)
            item.name = name  # type: ignore[attr-defined]
            return item

        return named


def _complaint(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Attack)):
        return "it is not a subclass of rosearch.Attack."
    if inspect.isabstract(item):
        return f"it does not define {', '.join(sorted(item.__abstractmethods__))}."
    return None


attacks = AttackRegistry("attack", group="rosearch.attacks", check=_complaint)
"""All attacks by name."""
