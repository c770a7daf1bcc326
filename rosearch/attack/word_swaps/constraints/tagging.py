"""A constraint on parts of speech: a new word must have the tag of the word it replaces."""

from __future__ import annotations

from typing import Any

from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.resources.taggers import Tagger
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined

_BEFORE, _AFTER = 4, 3  # words


class PartOfSpeech(Constraint):
    """Requires a new word to have the part of speech of the original word in its place.

    Like TextAttack's ``PartOfSpeech``: both words are tagged in the context of the four words
    before and the three words after them in the original text.

    Args:
        tagger: A :class:`~rosearch.attack.resources.taggers.Tagger`, or the first argument of one.
            Default: ``"auto"``.
        allow_verb_noun_swap: Whether a noun may replace a verb, and a verb a noun.

    Raises:
        MissingResourceError: The tagger is not available.
    """

    name = "part-of-speech"

    def __init__(self, tagger: Any = None, *, allow_verb_noun_swap: bool = True) -> None:
        self.tagger = tagger if isinstance(tagger, Tagger) else Tagger(tagger or "auto")
        self.allow_verb_noun_swap = allow_verb_noun_swap

    def examine(self, change: Change) -> Asking[Examined]:
        original = change.original.words
        allowed = [True] * len(change.candidates)
        positions: list[int] = []
        questions: list[tuple[str | int, ...]] = []
        for position, index in change.all_new_words():
            if index >= len(original):
                allowed[position] = False
                continue
            before = original[max(index - _BEFORE, 0) : index]
            after = original[index + 1 : index + 1 + _AFTER]
            positions.append(position)
            for word in (original[index], change.candidates[position].pieces[2 * index + 1]):
                context = (*before, word, *after)
                # The first occurrence, as in TextAttack, which looks the word up by its spelling.
                questions.append((*context, context.index(word)))
        tags = yield Ask(self.tagger, questions)
        for position, old, new in zip(positions, tags[::2], tags[1::2], strict=True):
            swapped = self.allow_verb_noun_swap and {old, new} <= {"NOUN", "VERB"}
            if old != new and not swapped:
                allowed[position] = False
        return Examined(allowed)
