"""A constraint on likelihood: a language model must find the new text nearly as likely."""

from __future__ import annotations

from typing import Any

from rosearch.attack.resources.language_models import LanguageModel
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.sentence import text_window
from rosearch.checks import number, whole_number


class MaxLikelihoodDrop(Constraint):
    """Limits how much less likely the words around a change become under a language model.

    Like TextAttack's ``LanguageModelConstraint``; a drop of exactly ``limit`` is refused. Jia et
    al. 2019, appendix A.3.

    Args:
        model: A :class:`~rosearch.attack.resources.language_models.LanguageModel`, or the first
            argument of one.
        limit: Smallest refused drop of the log-likelihood, in nats.
        window: Number of words around the change that are compared.

    Raises:
        MissingResourceError: The model cannot be loaded.
        ArgumentError: A number is out of range.
    """

    name = "max-likelihood-drop"
    expensive = True

    def __init__(self, model: Any, *, limit: float = 5.0, window: int = 6) -> None:
        self.limit = number("limit", limit, 0)
        self.window = whole_number("window", window)
        self.language_model = model if isinstance(model, LanguageModel) else LanguageModel(model)

    def examine(self, change: Change) -> Asking[Examined]:
        new_words = list(change.all_new_words())
        questions = [
            text_window(text, index, self.window)
            for position, index in new_words
            for text in (change.original, change.candidates[position])
        ]
        answers = (yield Ask(self.language_model, questions)) if questions else ()
        allowed = [True] * len(change.candidates)
        pairs = zip(answers[::2], answers[1::2], strict=True)
        for (position, _), (before, after) in zip(new_words, pairs, strict=True):
            if not after > before - self.limit:
                allowed[position] = False
        return Examined(allowed)
