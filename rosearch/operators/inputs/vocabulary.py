"""What inputs may know of the tokens: their text, and which words are near each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_CONTINUES = "##"
"""WordPiece's mark in front of pieces that go on with a word."""
_BEGINS = ("Ġ", "▁")
"""Marks of byte-level BPE and SentencePiece in front of pieces that a space precedes."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer as text."""

    texts: tuple[str, ...]
    """By id; what the token stands for, without marks such as ``##`` or ``Ġ``."""

    begins: tuple[bool, ...]
    """By id; whether the token begins a word, where it is no special token."""

    special: tuple[bool, ...]
    """By id; whether it is a special token such as ``[CLS]``, which stands for no text."""

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.begins) == len(self.special):
            raise ValueError(
                f"Expected as many texts as marks, got {len(self.texts)}, {len(self.begins)} and "
                f"{len(self.special)}."
            )

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, tokenizer: Any, *, size: int | None = None) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer.

        How words begin is read off the tokens: WordPiece marks pieces that go on (``##``),
        byte-level BPE (``Ġ``) and SentencePiece (``▁``) those that begin. Where no token has such
        a mark, each begins a word; so it is for tokenizers that mark a word's last piece
        (``</w>``), because a piece by itself then does not tell where its word began.

        Args:
            tokenizer: Anything with ``convert_ids_to_tokens``, ``convert_tokens_to_string``,
                ``all_special_ids`` and a length.
            size: Rows of the table of vectors, where it has more than the tokenizer has tokens;
                what no token belongs to counts as special. Default: the tokenizer's length.
        """
        count = len(tokenizer)
        size = count if size is None else size
        tokens = list(tokenizer.convert_ids_to_tokens(list(range(min(count, size)))))
        tokens += [None] * (size - len(tokens))
        never = set(tokenizer.all_special_ids)
        special = [
            token is None or k in never or not isinstance(token, str)
            for k, token in enumerate(tokens)
        ]
        plain = ["" if skip else token for token, skip in zip(tokens, special, strict=True)]
        marks = {
            mark: sum(token.startswith(mark) for token in plain) for mark in (_CONTINUES, *_BEGINS)
        }
        mark = max(marks, key=marks.__getitem__)
        if not marks[mark]:
            texts, begins = plain, [True] * size
        elif mark == _CONTINUES:
            begins = [not (token.startswith(mark) and len(token) > len(mark)) for token in plain]
            texts = [
                token if begin else token.removeprefix(mark)
                for token, begin in zip(plain, begins, strict=True)
            ]
        else:
            begins = [token.startswith(mark) for token in plain]
            # Byte-level tokens spell bytes; the tokenizer knows how to turn them into text.
            texts = [
                tokenizer.convert_tokens_to_string([token]).strip() if token else ""
                for token in plain
            ]
        # "[unused7]" in BERT's vocabulary is a place that is kept free.
        special = [
            skip or (text.startswith("[unused") and text.endswith("]"))
            for skip, text in zip(special, texts, strict=True)
        ]
        return cls(tuple(texts), tuple(begins), tuple(special))

    def words(self) -> dict[str, int]:
        """Ids of the tokens that can be a whole word, by text.

        They begin a word and are two or more letters: vectors of single letters and foreign
        characters lie near each other without being synonyms. Such a token may also begin a
        longer word that is split into pieces. Of several tokens with one text the first counts.
        """
        found: dict[str, int] = {}
        for number, text in enumerate(self.texts):
            if (
                self.begins[number]
                and not self.special[number]
                and len(text) > 1
                and text.isalpha()
            ):
                found.setdefault(text, number)
        return found

    def near(
        self, lexicon: Lexicon, *, count: int
    ) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """Each word's nearest words, by ids.

        Args:
            lexicon: Which words are near each other.
            count: Most neighbours of a word.

        Yields:
            For each of :meth:`words` its id, and the ids and nearness of its neighbours, nearest
            first.
        """
        words = self.words()
        found = lexicon.neighbours(list(words), count=count)
        for own, near in zip(words.values(), found, strict=True):
            yield own, [(words[word], nearness) for word, nearness in near]

    def check(self, size: int) -> None:
        """Refuse to describe a table of another size.

        Raises:
            ValueError: There are not ``size`` tokens.
        """
        if len(self) != size:
            raise ValueError(
                f"The vocabulary has {len(self)} tokens, the input {size}. Make it with "
                f"Vocabulary.of(tokenizer, size={size})."
            )


class Lexicon(Protocol):
    """Which words are near each other."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What decides its answers, as plain values."""

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        """For each word, up to ``count`` others with a nearness above 0 and at most 1, nearest
        first. Both are among ``words``.
        """
