"""Spelling: misspelt words read as the known words that they most probably come from."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rosearch.checks import number
from rosearch.data import TextDataset
from rosearch.encode.base import Encoding, Evidence, encodings
from rosearch.encode.dictionaries import DICTIONARIES, word_shares
from rosearch.encode.look_alikes import (
    UNKNOWN,
    is_latin_word,
    is_plain_word,
    lower_case,
    skeleton,
)
from rosearch.encode.spelling_channel import Channel, best
from rosearch.encode.spelling_context import Context, pair_counts
from rosearch.parameters import Choice
from rosearch.words import word_spans, words_of

_MAX_RUNS = 1 << 18
"""Words with their punctuation after which what was met is forgotten."""

_JOINTS = {" ": "", "$": "s", "|": "l", "!": "i"} | dict.fromkeys(
    "\u00ad\u200b\u200c\u200d\u2060\ufeff", ""
)
"""What may stand inside a word and cut it, and the letter it stands for. The last six have no
width (soft hyphen, zero-width spaces and joiners)."""

_INNER_CAPITAL = re.compile(r"([A-Za-z][a-z'\-]*)[A-Z][a-z'\-]*")
_HYPHENS = re.compile("(-+)")
_REPEATED = re.compile(r"(.)\1{2,}")
_RUN = re.compile(r"\S+")
_BESIDE = re.compile(r"[ ,;:\"'()\-]{1,3}")
"""What may stand between a word and the words that have a say in its spelling."""
_ADDRESS = re.compile(r"://|www\.|\w@[\w\-]+(?:\.[\w\-]+)*\.[a-zA-Z]{2,}")
_LETTERS = [str.maketrans("01345@7", f"o{one}easat") for one in "li"]
_DIGITS = str.maketrans("loi", "101")
_TRIMMED = "'-*@_"  # as words are trimmed

_LONGEST = 64
"""Letters of the longest word that is looked for."""

_FEWEST = 3
"""Letters of a known word that the training texts lack."""

_FEWEST_OF_TOKEN = 4
"""Letters of a known word that only the tokenizer has: many shorter tokens are fragments."""

_LONG = 6
"""Letters of a word from which two edits are undone."""


@dataclass(slots=True)
class _Part:
    """One word or one that was cut: where it is, as written and as spelt, all lower-case."""

    start: int
    end: int
    written: str
    spelt: str
    is_joined: bool = False


@encodings.register("spelling")
class Spelling(Encoding):
    r"""Reads an unknown word as the known word that it most probably comes from.

    Known are the words of the training texts, those of a dictionary, where the tokenizer is given
    its whole words, and where exchanges are given what they may put into the texts. An unknown word
    is read as the known word from which a noisy channel makes it with the highest probability
    (Kernighan, Church and Gale 1990): the probability of the typo times that of the word.
    Look-alike characters, accents, repeated letters and digits that stand for letters are
    undone first. A word that a space has cut is joined (``"te rrible"``), and words that have run
    together are cut (``"goodfilm"``). Words of other scripts, numbers, addresses and identifiers
    stay as they are, and so does a word with no known word near it.

    Where several known words are one edit away, the words beside it have a say: their pairs in the
    training texts decide with the noisy channel (Church and Gale 1991). They are one segment then.

    A known word is read as another one too where that is more probable: a rare word one edit away
    from a frequent one (Mays, Damerau and Mercer 1991).
    """

    choices = {
        "max_edits": Choice(1, 2, default=2),
        "typo_rate": Choice(
            0.0, 0.03, 0.3, default=0.03, check=lambda n, v: number(n, v, 0.0, 0.99)
        ),
        "case": Choice("lower", "keep"),
        "dictionary": Choice(*DICTIONARIES),
        "joins": Choice(True, False),
        "neighbours": Choice(True, False),
        "unknown": Choice("keep", "unk"),
    }
    """``max_edits``: edits undone in words of six letters or more; one in shorter words.
    ``typo_rate``: share of words that are taken to be typos, for known words; at 0 they stay.
    ``case``: ``"keep"`` restores capitals at the start of a word or throughout.
    ``dictionary``: ``"english"`` adds some 83,000 words; needs rosearch[dictionary].
    ``joins``: whether words that a space has cut are joined.
    ``neighbours``: whether the words beside a misspelt one have a say. Without both, each word is
    read by itself.
    ``unknown``: whether words with no known word near them stay, or are all read as "unk"."""

    level = "characters"
    version = 2
    source = "Kernighan, Church and Gale (COLING 1990)"

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Count the known words, and find those that are read as others.

        Returns:
            ``counts``: occurrences of each known word in the training texts and, as far as a
            dictionary tells, in other texts of the same size; ``merged``: known words that are read
            as another one; ``apart``: pairs of words in the training texts that would be one known
            word without the space; ``mixed``: words with a capital inside in the training texts;
            ``pairs``: occurrences of the most frequent pairs of words.
        """
        counts: dict[str, float] = {}
        for word, count in evidence.counts.items():
            if word := lower_case(skeleton(word)).strip(_TRIMMED):
                counts[word] = counts.get(word, 0) + count
        size = sum(counts.values())
        for word, share in word_shares(str(settings["dictionary"])).items():
            if word in counts or len(word) >= _FEWEST:
                counts[word] = round(counts.get(word, 0) + size * share, 3)
        offered = _offered(evidence)
        for word in sorted(whole_words(evidence.tokenizer) | offered):
            if word in offered or len(word) >= _FEWEST_OF_TOKEN:
                counts.setdefault(word, 0)
        pairs: Counter[tuple[str, str]] = Counter()
        apart: set[str] = set()
        for side in _sides(evidence.train):
            for first, separator, second in _neighbours(side.lower()):
                if _BESIDE.fullmatch(separator):
                    pairs[first, second] += 1
                if separator == " " and first + second in counts:
                    apart.add(f"{first} {second}")
        merged = _merged(counts, float(settings["typo_rate"]), kept=offered)
        mixed = {
            word.lower()
            for side in _sides(evidence.train)
            for word in words_of(side)
            if _inner_capital(word)
        }
        return {
            "counts": counts,
            "merged": merged,
            "apart": sorted(apart),
            "mixed": sorted(mixed),
            "pairs": pair_counts(pairs) if settings["neighbours"] else {},
        }

    def segments(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each word.

        A word that spaces have cut is one segment, and so is a misspelt one with the words beside
        it that have a say.
        """
        parts = self._parts(text)
        if not self._rivals:
            return [(part.start, part.end) for part in parts]
        segments: list[tuple[int, int]] = []
        was_open = False
        for k, part in enumerate(parts):
            is_open = part.written in self._rivals
            if (is_open or was_open) and k and _is_beside(text, parts[k - 1], part):
                segments[-1] = (segments[-1][0], part.end)
            else:
                segments.append((part.start, part.end))
            was_open = is_open
        return segments

    def word(self, word: str) -> str:
        pieces, done = [], 0
        for part in self._parts(word):
            pieces += [word[done : part.start], self._cased(word[part.start : part.end], part)]
            done = part.end
        return "".join([*pieces, word[done:]])

    def _parts(self, text: str) -> list[_Part]:
        """The segments of a text, spelt. Neighbours are joined until no two can be."""
        if len(self._runs) > _MAX_RUNS:
            del self._forms, self._rivals, self._runs
        runs, counts, joins = self._runs, self._counts, self.settings["joins"]
        parts: list[_Part] = []
        last: _Part | None = None
        for run in _RUN.finditer(text):
            word, place = run.group(), run.start()
            found = runs.get(word)
            for start, end, written, spelt in self._run(word) if found is None else found:
                part = _Part(place + start, place + end, written, spelt)
                if joins and last:
                    # Most neighbours are known words, and no word together.
                    is_spelt = written == spelt and last.written == last.spelt
                    if not is_spelt or last.written + written in counts or place <= last.start:
                        part = self._joined_to_all(parts, part, text)
                parts.append(part)
                last = part
        if self._rivals:
            self._ask_neighbours(text, parts)
        return parts

    def _run(self, run: str) -> tuple[tuple[int, int, str, str], ...]:
        """The words of a text without white space: start, end, as written, and as spelt."""
        words = []
        lowered = lower_case(run)
        spans = () if _ADDRESS.search(run) else word_spans(run.replace("`", "'"))
        for start, end in spans:
            original, written = run[start:end], lowered[start:end]
            place = _inner_capital(original) if original != written else 0
            if place and written not in self._mixed:
                written = f"{written[:place]}{original[place]}{written[place + 1 :]}"
            elif not written.isascii():
                # Some letters look like Latin ones in lower case only.
                written = lower_case(skeleton(lower_case(skeleton(original))))
            words.append((start, end, written, self._forms.get(written) or self._form(written)))
        found = self._runs[run] = tuple(words)
        return found

    def _joined_to_all(self, parts: list[_Part], part: _Part, text: str) -> _Part:
        """A part with those before it that it is one word with; they are taken off ``parts``."""
        while parts and (joint := _JOINTS.get(text[parts[-1].end : part.start])) is not None:
            joined = self._joined(parts[-1], part, joint)
            if joined is None:
                break
            parts.pop()
            part = joined
        return part

    def _ask_neighbours(self, text: str, parts: list[_Part]) -> None:
        """Spell the words that have rivals by the words beside them, from left to right."""
        for k, part in enumerate(parts):
            rivals = self._rivals.get(part.written)
            if not rivals:
                continue
            before, after = parts[k - 1 : k], parts[k + 1 : k + 2]
            left = before[0].spelt if before and _is_beside(text, before[0], part) else None
            right = after[0].spelt if after and _is_beside(text, part, after[0]) else None
            if self.settings["joins"]:
                # Else the canonical text would have another canonical form.
                rivals = {
                    word: probability
                    for word, probability in rivals.items()
                    if not (left and self._is_cut(left, word, ""))
                    and not (right and self._is_cut(word, right, ""))
                }
            part.spelt = self._context.best(rivals, left, right) or part.spelt

    def _joined(self, a: _Part, b: _Part, joint: str) -> _Part | None:
        """Two neighbouring parts as one, if they are one known word that has been cut."""
        if self._is_cut(a.written, b.written, joint):
            whole = a.written + joint + b.written
            return _Part(a.start, b.end, whole, self._forms[whole], is_joined=True)
        if a.written == a.spelt and b.written == b.spelt:
            return None
        # Else the canonical text would have another canonical form.
        head, _, last = a.spelt.rpartition(" ")
        first, _, tail = b.spelt.partition(" ")
        if not self._is_cut(last, first, joint):
            return None
        spelt = f"{head} {self._forms[last + joint + first]} {tail}".strip()
        return _Part(a.start, b.end, spelt, spelt, is_joined=True)

    def _is_cut(self, a: str, b: str, joint: str) -> bool:
        counts = self._counts
        if a + joint + b not in counts:
            return False
        if a not in counts or b not in counts or joint:
            return True
        return f"{a} {b}" not in self._apart and self._channel.is_split(a, b)

    def _form(self, word: str) -> str:
        """The canonical form of a lower-case word."""
        forms = self._forms
        form = self._step(word)
        if form != word:
            form = " ".join(forms.get(part) or self._form(part) for part in form.split(" "))
        if form != word and not form.isascii():
            form = lower_case(skeleton(form))  # what hid that it looks Latin may be gone
        forms[word] = form
        return form

    def _step(self, word: str) -> str:
        if place := _inner_capital(word):
            lowered = word.lower()
            return best(self._channel.capital(lowered, place)) or lowered
        plain = word.replace("`", "'")
        core = plain.strip(_TRIMMED)
        if core != word:
            return plain.replace(core, self._forms.get(core) or self._form(core)) if core else plain
        if not 1 < len(word) <= _LONGEST:
            return word
        if is_latin_word(word):
            return self._nearest(word) or (word if self.settings["unknown"] == "keep" else UNKNOWN)
        return self._without_digits(word)

    def _single(self, word: str) -> str:
        """The canonical form of a part of a word, if it is one word."""
        form = self._forms.get(word) or self._form(word)
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
        merged = self.learnt["merged"]
        for known, probability in self._channel.one_edit(written).items():
            form = merged.get(known, known)
            found[form] = found.get(form, 0.0) + probability
        if len(found) > 1 and self.settings["neighbours"]:
            self._rivals[word] = found
        if not found and "-" in word:
            return "".join(self._single(part) if part else "" for part in _HYPHENS.split(word))
        if not found:
            found = self._channel.cuts(written)
            if self.settings["max_edits"] == 2 and len(written) >= _LONG:
                found |= self._channel.two_edits(written)
        return best(found)

    def _cased(self, original: str, part: _Part) -> str:
        """The canonical form of a segment, with the capitals that it keeps."""
        spelt, original = part.spelt, skeleton(original)
        is_joined = not _JOINTS.keys().isdisjoint(original)
        if spelt == part.written and not is_joined and not is_plain_word(spelt.strip(_TRIMMED)):
            return original
        if self.settings["case"] == "lower" or original == original.lower():
            return spelt
        first, rest = original[:1], original[1:]
        if original.isupper() and rest:
            cased = spelt.upper()
        elif first.isupper() and rest == rest.lower():
            cased = spelt[:1].upper() + spelt[1:]
        else:
            return spelt
        return cased if lower_case(cased) == spelt else spelt  # "\u00df" has no capital of its own

    @cached_property
    def _counts(self) -> Mapping[str, float]:
        counts: Mapping[str, float] = self.learnt["counts"]
        return counts

    @cached_property
    def _apart(self) -> frozenset[str]:
        return frozenset(self.learnt["apart"])

    @cached_property
    def _mixed(self) -> frozenset[str]:
        return frozenset(self.learnt["mixed"])

    @cached_property
    def _forms(self) -> dict[str, str]:
        """The canonical form of each known word, and of those met so far."""
        merged: dict[str, str] = self.learnt["merged"]
        return {word: word for word in (*self._counts, UNKNOWN)} | merged

    @cached_property
    def _rivals(self) -> dict[str, dict[str, float]]:
        """Of each unknown word met so far that may be several known ones, their probabilities."""
        return {}

    @cached_property
    def _runs(self) -> dict[str, tuple[tuple[int, int, str, str], ...]]:
        """The words of each run of characters without white space met so far."""
        return {}

    @cached_property
    def _channel(self) -> Channel:
        return Channel({word: n for word, n in self._counts.items() if _is_target(word)})

    @cached_property
    def _context(self) -> Context:
        return Context(self._counts, self.learnt["pairs"])


def _is_target(word: str) -> bool:
    """Whether a known word may be what a typo comes from."""
    return is_latin_word(word) and (len(word) > 1 or word in "ai")


def _sides(dataset: TextDataset) -> Iterator[str]:
    for text in dataset.texts:
        yield from (text,) if isinstance(text, str) else text


def _inner_capital(word: str) -> int:
    """Where the one capital inside a Latin word is that is otherwise lower-case; 0: nowhere."""
    match = _INNER_CAPITAL.fullmatch(word)
    return match.end(1) if match and not word.isupper() else 0


def _offered(evidence: Evidence) -> set[str]:
    """The words that substitutions offer, which are words, however rare."""
    if evidence.exchanges is None:
        return set()
    return {word for _, word in evidence.exchanges.count(evidence.train.texts)}


def _merged(counts: Mapping[str, float], rate: float, *, kept: set[str]) -> dict[str, str]:
    """Known words that are more probably a typo of another, which is no typo itself."""
    merged: dict[str, str] = {}
    if not rate:
        return merged
    words = {word: count for word, count in counts.items() if _is_target(word)}
    channel = Channel(words)
    # A typo is no more probable than the word it comes from, so rarer words are no one's rivals.
    least = (1 - rate) / rate * channel.count("")
    rivals = Channel({word: count for word, count in words.items() if channel.count(word) > least})
    stable: set[str] = set()
    for word in sorted(words, key=lambda word: (-words[word], word)):
        found = rivals.one_edit(word, stable) if len(word) > 2 and word not in kept else {}
        rival = best(found)
        if rival and rate * found[rival] > (1 - rate) * channel.count(word):
            merged[word] = rival
        elif channel.count(word) > least:
            stable.add(word)
    return merged


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


def _is_beside(text: str, a: _Part, b: _Part) -> bool:
    """Whether two parts are single words that may have a say in each other's spelling."""
    return (
        _BESIDE.fullmatch(text, a.end, b.start) is not None
        and not (a.is_joined or b.is_joined)
        and " " not in a.spelt
        and " " not in b.spelt
    )


def _neighbours(text: str) -> Iterator[tuple[str, str, str]]:
    """The pairs of words one after the other, with what is between them."""
    for (start, end), (start_2, end_2) in itertools.pairwise(word_spans(text)):
        yield text[start:end], text[end:start_2], text[start_2:end_2]


def whole_words(tokenizer: Any) -> set[str]:
    """Return the words of at least two letters that are one token, in lower case.

    Vocabularies of WordPiece, byte-level, SentencePiece and ``</w>`` tokenizers are told apart by
    their marks.
    """
    tokens = [] if tokenizer is None else list(tokenizer.get_vocab())
    for mark in ("\u0120", "\u2581"):
        marked = [token[1:] for token in tokens if token.startswith(mark)]
        if 10 * len(marked) > len(tokens):
            tokens = marked
            break
    else:
        ended = [token.removesuffix("</w>") for token in tokens if token.endswith("</w>")]
        tokens = ended or tokens
    words = {token.lower() for token in tokens if len(token) > 1 and token.isalpha()}
    # Byte-level tokens spell other letters with stand-ins.
    return {word for word in words if word.isascii()} if mark == "\u0120" else words
