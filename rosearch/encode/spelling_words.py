"""Single words as the known words that they are read as."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping

from rosearch.encode.look_alikes import UNKNOWN, is_latin_word, lower_case, skeleton
from rosearch.encode.spelling_channel import Channel, best

TRIMMED = "'-*@_"
"""Signs at both ends of a run of characters that are no part of the word, as words are trimmed."""

_MAX_FORMS = 1 << 18
"""Words that are remembered besides the known ones."""

_LONGEST = 64
"""Letters of the longest word that is looked for, and remembered."""

_LONG = 6
"""Letters of a word from which two edits are undone."""

_INNER_CAPITAL = re.compile(r"([A-Za-z][a-z'\-]*)[A-Z][a-z'\-]*")
_HYPHENS = re.compile("(-+)")
_REPEATED = re.compile(r"(.)\1{2,}")
_LETTERS = [str.maketrans("01345@7", f"o{one}easat") for one in "li"]
_DIGITS = str.maketrans("loi", "101")


class WordSpeller:
    """Reads single words as known ones, and remembers how.

    Args:
        counts: Occurrences of each known word.
        merged: Known words that are read as another one.
        channel: The known words that typos come from.
        max_edits: As the setting of :class:`~rosearch.encode.Spelling`.
        unknown: Likewise.
    """

    def __init__(
        self,
        counts: Mapping[str, float],
        merged: Mapping[str, str],
        channel: Channel,
        *,
        max_edits: int,
        unknown: str,
    ) -> None:
        self._counts = counts
        self._merged = merged
        self._channel = channel
        self._max_edits = max_edits
        self._keeps_unknown = unknown == "keep"
        self._forms = {word: word for word in (*counts, UNKNOWN)} | dict(merged)
        self._most = len(self._forms) + _MAX_FORMS
        self.rivals: dict[str, Mapping[str, float]] = {}
        """Of each unknown word met so far that may be several known ones, their probabilities."""

    @property
    def is_full(self) -> bool:
        """Whether so many words are remembered that it is time for another instance."""
        return len(self._forms) > self._most

    def form(self, word: str) -> str:
        """Return the canonical form of a lower-case word; it may be several words."""
        found = self._forms.get(word)
        if found is None:
            found = self._step(word)
            if found != word:
                found = " ".join(map(self.form, found.split(" ")))
            if found != word and not found.isascii():
                found = lower_case(skeleton(found))  # what hid that it looks Latin may be gone
            if len(word) <= _LONGEST:
                self._forms[word] = found
        return found

    def _step(self, word: str) -> str:
        if place := inner_capital(word):
            lowered = word.lower()
            return best(self._channel.capital(lowered, place)) or lowered
        plain = word.replace("`", "'")
        core = plain.strip(TRIMMED)
        if core != word:
            return plain.replace(core, self.form(core)) if core else plain
        if not 1 < len(word) <= _LONGEST:
            return word
        if is_latin_word(word):
            return self._nearest(word) or (word if self._keeps_unknown else UNKNOWN)
        return self._without_digits(word)

    def _single(self, word: str) -> str:
        """The canonical form of a part of a word, if it is one word."""
        form = self.form(word)
        return word if " " in form else form

    def _without_digits(self, word: str) -> str:
        """Undo digits that stand for letters, and letters that stand for digits."""
        kept = sum(map(str.isalpha, word))
        if kept > 1 and 2 * kept >= len(word):
            for letters in map(word.translate, _LETTERS):
                if letters in self._counts:
                    return letters
        digits = word.translate(_DIGITS)
        return digits if digits.isdecimal() or digits in self._counts else word

    def _nearest(self, word: str) -> str | None:
        """The known word or words that an unknown one is read as, if there are any."""
        simple = max(
            (form for form in _simpler(word) if form in self._counts),
            key=lambda form: self._counts[form] > 0,
            default=None,
        )
        if simple:
            return simple
        if word.endswith("'s") and (stem := self._single(word[:-2])) in self._counts:
            return f"{stem}'s"
        written = _REPEATED.sub(r"\1\1", word)
        found: dict[str, float] = {}
        for known, probability in self._channel.one_edit(written).items():
            form = self._merged.get(known, known)
            found[form] = found.get(form, 0.0) + probability
        if len(found) > 1:
            self.rivals[word] = found
        if not found and "-" in word:
            return "".join(self._single(part) if part else "" for part in _HYPHENS.split(word))
        if not found:
            found = self._channel.cuts(written)
            if self._max_edits == 2 and len(written) >= _LONG:
                found |= self._channel.two_edits(written)
        return best(found)


def inner_capital(word: str) -> int:
    """Where the one capital inside a Latin word is that is otherwise lower-case; 0: nowhere."""
    match = _INNER_CAPITAL.fullmatch(word)
    return match.end(1) if match and not word.isupper() else 0


def is_target(word: str) -> bool:
    """Whether a known word may be what a typo comes from."""
    return is_latin_word(word) and (len(word) > 1 or word in "ai")


def _simpler(word: str) -> Iterator[str]:
    """A word without accents, and with each run of three and more equal letters cut to 2 or 1."""
    plain = word
    if not word.isascii():
        letters = unicodedata.normalize("NFD", word)
        plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
        yield plain
    between = _REPEATED.split(plain)
    if 1 < len(between) < 8:
        for lengths in itertools.product((2, 1), repeat=len(between) // 2):
            runs = [run * n for run, n in zip(between[1::2], lengths, strict=True)]
            yield "".join(itertools.chain(*zip(between[::2], [*runs, ""], strict=True)))
