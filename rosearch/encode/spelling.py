"""Spelling: misspelt words read as the known words that they most probably come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from rosearch.checks import number
from rosearch.data import TextDataset
from rosearch.encode.base import Encoding, Evidence, encodings
from rosearch.encode.dictionaries import DICTIONARIES, word_shares
from rosearch.encode.look_alikes import is_plain_word, lower_case, skeleton
from rosearch.encode.spelling_channel import Channel
from rosearch.encode.spelling_context import Context, pair_counts
from rosearch.encode.spelling_joins import Joins
from rosearch.encode.spelling_merges import merged_words
from rosearch.encode.spelling_words import TRIMMED, WordSpeller, inner_capital, is_target
from rosearch.parameters import Choice
from rosearch.words import word_spans, words_of

_MAX_RUNS = 1 << 18
"""Runs of characters that are remembered."""

_LONGEST_RUN = 64
"""Characters of a run that is remembered."""

_MAX_READINGS = 1 << 12

_JOINTS = {" ": "", "$": "s", "|": "l", "!": "i"} | dict.fromkeys(
    "\u00ad\u200b\u200c\u200d\u2060\ufeff", ""
)
"""What may stand inside a word and cut it, and the letter it stands for. The last six have no
width (soft hyphen, zero-width spaces and joiners)."""

_RUN = re.compile(r"\S+")
_BESIDE = re.compile(r"[ ,;:\"'()\-]{1,3}")
"""What may stand between a word and the words that have a say in its spelling."""
_ADDRESS = re.compile(r"://|www\.|\w@[\w\-]+(?:\.[\w\-]+)*\.[a-zA-Z]{2,}")

_FEWEST = 3
"""Letters of a known word that the training texts lack."""

_FEWEST_OF_TOKEN = 4
"""Letters of a known word that only the tokenizer has: many shorter tokens are fragments."""

_Rivals = Mapping[str, float]


@dataclass(slots=True)
class _Part:
    """One word, or one that was cut: where it is, as written and as spelt, all lower-case."""

    start: int
    end: int
    written: str
    spelt: str
    rivals: _Rivals | None = None
    """The known words that the words beside it choose from, with their probabilities."""

    is_joined: bool = False


@dataclass(frozen=True, slots=True)
class _Memory:
    """What was met so far: words, and the words of each run of characters without white space.

    It is replaced as a whole, so that threads do not see parts of different age.
    """

    speller: WordSpeller
    runs: dict[str, tuple[tuple[int, int, str, str, _Rivals | None], ...]] = field(
        default_factory=dict
    )


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

    Where one edit leads to several known words, the words beside it have a say: their pairs in the
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
    """``max_edits``: edits undone in words of six letters or more; one in shorter words. Two only
    lead to words that the training texts have three times.
    ``typo_rate``: share of words that are taken to be typos, for known words; at 0 they stay.
    ``case``: ``"keep"`` restores capitals at the start of a word or throughout.
    ``dictionary``: ``"english"`` adds some 83,000 words; needs rosearch[dictionary].
    ``joins``: whether words that a space has cut are joined.
    ``neighbours``: whether the words beside a misspelt one have a say. With neither this nor
    ``joins`` each word is read by itself.
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
        plain = cache(_plain)
        for word, count in evidence.counts.items():
            if word := plain(word):
                counts[word] = counts.get(word, 0) + count
        size = sum(counts.values())
        for word, share in word_shares(str(settings["dictionary"])).items():
            if word in counts or len(word) >= _FEWEST:
                counts[word] = round(counts.get(word, 0) + size * share, 3)
        offered = _offered(evidence)
        for word in sorted({*map(plain, whole_words(evidence.tokenizer)), *offered} - {""}):
            if word in offered or len(word) >= _FEWEST_OF_TOKEN:
                counts.setdefault(word, 0)
        merged = merged_words(counts, float(settings["typo_rate"]), kept=offered)
        pairs: Counter[tuple[str, str]] = Counter()
        apart: set[str] = set()
        for side in _sides(evidence.train):
            for first, separator, second in _word_pairs(side.lower()):
                if settings["neighbours"] and _BESIDE.fullmatch(separator):
                    first_plain, second_plain = plain(first), plain(second)
                    known = merged.get(first_plain, first_plain)
                    pairs[known, merged.get(second_plain, second_plain)] += 1
                if separator == " " and first + second in counts:
                    apart.add(f"{first} {second}")
        mixed = {
            word.lower()
            for side in _sides(evidence.train)
            for word in words_of(side)
            if inner_capital(word)
        }
        return {
            "counts": counts,
            "merged": merged,
            "apart": sorted(apart),
            "mixed": sorted(mixed),
            "pairs": pair_counts(pairs),
        }

    @property
    def reads_words_alone(self) -> bool:
        """Whether neither ``joins`` nor ``neighbours`` is on."""
        return not (self.settings["joins"] or self.settings["neighbours"])

    @property
    def reach(self) -> int:
        """One word, which a changed one may be joined with, or decide between the rivals of."""
        return 0 if self.reads_words_alone else 1

    def segments(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each word.

        A word that spaces have cut is one segment, and so is a misspelt one with the words beside
        it that have a say.
        """
        segments: list[tuple[int, int]] = []
        last: _Part | None = None
        for part in self._parts(text):
            if last and (part.rivals or last.rivals) and self._touch(text, last, part):
                segments[-1] = (segments[-1][0], part.end)
            else:
                segments.append((part.start, part.end))
            last = part
        return segments

    def word(self, word: str) -> str:
        pieces, done = [], 0
        for part in self._parts(word):
            pieces += [word[done : part.start], self._cased(word[part.start : part.end], part)]
            done = part.end
        return "".join([*pieces, word[done:]])

    def edits(self, segment: str) -> list[tuple[int, int, int, int]]:
        """Return where a segment and its canonical form differ, word by word."""
        found, shift = [], 0
        for part in self._parts(segment):
            old = segment[part.start : part.end]
            new = self._cased(old, part)
            if new != old:
                start = part.start + shift
                found.append((part.start, part.end, start, start + len(new)))
                shift += len(new) - len(old)
        return found

    def readings(self, part: str) -> tuple[str, ...] | None:
        """Return everything that a part of a text may be read as; ``None`` if that is too much."""
        found, done = [""], 0
        for word in self._parts(part):
            # Which of its rivals a word is read as may depend on the words beside it.
            alone = self._memory.speller.form(word.written)
            forms = {word.spelt} if word.rivals is None else {word.spelt, alone, *word.rivals}
            original, between = part[word.start : word.end], part[done : word.start]
            endings = [self._cased(original, replace(word, spelt=form)) for form in sorted(forms)]
            found = [f"{start}{between}{ending}" for start in found for ending in endings]
            if len(found) > _MAX_READINGS:
                return None
            done = word.end
        return tuple(f"{start}{part[done:]}" for start in found)

    def may_join(self, left: str, right: str) -> bool:
        """Return whether a word of the first part and one of the second are read as one."""
        place = len(left)
        return any(word.start < place < word.end for word in self._parts(left + right))

    def reads_apart(self, left: str, run: str, right: str) -> bool:
        """Return whether a run is one word that no word beside it decides, nor is joined with."""
        if self.reads_words_alone:
            return True
        own = self._one_word(run)
        before = self._one_word(left) if left else None
        after = self._one_word(right) if right else None
        if own is None or (left and before is None) or (right and after is None):
            return False
        start, end, written, spelt = own
        # A misspelt one may be joined with the next word but one.
        if (before and before[2] != before[3]) or (after and after[2] != after[3]):
            return False
        if not self.settings["joins"]:
            return True
        # White space is no joint where other signs stand beside it.
        begins = ends = False
        if before and not start and before[1] == len(left):
            begins = self._more.may_begin(before[2], written, spelt.partition(" ")[0])
        if after and end == len(run) and not after[0]:
            ends = self._more.may_end(after[2], written, spelt.rpartition(" ")[2])
        return not (begins or ends)

    def _one_word(self, run: str) -> tuple[int, int, str, str] | None:
        """The word of a run, as :meth:`_run` has it, if it is a single one without rivals."""
        memory = self._memory
        found = memory.runs.get(run) or self._run(run, memory)
        return found[0][:4] if len(found) == 1 and found[0][4] is None else None

    def _parts(self, text: str) -> list[_Part]:
        """The words of a text, spelt. Those beside each other are joined until no two can be."""
        memory = self._memory
        if memory.speller.is_full or len(memory.runs) > _MAX_RUNS:
            self.__dict__.pop("_memory", None)
            memory = self._memory
        runs, counts, joins = memory.runs, self._counts, self.settings["joins"]
        parts: list[_Part] = []
        last: _Part | None = None
        is_open = False
        for run in _RUN.finditer(text):
            word, place = run.group(), run.start()
            found = runs.get(word)
            for start, end, written, spelt, rivals in (
                self._run(word, memory) if found is None else found
            ):
                part = _Part(place + start, place + end, written, spelt, rivals)
                is_open |= rivals is not None
                if joins and last:
                    # Most neighbours are known words, and no word together.
                    is_spelt = written == spelt and last.written == last.spelt
                    if not is_spelt or last.written + written in counts or place <= last.start:
                        part = self._joined_to_all(parts, part, text)
                parts.append(part)
                last = part
        if is_open:
            self._ask_neighbours(text, parts)
        return parts

    def _run(
        self, run: str, memory: _Memory
    ) -> tuple[tuple[int, int, str, str, _Rivals | None], ...]:
        """The words of a run: start, end, as written, as spelt, and their rivals."""
        words = []
        speller, asks = memory.speller, self.settings["neighbours"]
        lowered = lower_case(run)
        spans = () if _ADDRESS.search(run) else word_spans(run.replace("`", "'"))
        for start, end in spans:
            original, written = run[start:end], lowered[start:end]
            place = inner_capital(original) if original != written else 0
            if place and written not in self._mixed:
                written = f"{written[:place]}{original[place]}{written[place + 1 :]}"
            elif not written.isascii():
                # Some letters look like Latin ones in lower case only.
                written = lower_case(skeleton(lower_case(skeleton(original))))
            spelt = speller.form(written)
            rivals = speller.rivals.get(written) if asks else None
            words.append((start, end, written, spelt, rivals))
        found = tuple(words)
        if len(run) <= _LONGEST_RUN:
            memory.runs[run] = found
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
            if part.rivals is None:
                continue
            before = parts[k - 1] if k else None
            after = parts[k + 1] if k + 1 < len(parts) else None
            left = before.spelt if before and _has_say(text, before, part) else None
            right = after.spelt if after and _has_say(text, part, after) else None
            rivals = part.rivals
            if self.settings["joins"]:
                # Else the canonical text would have another canonical form.
                rivals = {
                    word: probability
                    for word, probability in rivals.items()
                    if not (before and self._joins(text, before, before.spelt, part, word))
                    and not (after and self._joins(text, part, word, after, after.spelt))
                }
            part.spelt = self._context.best(rivals, left, right) or part.spelt

    def _touch(self, text: str, a: _Part, b: _Part) -> bool:
        """Whether the spelling of two parts may depend on each other."""
        is_cut = self.settings["joins"] and text[a.end : b.start] in _JOINTS
        return bool(is_cut) or _has_say(text, a, b)

    def _joins(self, text: str, a: _Part, spelt: str, b: _Part, spelt_b: str) -> bool:
        """Whether two parts would be joined if they were spelt like this."""
        joint = _JOINTS.get(text[a.end : b.start])
        if joint is None:
            return False
        return self._is_cut(spelt.rpartition(" ")[2], spelt_b.partition(" ")[0], joint)

    def _joined(self, a: _Part, b: _Part, joint: str) -> _Part | None:
        """Two parts beside each other as one, if they are one known word that has been cut."""
        merged = self.learnt["merged"]
        if self._is_cut(a.written, b.written, joint):
            whole = a.written + joint + b.written
            return _Part(a.start, b.end, whole, merged.get(whole, whole), is_joined=True)
        if a.written == a.spelt and b.written == b.spelt:
            return None
        # Else the canonical text would have another canonical form.
        head, _, last = a.spelt.rpartition(" ")
        first, _, tail = b.spelt.partition(" ")
        if not self._is_cut(last, first, joint):
            return None
        whole = last + joint + first
        words: list[str] = []
        for word in (*head.split(), merged.get(whole, whole), *tail.split()):
            whole = word
            while words and self._is_cut(words[-1], whole, ""):
                whole = words.pop() + whole
                whole = merged.get(whole, whole)
            words.append(whole)
        spelt = " ".join(words)
        return _Part(a.start, b.end, spelt, spelt, is_joined=True)

    def _is_cut(self, a: str, b: str, joint: str) -> bool:
        counts = self._counts
        if a + joint + b not in counts:
            return False
        if a not in counts or b not in counts or joint:
            return True
        return f"{a} {b}" not in self._apart and self._channel.is_split(a, b)

    def _cased(self, original: str, part: _Part) -> str:
        """The canonical form of a part, with the capitals that it keeps."""
        spelt, original = part.spelt, skeleton(original)
        is_joined = not _JOINTS.keys().isdisjoint(original)
        if spelt == part.written and not is_joined and not is_plain_word(spelt.strip(TRIMMED)):
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
    def _more(self) -> Joins:
        return Joins(self._counts, self.learnt["merged"])

    @cached_property
    def _apart(self) -> frozenset[str]:
        return frozenset(self.learnt["apart"])

    @cached_property
    def _mixed(self) -> frozenset[str]:
        return frozenset(self.learnt["mixed"])

    @cached_property
    def _memory(self) -> _Memory:
        edits, unknown = int(self.settings["max_edits"]), str(self.settings["unknown"])
        merged = self.learnt["merged"]
        return _Memory(
            WordSpeller(self._counts, merged, self._channel, max_edits=edits, unknown=unknown)
        )

    @cached_property
    def _channel(self) -> Channel:
        return Channel({word: n for word, n in self._counts.items() if is_target(word)})

    @cached_property
    def _context(self) -> Context:
        return Context(self._counts, self.learnt["pairs"])


def _plain(word: str) -> str:
    return lower_case(skeleton(word)).strip(TRIMMED)


def _sides(dataset: TextDataset) -> Iterator[str]:
    for text in dataset.texts:
        yield from (text,) if isinstance(text, str) else text


def _offered(evidence: Evidence) -> set[str]:
    """The words that substitutions offer, which are words, however rare."""
    if evidence.exchanges is None:
        return set()
    return {_plain(word) for _, word in evidence.exchanges.count(evidence.train.texts)}


def _has_say(text: str, a: _Part, b: _Part) -> bool:
    """Whether two parts are single words that may have a say in each other's spelling."""
    return (
        _BESIDE.fullmatch(text, a.end, b.start) is not None
        and not (a.is_joined or b.is_joined)
        and " " not in a.spelt
        and " " not in b.spelt
    )


def _word_pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Words one after the other, with what is between them."""
    spans = word_spans(text)
    for (start, end), (start_2, end_2) in zip(spans, spans[1:], strict=False):
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
