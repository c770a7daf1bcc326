"""What attacks may put in place of words, as tokens, for training that looks ahead of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rosearch.attack.base import SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import check_whole, public_settings
from rosearch.attack.text import AttackedInput, check_side
from rosearch.attack.training.sources import Source, answered, settings_of, swaps_of
from rosearch.attack.victim.tokenization import IncrementalTokenizer
from rosearch.choices import Choices
from rosearch.data import TextDataset
from rosearch.seeding import generator
from rosearch.tokens import Encoding

_AT_ONCE = 512


class WordReplacements:
    """The replacements that attacks choose from, for ``WordPerturbation``.

    Constraints of an attack hold for each replacement by itself. Random ones, such as character
    edits, are drawn once for each text.

    Args:
        sources: Attacks, their names, or substitutions; the choices of all are put together.
        most: Most replacements of a word; of more, so many are drawn.
        attacked_side: Which text of a pair is changed: 0 the first, 1 the second.
        seed: Root of all draws.

    Raises:
        RegistryError: There is no attack of a name.
        MissingResourceError: A source needs a resource that is not on this machine.
        DataError: A source is none, or a number is out of range.
    """

    def __init__(
        self,
        sources: Source | Sequence[Source],
        *,
        most: int = 50,
        attacked_side: int = 1,
        seed: int = 0,
    ) -> None:
        self._sources = swaps_of(sources)
        self.most = check_whole("most", most)
        self.attacked_side = check_side(attacked_side)
        self.seed = check_whole("seed", seed, least=None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every argument, as JSON has it; substitutions and constraints in full."""
        return {"sources": settings_of(self._sources), **public_settings(self)}

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> Choices:
        """The replacements of all words.

        Words that truncation cuts have none, nor have texts that are as long as rows may be.

        Args:
            dataset: The texts.
            tokenizer: Their tokenizer.
            max_length: Longest row in tokens.
        """
        tokens = IncrementalTokenizer(tokenizer, max_length=max_length)
        inputs = [AttackedInput(text, self.attacked_side) for text in dataset.texts]
        words = sorted({word for one in inputs for word in one.words.words})
        for swaps in self._sources:
            swaps.substitution.prepare(words)
        made = _Flat()
        for start in range(0, len(inputs), _AT_ONCE):
            part = inputs[start : start + _AT_ONCE]
            for one, found in zip(part, answered([self._of(one) for one in part]), strict=True):
                made.add(_slots(one, found, tokens))
        return made.arrays()

    def _of(self, one: AttackedInput) -> Asking[list[list[str]]]:
        """For each word, texts of the attacked side with the word replaced."""
        text, words = one.text, one.words
        key = text if isinstance(text, str) else "\0".join(text)
        context = SearchContext(
            score=0.0,
            indices=tuple(range(len(words))),
            text_key=key,
            seed=self.seed,
            attack="replacements",
            whole=text,
            side=one.side,
        )
        starts = [swaps.start(words, context) for swaps in self._sources]
        rng = generator(self.seed, "replacements", key)
        found: list[list[str]] = []
        for index in range(len(words)):
            texts: list[str] = []
            for swaps in starts:
                candidates = yield from swaps.candidates(words, index)
                texts += map(str, candidates.texts)
            if len(texts) > self.most:
                chosen = rng.choice(len(texts), size=self.most, replace=False)
                texts = [texts[i] for i in np.sort(chosen)]
            found.append(texts)
        return found

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        names = ", ".join(swaps.substitution.name for swaps in self._sources)
        return f"WordReplacements({names}; {shown})"


def _slots(
    one: AttackedInput, found: Sequence[Sequence[str]], tokens: IncrementalTokenizer
) -> list[tuple[int, int, list[tuple[int, ...]]]]:
    """Start and end of the tokens of each word, what stands there and what may stand there."""
    wholes = [one.text, *(one.whole(text) for texts in found for text in texts)]
    row, *variants = tokens.encode(wholes)
    if len(row.ids) >= tokens.max_length:
        return []
    spans: list[tuple[int, int, list[Encoding]]] = []
    done = 0
    for texts in found:
        part = variants[done : done + len(texts)]
        done += len(texts)
        rows = [r for r in part if len(r.ids) < tokens.max_length and r.ids != row.ids]
        if not rows:
            continue
        differing = [_differing(row, other) for other in rows]
        start, end = min(a for a, _ in differing), max(b for _, b in differing)
        while spans and start < spans[-1][1]:
            # Words that share tokens share a slot, in which one of them is replaced.
            first, last, others = spans.pop()
            start, end, rows = min(start, first), max(end, last), others + rows
        if start < end:
            spans.append((start, end, rows))
    slots = []
    for start, end, rows in spans:
        after = len(row.ids) - end
        here = row.ids[start:end]
        new = dict.fromkeys(other.ids[start : len(other.ids) - after] for other in rows)
        choices = [ids for ids in new if ids]
        if choices:
            slots.append((start, end, [here, *choices]))
    return slots


def _differing(row: Encoding, other: Encoding) -> tuple[int, int]:
    """The tokens of ``row`` between the common beginning and the common end."""
    old, new = row.ids, other.ids
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    end = 0
    while end < shorter - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return start, len(old) - end


class _Flat:
    """Collects slots in flat lists."""

    def __init__(self) -> None:
        self.first_slots, self.first_choices, self.first_ids = [0], [0], [0]
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.ids: list[int] = []

    def add(self, slots: Sequence[tuple[int, int, Sequence[tuple[int, ...]]]]) -> None:
        for start, end, choices in slots:
            self.starts.append(start)
            self.ends.append(end)
            for ids in choices:
                self.ids += ids
                self.first_ids.append(len(self.ids))
            self.first_choices.append(len(self.first_ids) - 1)
        self.first_slots.append(len(self.starts))

    def arrays(self) -> Choices:
        names = ("first_slots", "starts", "ends", "first_choices", "first_ids")
        arrays = {name: np.array(getattr(self, name), dtype=np.int64) for name in names}
        return Choices(**arrays, ids=np.array(self.ids, dtype=np.int32))
