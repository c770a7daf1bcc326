"""An attack that queries the victim about the most promising replacements only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rosearch.attack.base import AskGradients, Attack, Search, SearchContext
from rosearch.attack.base import attacks as registry
from rosearch.attack.text import Words
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import Candidates
from rosearch.checks import instance, whole_number


class Screened(Attack):
    """Another attack, restricted to the most promising replacements of each word.

    For each word, the victim is queried about the replacements that promise the largest rise of the
    loss to first order: the gradient of the unchanged text times the change of the embeddings
    (Ebrahimi et al. 2018, equation 10). One backward pass a text replaces the saved queries. It
    needs the victim's gradients.

    Fewer replacements make a weaker attack, so accuracy under it is an upper bound on accuracy
    under the full attack, not a substitute for it. Its name and settings in a report say which of
    the two was run::

        screen = RobustnessEvaluator(Screened("pwws", keep=5), dev)

    Args:
        attack: Name of a recipe, or a :class:`~rosearch.attack.WordSwapAttack`.
        keep: Number of replacements of each word that the victim is queried about.

    Raises:
        RegistryError: The name is unknown.
        ArgumentError: ``attack`` is not a word-swap attack, or ``keep`` is not a whole number
            from 1.
        MissingResourceError: The attack needs a resource that is not available.
    """

    name = "screened"

    def __init__(self, attack: str | WordSwapAttack, *, keep: int = 5) -> None:
        made = registry.get(attack)() if isinstance(attack, str) else attack
        self.attack = instance(
            "attack", made, WordSwapAttack, "a WordSwapAttack, as all recipes of rosearch are"
        )
        self.keep = whole_number("keep", keep)
        self.name = f"screened-{made.name}"  # type: ignore[misc]

    def prepare(self, texts: Sequence[Words]) -> None:
        self.attack.prepare(texts)

    def search(self, text: Words, context: SearchContext) -> Search:
        # The inner attack draws the random numbers that it would draw by itself.
        context = replace(context, attack=self.attack.name)
        swaps = self.attack.swaps.start(text, context)
        (gradients,) = yield AskGradients([text])
        screened = replace(swaps, screen=_Screen(text, gradients, self.keep))
        return (yield from self.attack.search_method.search(screened, context))


@dataclass(frozen=True)
class _Screen:
    original: Words
    gradients: TokenGradients
    keep: int

    def __call__(self, current: Words, index: int, found: Candidates) -> Candidates:
        if len(found.texts) <= self.keep:
            return found
        gains = self.gradients.gains([self._variant(current, text, index) for text in found.texts])
        return found.select(sorted(np.argsort(-gains, kind="stable")[: self.keep].tolist()))

    def _variant(self, current: Words, candidate: Words, index: int) -> str:
        """The original, whose gradient is known, with only this replacement made."""
        place = 2 * index + 1
        if index >= len(self.original) or current.pieces[place] != self.original.pieces[place]:
            return candidate.text  # words have moved
        # A replacement of n words has made the text n - 1 words longer.
        end = place + 1 + 2 * (len(candidate) - len(current))
        return self.original.replace(index, "".join(candidate.pieces[place:end])).text
