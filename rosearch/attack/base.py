"""The interface for attacks.

An attack defines one method, ``search``: a generator that attacks one text. It yields lists of
perturbed texts, receives the victim's scores, and returns its final text. It never sees the
victim, batches, other texts or the label. The engine runs many searches concurrently and batches
their queries::

    @rosearch.attacks.register("capitals")
    class Capitals(rosearch.Attack):
        \"\"\"Capitalizes one word after another where that helps.\"\"\"

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
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from rosearch.attack.resources.oracles import Ask
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput, Words
from rosearch.checks import instance
from rosearch.data import Text
from rosearch.registry import Registry
from rosearch.seeding import generator


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The victim's answers to the texts that a search yielded, in the same order."""

    scores: np.ndarray
    """float32, shape ``(texts,)``: how close each text is to the goal; higher is closer."""
    succeeded: np.ndarray
    """bool, shape ``(texts,)``: whether each text meets the goal."""
    probabilities: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """float32, shape ``(texts, classes)``: the victim's probabilities. Few searches need them."""


class BudgetExhausted(Exception):  # noqa: N818 - a signal to a search, not a failure
    """Thrown into a search that yields more texts than its query budget allows.

    A search that does not catch it ends with the best text it has queried. One that catches it can
    still use :attr:`answer` and must then return.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__("The query budget of this search is used up.")
        self.answer = answer
        """Answers to the first of the last yielded texts, as far as the budget allowed."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """Information for a search besides its text."""

    score: float
    """Score of the unchanged text."""
    indices: tuple[int, ...]
    """Indices of the words that may be changed, in reading order: those not truncated away."""
    text_key: str
    """The whole input as one string; determines the random draws."""
    seed: int = 0
    """Seed of the run."""
    attack: str = ""
    """Name of the attack."""
    whole: Text = ""
    """The whole input; for a pair, both texts."""
    side: int = 0
    """Attacked text of a pair, 0 or 1."""
    budget: int | None = None
    """Remaining queries; ``None`` means no limit."""
    probabilities: np.ndarray | None = field(default=None, compare=False)
    """float32, shape ``(classes,)``: the victim's probabilities for the unchanged text."""

    @classmethod
    def of(cls, attacked: AttackedInput, *, seed: int, attack: str) -> SearchContext:
        """Return the context of an input of which every word may be changed, without scores."""
        return cls(
            score=0.0,
            indices=tuple(range(len(attacked.words))),
            text_key=attacked.key,
            seed=seed,
            attack=attack,
            whole=attacked.text,
            side=attacked.side,
        )

    def rng(self, *path: str | int) -> np.random.Generator:
        """Return a random generator that depends only on seed, attack, text and ``path``.

        It does not depend on the order of examples, batch sizes, workers or the victim.
        """
        return generator(self.seed, "attack", self.attack, self.text_key, *path)


@dataclass(frozen=True, slots=True, eq=False)
class AskGradients:
    """A request for the gradients of the victim's loss at the tokens of each text.

    A white-box search yields it and receives a list of
    :class:`~rosearch.attack.victim.gradients.TokenGradients`, one per text.
    """

    texts: Sequence[Words]


Search: TypeAlias = Generator["Sequence[Words] | Ask | AskGradients", Any, Words]
"""The generator that ``Attack.search`` returns.

It yields lists of texts and receives an :class:`Answer` each, and returns a text. It may also yield
an :class:`~rosearch.attack.resources.oracles.Ask`, and receives the oracle's answers, or an
:class:`AskGradients`, and receives gradients.
"""


class Attack(Part, ABC):
    """Base class of attacks.

    Public attributes of an instance are its settings: they appear in reports and study
    fingerprints. Attributes that are not settings start with an underscore.

    An instance runs many searches concurrently and is sent to other processes. It must therefore be
    picklable, and a search must keep its state in local variables.
    """

    name: ClassVar[str] = "attack"
    """Name in reports and random seeds; set by registering the class."""
    version: ClassVar[str] = "1"
    """Change it when the attack's behaviour changes, so that old reports can be distinguished."""
    identity: ClassVar[tuple[str, ...]] = ("name", "version")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    @abstractmethod
    def search(self, text: Words, context: SearchContext) -> Search:
        """Attack one text.

        Args:
            text: The text to change; for a pair, the attacked side.
            context: Score of the unchanged text, words that may be changed, random numbers.

        Yields:
            Lists of perturbed texts; longer lists fill batches better. Each text is one query. The
            victim's :class:`Answer` is the value of the ``yield``.

        Returns:
            The final text, which decides the verdict. It costs one more query if it was never
            yielded.
        """

    def prepare(self, texts: Sequence[Words]) -> None:
        """Precompute what depends on the texts but not on the victim.

        Called once with all texts to attack when an evaluator is created. Results kept on the
        instance are shared by all victims and sent to worker processes.
        """


def make_attack(name: str, attack: str | Attack) -> Attack:
    """Return an attack, which may be given by its registered name.

    Args:
        name: The argument's name, for the message.
        attack: The argument.

    Raises:
        ArgumentError: It is not an attack.
        RegistryError: It is not registered.
    """
    made = attacks.get(attack)() if isinstance(attack, str) else attack
    expected = "the name of an attack or an Attack instance, not a class"
    return instance(name, made, Attack, expected)  # type: ignore[type-abstract]


def _complaint(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Attack)):
        return "it is not a subclass of rosearch.Attack."
    if inspect.isabstract(item):
        return f"it does not define {', '.join(sorted(item.__abstractmethods__))}."
    return None


def _set_name(name: str, attack: type[Attack]) -> None:
    attack.name = name


attacks: Registry[type[Attack]] = Registry(
    "attack", group="rosearch.attacks", check=_complaint, on_register=_set_name
)
"""All attacks by name. Registering a class also sets its :attr:`Attack.name`."""
