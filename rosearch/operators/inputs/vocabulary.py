"""The tokens as text, and the interface to nearest words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

from rosearch.checks import refused

_INSIDE = "##"
"""WordPiece's mark of pieces inside a word."""

_BEGINS = ("Ġ", "▁")
"""Marks of pieces after a space, of byte-level BPE and SentencePiece."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer as text."""

    texts: tuple[str, ...]
    """Text of each token, by id, without marks such as ``##`` or ``Ġ``."""

    begins: tuple[bool, ...]
    """Whether the token begins a word, by id; arbitrary for special tokens."""

    special: tuple[bool, ...]
    """Whether the token is a special token such as ``[CLS]``, which has no text, by id."""

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, tokenizer: Any, *, size: int | None = None) -> Vocabulary:
        """Read the vocabulary of a Hugging Face tokenizer.

        The beginnings of words follow from marks: WordPiece marks pieces inside a word (``##``),
        byte-level BPE (``Ġ``) and SentencePiece (``▁``) those that begin one. If no token has such
        a mark, every token counts as the beginning of a word. That includes tokenizers that mark
        the last piece of a word (``</w>``), where a piece does not tell whether it begins one.

        Args:
            tokenizer: Object with ``convert_ids_to_tokens``, ``convert_tokens_to_string``,
                ``all_special_ids`` and a length.
            size: Rows of the embedding table, if it has more than the tokenizer has tokens; rows
                without a token count as special. Default: the tokenizer's length.
        """
        count = len(tokenizer)
        size = count if size is None else size
        tokens = tokenizer.convert_ids_to_tokens(list(range(min(count, size))))
        never = set(tokenizer.all_special_ids)
        # The empty string stands for special tokens and for rows without a token.
        known = [k not in never and isinstance(token, str) for k, token in enumerate(tokens)]
        plain = [token if fine else "" for token, fine in zip(tokens, known, strict=True)]
        plain += [""] * (size - len(tokens))
        marks = [(sum(t.startswith(mark) for t in plain), mark) for mark in (_INSIDE, *_BEGINS)]
        marked, mark = max(marks, key=itemgetter(0))
        texts, begins = plain, [True] * size
        if marked and mark == _INSIDE:
            begins = [not token.startswith(mark) or token == mark for token in plain]
            texts = [token if token == mark else token.removeprefix(mark) for token in plain]
        elif marked:
            begins = [token.startswith(mark) for token in plain]
            # Byte-level tokens spell bytes, which the tokenizer can turn into text.
            texts = [tokenizer.convert_tokens_to_string([t]).strip() if t else "" for t in plain]
        # "[unused7]" in BERT's vocabulary is a free place.
        unused = re.compile(r"\[unused.*\]", re.DOTALL)
        pairs = zip(plain, texts, strict=True)
        special = (not token or unused.fullmatch(text) is not None for token, text in pairs)
        return cls(tuple(texts), tuple(begins), tuple(special))

    def words(self) -> dict[str, int]:
        """Return the ids of tokens that can be a whole word, by text.

        They begin a word and have two or more letters: vectors of single letters and foreign
        characters lie near each other without being synonyms. Such a token may also begin a
        longer word that is split into pieces. Of several tokens with one text the first counts.
        """
        found: dict[str, int] = {}
        parts = zip(self.texts, self.begins, self.special, strict=True)
        for number, (text, begins, special) in enumerate(parts):
            if begins and not special and len(text) > 1 and text.isalpha():
                found.setdefault(text, number)
        return found

    def near(
        self, nearest_words: NearestWords, *, count: int
    ) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """Find the nearest words of each word, by ids.

        Args:
            nearest_words: Nearest words of each word.
            count: Maximum number of neighbours of a word.

        Yields:
            For each of :meth:`words` its id, and the ids and nearness of its neighbours, nearest
            first.
        """
        words = self.words()
        found = nearest_words.neighbours(list(words), count=count)
        for own, near in zip(words.values(), found, strict=True):
            yield own, [(words[word], nearness) for word, nearness in near]

    def check(self, size: int) -> None:
        """Raise an ArgumentError unless there are ``size`` tokens."""
        if len(self) != size:
            expected = f"made with Vocabulary.of(tokenizer, size={size})"
            raise refused("vocabulary", expected, f"{len(self)} tokens")


class NearestWords(Protocol):
    """Nearest words of each word."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Settings that determine the results, as plain values."""

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        """Return up to ``count`` other words from ``words`` for each, nearest first, with their
        nearness, above 0 and at most 1.
        """
