"""Stability of encodings: the canonical texts that typos reach, and accuracy on all of them.

The attack surface is that of Robust Encodings (Jones, Jia, Raghunathan and Liang, ACL 2020): one
typo in each of any number of words, inside the word.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from rosearch.checks import refused, whole_number
from rosearch.data import Text
from rosearch.encode.base import Encoding
from rosearch.seeding import generator
from rosearch.words import word_spans

Classify = Callable[[list[Text]], np.ndarray]
"""Maps canonical texts to scores, ``(texts, classes)``."""

_MIN_LETTERS = 4
_BATCH = 256
_STARTS = 3
"""Starts of the search for a combination that is classified wrong."""

_remembered: WeakKeyDictionary[Encoding, dict[str, frozenset[str]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class WorstCase:
    """Whether texts are classified right however their words are misspelt."""

    robust: tuple[bool | None, ...]
    """For each text whether all combinations of typos are classified right; ``None``: undecided."""

    combinations: tuple[int, ...]
    """For each text the number of canonical texts that typos reach, its own included."""

    @property
    def exact(self) -> float:
        """Share of texts that are decided."""
        return 1 - self.robust.count(None) / len(self.robust)

    @property
    def lower(self) -> float:
        """Robust accuracy where undecided texts count as wrong."""
        return self.robust.count(True) / len(self.robust)

    @property
    def upper(self) -> float:
        """Robust accuracy where undecided texts count as right."""
        return 1 - self.robust.count(False) / len(self.robust)

    @property
    def mean_combinations(self) -> float:
        """Mean number of canonical texts that typos reach."""
        return sum(self.combinations) / len(self.combinations)


def single_typos(word: str) -> frozenset[str]:
    """Return everything that one typo makes of a word.

    A typo leaves out, inserts or exchanges a letter (a-z), or swaps two neighbours. The first and
    the last letter stay, and words of fewer than four letters have no typos.
    """
    return edits_inside(word) if len(word) >= _MIN_LETTERS else frozenset()


def edits_inside(word: str, letters: str = string.ascii_lowercase) -> frozenset[str]:
    """Return everything that one edit between the first and the last letter makes of a word."""
    inside, last = range(1, len(word) - 1), len(word) - 1
    edits = {word[:i] + word[i + 1 :] for i in inside}
    edits |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in inside if i + 1 < last}
    edits |= {word[:i] + c + word[i + 1 :] for i in inside for c in letters}
    edits |= {word[:i] + c + word[i:] for i in range(1, len(word)) for c in letters}
    return frozenset(edits - {word})


def reachable(encoding: Encoding, word: str) -> frozenset[str]:
    """Return the canonical forms of a word with at most one typo, its own included.

    They are computed once for each encoding and word.
    """
    known = _remembered.setdefault(encoding, {})
    if word not in known:
        known[word] = frozenset(map(encoding.word, (word, *single_typos(word))))
    return known[word]


def worst_case(
    classify: Classify,
    texts: Sequence[Text],
    labels: Sequence[int],
    encoding: Encoding,
    *,
    limit: int = 10_000,
) -> WorstCase:
    """Return whether texts are classified right with a typo in each of any number of words.

    Where typos reach at most ``limit`` canonical texts, all of them are classified. Where they
    reach more, words are changed one after the other to what lowers the score of the right class
    most against the best other one, from a few starts. A text for which that finds no mistake is
    undecided.

    Args:
        classify: Maps canonical texts to scores, ``(texts, classes)``.
        texts: Texts before encoding.
        labels: Index of the right class of each.
        encoding: Must read each word by itself (:attr:`Encoding.reads_words_alone`);
            :class:`~rosearch.encode.Spelling` does with ``joins=False`` and ``neighbours=False``.
        limit: Most canonical texts of a text that are all classified.

    Raises:
        ArgumentError: There are no texts or not as many labels, ``limit`` is below 1, or the
            encoding reads words together.
    """
    whole_number("limit", limit)
    if not texts or len(labels) != len(texts):
        raise refused("labels", f"one for each of one or more texts ({len(texts)})", labels)
    if not encoding.reads_words_alone:
        single = "one that reads words alone, as spelling with joins=False, neighbours=False"
        raise refused("encoding", single, encoding)
    robust: list[bool | None] = []
    combinations: list[int] = []
    for number, (text, label) in enumerate(zip(texts, labels, strict=True)):
        forms = _Forms(text, encoding)
        combinations.append(forms.combinations)
        if forms.combinations <= limit:
            robust.append(_all_right(classify, forms, label))
        else:
            wrong = _search(classify, forms, label, generator(0, "worst case", number))
            robust.append(False if wrong else None)
    return WorstCase(tuple(robust), tuple(combinations))


class _Forms:
    """A text as the canonical forms that each of its segments can take, its own first."""

    def __init__(self, text: Text, encoding: Encoding) -> None:
        self._is_pair = not isinstance(text, str)
        self._sides: list[list[str]] = []
        self.options: list[list[str]] = []
        for side in (text,) if isinstance(text, str) else text:
            between, done = [], 0
            for start, end, is_encoded in _words(encoding, side):
                word = side[start:end]
                own = encoding.word(word) if is_encoded else word
                found = reachable(encoding, word) if is_encoded else single_typos(word)
                self.options.append([own, *sorted(set(found) - {own})])
                between.append(side[done:start])
                done = end
            self._sides.append([*between, side[done:]])
        self.combinations = math.prod(map(len, self.options))

    def text(self, forms: Sequence[str]) -> Text:
        """The canonical text with the given form of each segment."""
        rest, sides = iter(forms), []
        for *between, end in self._sides:
            sides.append("".join([*(piece + next(rest) for piece in between), end]))
        return (sides[0], sides[1]) if self._is_pair else sides[0]


def _words(encoding: Encoding, text: str) -> list[tuple[int, int, bool]]:
    """The segments of a text, and its words outside of them, such as those of an address."""
    segments = encoding.segments(text)
    outside = [
        (start, end, False)
        for start, end in word_spans(text)
        if not any(a < end and start < b for a, b in segments)
    ]
    return sorted([*((start, end, True) for start, end in segments), *outside])


def _margins(classify: Classify, texts: list[Text], label: int) -> np.ndarray:
    """Score of the right class less that of the best other one, ``(texts,)``."""
    scores = np.asarray(classify(texts), dtype=np.float64)
    others = np.delete(scores, label, axis=1)
    # As argmax has it, the first of equal scores is the answer.
    margins: np.ndarray = scores[:, label] - others.max(axis=1)
    ties = (margins == 0) & (scores.argmax(axis=1) != label)
    margins[ties] = -np.finfo(np.float64).tiny
    return margins


def _all_right(classify: Classify, forms: _Forms, label: int) -> bool:
    texts = map(forms.text, itertools.product(*forms.options))
    return all((_margins(classify, batch, label) >= 0).all() for batch in _batches(texts))


def _batches(texts: Iterator[Text]) -> Iterator[list[Text]]:
    while batch := list(itertools.islice(texts, _BATCH)):
        yield batch


def _search(classify: Classify, forms: _Forms, label: int, rng: np.random.Generator) -> bool:
    """Whether a combination is found that is classified wrong."""
    for start in range(_STARTS):
        chosen = [
            options[int(rng.integers(len(options))) if start else 0] for options in forms.options
        ]
        least = _margins(classify, [forms.text(chosen)], label)[0]
        improved = True
        while improved and least >= 0:
            improved = False
            for place in rng.permutation(len(chosen)).tolist():
                options = forms.options[place]
                if len(options) == 1:
                    continue
                texts = [forms.text([*chosen[:place], o, *chosen[place + 1 :]]) for o in options]
                margins = _margins(classify, texts, label)
                if margins.min() < least:
                    least, improved = margins.min(), True
                    chosen[place] = options[int(margins.argmin())]
                if least < 0:
                    return True
        if least < 0:
            return True
    return False
