"""Everything that an attack may put in place of each word of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rosearch.attack.base import Attack, SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import declares
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.constraints import Change, Constraint, NoRepeat

T = TypeVar("T")


class UndecidedError(Exception):
    """Whether a text withstands all combinations cannot be known; the message says why."""


@dataclass(frozen=True)
class WordOptions:
    """What an attack may put in place of each word, whatever it does to the others."""

    words: Words
    """The attacked text."""

    options: Sequence[Sequence[str]]
    """For each word what may stand there instead, without the word itself."""

    most_changed: int | None = None
    """Most words that are replaced at a time; ``None``: all of them."""

    is_exact: bool = True
    """Whether the attack may put all of these, and as many as that at a time."""


def word_options(attack: Attack, attacked: AttackedInput, *, seed: int = 0) -> WordOptions:
    """Return everything that an attack may put in place of each word of a text.

    Constraints that read more than the word and its replacement are left out, so that nothing is
    missed. Random substitutions have the random numbers that the attack draws with this seed.

    Raises:
        UndecidedError: The replacements of a word may depend on other words, or a word may be
            replaced more than once, or the attack may do more than replace words.
    """
    if not isinstance(attack, WordSwapAttack) or type(attack).search is not WordSwapAttack.search:
        raise UndecidedError(f"{attack.name} is not known to do no more than replace words")
    method = attack.search_method
    if not declares(method, "only_swaps") or (attack.resegment and not method.keeps_limits):
        raise UndecidedError(f"the search {method.name} may do more than replace words")
    if not attack.substitution.reads_word_alone:
        raise UndecidedError(f"{attack.name} proposes words by the context")
    if not any(type(constraint) is NoRepeat for constraint in attack.constraints):
        raise UndecidedError(f"{attack.name} may replace a word more than once")
    words = attacked.words
    context = SearchContext.of(attacked, seed=seed, attack=attack.name)
    swaps = attack.swaps.start(words, context)
    trusted = [c for c in attack.constraints if declares(c, "reads_word_alone")]
    options, growth = _options(swaps, trusted, growth=0), 0
    # A word split in two moves those after it, which then get the random numbers of other words.
    while attack.resegment and (grown := _growth(options)) > growth:
        options, growth = _options(swaps, trusted, growth=grown), grown
    limits = [c.most_changed(len(words)) for c in attack.constraints if declares(c, "most_changed")]
    limit = min((one for one in limits if one is not None), default=None)
    # Else a limit, or a constraint, may count or compare other words than those replaced.
    keeps_places = not attack.resegment or all(
        Words.of(new).words == (new,) for found in options for new in found
    )
    if keeps_places:
        options = [_allowed(swaps, k, found, trusted) for k, found in enumerate(options)]
    is_limited = keeps_places and method.keeps_limits
    return WordOptions(
        words, options, limit if is_limited else None, is_limited or (limit is None and not growth)
    )


def _options(
    swaps: TextSwaps, constraints: Sequence[Constraint], *, growth: int
) -> list[list[str]]:
    """What is proposed for each word, at its place or up to ``growth`` places further right."""
    words, substitution = swaps.original, swaps.swaps.substitution
    further = growth if substitution.draws else 0
    found: list[list[str]] = []
    for index, word in enumerate(words.words):
        proposed: dict[str, None] = {}
        if all(constraint.allows_word(words, index) for constraint in constraints):
            for place in range(index, index + further + 1):
                numbers = swaps.random_numbers(place)
                found_here = completed(swaps.swaps.propose(words, index, numbers))
                proposed.update(dict.fromkeys(found_here))
        proposed.pop(word, None)
        found.append(list(proposed))
    return found


def _allowed(
    swaps: TextSwaps, index: int, options: Sequence[str], constraints: Sequence[Constraint]
) -> list[str]:
    """The options of a word that the constraints allow by themselves."""
    words, left = swaps.original, list(options)
    for constraint in constraints:
        if left:
            texts = [words.replace(index, new) for new in left]
            examined = completed(constraint.examine(Change(words, words, index, texts)))
            left = [new for new, allowed in zip(left, examined.allowed, strict=True) if allowed]
    return left


def _growth(options: Sequence[Sequence[str]]) -> int:
    """Most words by which a text can grow."""
    return sum(max((len(Words.of(new)) - 1 for new in found), default=0) for found in options)


def completed(steps: Asking[T]) -> T:
    """Return the result of a generator that asks nothing."""
    try:
        next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise TypeError("Expected a substitution or constraint that asks no oracle, got one that does.")
