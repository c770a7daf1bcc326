"""An attack that asks the victim about the most promising replacements only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rosearch.attack.base import AskGradients, Attack, Search, SearchContext
from rosearch.attack.base import attacks as registry
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import check_whole
from rosearch.attack.text import Words
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import Candidates, TextSwaps, WordSwaps
from rosearch.errors import DataError


class Screened(Attack):
    """Another attack, with most replacements left out before the victim is asked.

    For each word, only those replacements are asked about whose embeddings promise the largest rise
    of the loss: the gradient of the unchanged text times the change of the embeddings (Ebrahimi et
    al. 2018, equation 10). One backward pass a text stands for the queries that are saved. It needs
    the victim's gradients.

    Fewer replacements make a weaker attack. What it finds holds; accuracy under it is an upper
    bound on accuracy under an attack that asks about everything, and no substitute for
    it. Name and settings of a report say which of the two was run::

        screen = RobustnessEvaluator(Screened("pwws", keep=5), dev)

    Args:
        attack: The attack: its name, or an instance put together from parts.
        keep: Replacements of each word that are asked about.

    Raises:
        RegistryError: The name is unknown.
        DataError: The attack is not put together from parts, or ``keep`` is no whole number from 1.
        MissingResourceError: The attack needs a resource that is not on this machine.
    """

    name = "screened"

    def __init__(self, attack: str | WordSwapAttack, *, keep: int = 5) -> None:
        made = registry.get(attack)() if isinstance(attack, str) else attack
        if not isinstance(made, WordSwapAttack):
            raise DataError(
                f"Screened chooses among the replacements of a WordSwapAttack, and "
                f"{type(made).__name__} is none. Every recipe of rosearch is one."
            )
        self.attack = made
        self.keep = check_whole("keep", keep)
        self.name = f"screened-{made.name}"  # type: ignore[misc]

    def prepare(self, texts: Sequence[Words]) -> None:
        self.attack.prepare(texts)

    def search(self, text: Words, context: SearchContext) -> Search:
        attack = self.attack
        # The inner attack draws what it would draw by itself.
        context = replace(context, attack=attack.name)
        swaps = WordSwaps(attack.substitution, attack.constraints, attack.resegment)
        plain = swaps.start(text, context)
        (found,) = yield AskGradients([text])
        screened = _ScreenedSwaps(
            plain.swaps, text, context, plain.indices, plain.numbers, self.keep, found
        )
        return (yield from attack.search_method.search(screened, context))


@dataclass(frozen=True)
class _ScreenedSwaps(TextSwaps):
    keep: int = 1
    gradients: TokenGradients | None = None

    def candidates(self, current: Words, index: int, *, lazily: bool = False) -> Asking[Candidates]:
        # Never lazily: those that are kept are chosen among the allowed.
        found = yield from super().candidates(current, index)
        if self.gradients is None or len(found.texts) <= self.keep:
            return found
        variants = [self._variant(current, text, index) for text in found.texts]
        gains = self.gradients.gains(variants)
        kept = sorted(np.argsort(-gains, kind="stable")[: self.keep].tolist())
        return Candidates(
            [found.texts[i] for i in kept],
            None if found.similarities is None else [found.similarities[i] for i in kept],
        )

    def _variant(self, current: Words, candidate: Words, index: int) -> str:
        """The unchanged text, of which the gradient is, with the one replacement made in it."""
        place = 2 * index + 1
        if index >= len(self.original) or current.pieces[place] != self.original.pieces[place]:
            return candidate.text  # words have moved
        # A replacement of several words has made the text longer by all but one.
        end = place + 1 + 2 * (len(candidate) - len(current))
        return self.original.replace(index, "".join(candidate.pieces[place:end])).text
