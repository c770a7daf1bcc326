"""Incremental tokenization of many variants of one text.

A perturbed text differs from its original in a word or two. Each text is split before every space
that follows a non-space character, each chunk is tokenized once and cached, and a text's tokens are
those of its chunks. This equals tokenizing the whole text for tokenizers that never join tokens
across such a split. Whether a tokenizer is of this kind is read from its components, and the first
texts are also tokenized as a whole to check it; if in doubt, whole texts are tokenized.

If the tokenizer applies an encoding, the chunks are those of the canonical texts.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.memory import BoundedMemory, size_of
from rosearch.data import Text
from rosearch.encode.tokenizer import encoding_of, plain_tokenizer
from rosearch.tokens import (
    TokenizedText,
    length_limit,
    pads_left,
    require_padding,
    tokenize,
    visible_span,
)

# Not before other white space: "\n  b" is one run for byte-level pre-tokenizers. Python's \s
# contains all characters that tokenizers treat as white space, so no such run is split.
CHUNK_START = re.compile(r"(?<=\S)(?= )")

_SAFE_NORMALIZERS = {
    "BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD"
}  # fmt: skip
_SPLITTING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Metaspace"}
_SAFE_PRE_TOKENIZERS = _SPLITTING | {"Punctuation", "Digits", "UnicodeScripts"}
_CHECKED_TEXTS = 512


class IncrementalTokenizer:
    """A tokenizer that caches the chunks of texts.

    Args:
        tokenizer: Any Hugging Face tokenizer.
        max_length: Maximum row length, special tokens included. Default: the tokenizer's limit.
        truncates: ``False`` leaves rows as long as texts are.

    Raises:
        DataError: The tokenizer has no padding token.
    """

    def __init__(
        self, tokenizer: Any, *, max_length: int | None = None, truncates: bool = True
    ) -> None:
        self.tokenizer = tokenizer
        self.encoding = encoding_of(tokenizer)
        """What is applied to every text first, if anything."""
        self._plain = plain_tokenizer(tokenizer)
        self.pad_id = require_padding(tokenizer)
        self.pad_left = pads_left(tokenizer)
        self.max_length = length_limit(tokenizer, max_length) if truncates else sys.maxsize
        self.in_chunks = _acts_on_chunks(self._plain)
        """Whether chunks are tokenized; otherwise whole texts are."""
        self._unchecked = _CHECKED_TEXTS
        self._chunks: BoundedMemory[str, tuple[int, ...]] = BoundedMemory(size_of)
        self._templates: dict[bool, _Template | None] = {}

    def encode(self, texts: Sequence[Text]) -> list[TokenizedText]:
        """Tokenize texts or pairs, with special tokens and truncation.

        Where an encoding makes texts equal, they share one row.
        """
        if self.encoding is None or not texts:
            return self._encode(texts)
        canonical = self.encoding(list(texts))
        distinct = list(dict.fromkeys(canonical))
        rows = dict(zip(distinct, self._encode(distinct), strict=True))
        return [rows[text] for text in canonical]

    def _encode(self, texts: Sequence[Text]) -> list[TokenizedText]:
        """Tokenize texts that the encoding, if any, has read already."""
        if not texts:
            return []
        template = self._template(isinstance(texts[0], tuple))
        if template is not None:
            rows = self._encode_chunks(texts, template)
            # The first texts are unperturbed, so one of every later call is checked too.
            checked = texts[: max(1, self._unchecked)]
            self._unchecked = max(0, self._unchecked - len(checked))
            if rows[: len(checked)] == self._whole(checked):
                return rows
            self.in_chunks = False
        return self._whole(texts)

    def _whole(self, texts: Sequence[Text]) -> list[TokenizedText]:
        return tokenize(self._plain, texts, max_length=self.max_length)

    def _encode_chunks(self, texts: Sequence[Text], template: _Template) -> list[TokenizedText]:
        room = self.max_length - template.special
        if isinstance(texts[0], str):
            room = max(0, room)
            return [template.row(ids[:room]) for ids in self._tokens([str(text) for text in texts])]
        sides = [self._tokens([text[side] for text in texts]) for side in (0, 1)]
        rows = [template.row(*pair) for pair in zip(*sides, strict=True)]
        long = [i for i, row in enumerate(rows) if len(row.ids) > self.max_length]
        # How much each text of a pair loses depends on the tokenizer.
        for i, row in zip(long, self._whole([texts[i] for i in long]), strict=True):
            rows[i] = row
        return rows

    def visible_span(self, text: Text, side: int) -> tuple[int, int] | None:
        """Return what truncation leaves; see :func:`rosearch.tokens.visible_span`."""
        return visible_span(self.tokenizer, text, side, max_length=self.max_length)

    def visible_words(self, attacked: AttackedInput, words: Words) -> range:
        """Return the words of the attacked side that are read, wholly or in part."""
        span = self.visible_span(attacked.text, attacked.side)
        if span is None:
            return range(len(words))
        start = sum(word_end <= span[0] for _, word_end in words.spans)
        end = sum(word_start < span[1] for word_start, _ in words.spans)
        end = max(start, end)
        if self.encoding is None:
            return range(start, end)
        # Words of one segment are read together, and what a word two places away becomes may decide
        # whether the one between has a say.
        for first, last in self.encoding.segments(str(words)):
            if first < span[1] and last > span[0]:
                start = min(start, sum(b <= first for _, b in words.spans))
                end = max(end, sum(a < last for a, _ in words.spans))
        return range(max(0, start - 2), min(len(words), end + 2))

    def parts_of(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """Return the tokens of canonical parts of texts, each of one chunk or several.

        Returns:
            Token ids without special tokens; ``None`` if the tokens of a part may depend on what
            stands beside it.
        """
        return self._tokens(texts) if self.in_chunks else None

    def row_of(self, sides: Sequence[Sequence[int]]) -> TokenizedText | None:
        """Return the row of a text or pair, given the tokens of each side.

        Returns:
            ``None`` if it would be truncated, or special tokens have no fixed places.
        """
        template = self._template(len(sides) > 1)
        if template is None or template.special + sum(map(len, sides)) > self.max_length:
            return None
        return template.row(*map(tuple, sides))

    def place_of(self, side: int, sides: Sequence[Sequence[int]]) -> int | None:
        """Return where the tokens of one side begin in a row that is not truncated.

        Args:
            side: 0 for a single text or the first of a pair, 1 for the second.
            sides: The tokens of each side.

        Returns:
            ``None`` if special tokens have no fixed places.
        """
        template = self._template(len(sides) > 1)
        if template is None:
            return None
        return sum(map(len, (*template.parts[: side + 1], *sides[:side])))

    def _template(self, pairs: bool) -> _Template | None:
        if not self.in_chunks:
            return None
        if pairs not in self._templates:
            self._templates[pairs] = _read_template(self._plain, pairs)
        return self._templates[pairs]

    def _tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the token ids of each text, without special tokens or truncation."""
        self._chunks.make_room()
        chunks = self._chunks.entries
        split = [CHUNK_START.split(text) for text in texts]
        new = list({piece for pieces in split for piece in pieces if piece not in chunks})
        if new:
            backend = self._plain.backend_tokenizer
            # Settings of the tokenizer's last call. Called by itself, it would take most of the
            # time to describe each chunk.
            backend.no_truncation()
            backend.no_padding()
            out = backend.encode_batch_fast(new, add_special_tokens=False)
            self._chunks.add((piece, tuple(e.ids)) for piece, e in zip(new, out, strict=True))
        return [tuple(chain.from_iterable([chunks[piece] for piece in pieces])) for pieces in split]


@dataclass(frozen=True)
class _Template:
    """The special tokens around one text or two, and the token types."""

    parts: Sequence[tuple[int, ...]]
    """Special tokens before, between and after the texts."""
    types: Sequence[tuple[int, ...]] | None = None
    """Token types of each part; ``None`` if rows have no token types."""
    text_types: Sequence[int] = ()
    """Token type of each text."""

    @property
    def special(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.parts))

    def row(self, *texts: tuple[int, ...]) -> TokenizedText:
        ids = self.parts[0]
        for text, after in zip(texts, self.parts[1:], strict=True):
            ids += text + after
        if self.types is None:
            return TokenizedText(ids)
        types = self.types[0]
        for text, kind, after in zip(texts, self.text_types, self.types[1:], strict=True):
            types += (kind,) * len(text) + after
        return TokenizedText(ids, types if len(texts) > 1 or any(types) else None)


def common_ends(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """Return the lengths of the common prefix and, after it, of the common suffix."""
    start = _common_prefix(old, new)
    return start, _common_prefix(old[start:][::-1], new[start:][::-1])


def _common_prefix(old: Sequence[Any], new: Sequence[Any]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))


def _acts_on_chunks(tokenizer: Any) -> bool:
    """Return whether a text's tokens are those of its chunks, judging by the components."""
    inputs = tokenizer.model_input_names or ["input_ids"]
    if not (getattr(tokenizer, "is_fast", False) and "input_ids" in inputs):
        return False
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    normalizers = _flatten(parts["normalizer"], "normalizers")
    pre_tokenizers = _flatten(parts["pre_tokenizer"], "pretokenizers")
    return (
        tokenizer.truncation_side == "right"
        and _SAFE_NORMALIZERS.issuperset(part["type"] for part in normalizers)
        and _SAFE_PRE_TOKENIZERS.issuperset(part["type"] for part in pre_tokenizers)
        and any(_splits(part) for part in pre_tokenizers)
        and not parts["model"].get("dropout")
        and not any(t["rstrip"] or " " in t["content"] for t in parts["added_tokens"])
    )


def _flatten(part: Any, key: str) -> list[Any]:
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [leaf for inner in part[key] for leaf in _flatten(inner, key)]
    return [part]


def _splits(part: Any) -> bool:
    if part["type"] == "ByteLevel":
        return bool(part.get("use_regex", True))
    if part["type"] == "Metaspace":
        return bool(part.get("split", True)) and part.get("prepend_scheme") != "never"
    return part["type"] in _SPLITTING


def _read_template(tokenizer: Any, pair: bool) -> _Template | None:
    """Read the special tokens from a short example; ``None`` if they have no fixed places."""
    texts = ("a", "b b") if pair else ("a",)
    bare = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    out = tokenizer(*texts)
    ids = tuple(out["input_ids"])
    if not all(bare) or len(ids) != sum(map(len, bare)) + tokenizer.num_special_tokens_to_add(pair):
        return None
    edges = [0]
    for number, expected in enumerate(bare):
        start = out.sequence_ids().index(number)
        if ids[start : start + len(expected)] != tuple(expected):
            return None
        edges += [start, start + len(expected)]
    edges.append(len(ids))
    special = [slice(*span) for span in zip(edges[::2], edges[1::2], strict=True)]
    parts = [ids[part] for part in special]
    types = out.get("token_type_ids")
    if types is None or not (pair or any(types)):
        return _Template(parts)
    types = tuple(types)
    text_spans = zip(edges[1:-1:2], edges[2:-1:2], strict=True)
    text_types = [set(types[start:end]) for start, end in text_spans]
    if any(len(kinds) > 1 for kinds in text_types):
        return None
    return _Template(parts, [types[part] for part in special], [min(k) for k in text_types])
