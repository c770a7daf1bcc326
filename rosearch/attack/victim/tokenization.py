"""Tokenise many variants of one text without tokenising what they share.

A perturbed text differs from its original in a word or two. The text is cut before every space
that follows something other than white space, each chunk is tokenised once and remembered,
and a text's tokens are those of its chunks. That equals tokenising the text as a whole for
tokenizers that never join across such a cut. Whether a tokenizer is of that kind is read off its
parts, and checked again on real texts of every run; in doubt the whole text is tokenised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

from rosearch.data import Text
from rosearch.tokens import Encoding, encode, length_limit, pads_left, require_padding

# Not before other white space: "\n  b" is one run for byte-level pre-tokenizers. Python's \s
# contains all that tokenizers take for white space, so a cut never divides such a run.
_CUT = re.compile(r"(?<=\S)(?= )")

_SAFE_NORMALIZERS = {
    "BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD"
}  # fmt: skip
_SPLITTING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Metaspace"}
_SAFE_PRE_TOKENIZERS = _SPLITTING | {"Punctuation", "Digits", "UnicodeScripts"}
_CHUNKS_KEPT = 1 << 18


class IncrementalTokenizer:
    """A tokenizer that remembers the chunks it has seen.

    Args:
        tokenizer: A Hugging Face tokenizer, of any kind.
        max_length: Longest row, special tokens included. Default: the tokenizer's own limit.

    Raises:
        DataError: The tokenizer has no padding token.
    """

    def __init__(self, tokenizer: Any, *, max_length: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.pad_id = require_padding(tokenizer)
        self.pad_left = pads_left(tokenizer)
        self.max_length = length_limit(tokenizer, max_length)
        self.reason: str | None = obstacle(tokenizer)
        """Why whole texts are tokenised; ``None`` while chunks are used."""
        self._chunks: dict[str, tuple[int, ...]] = {}
        self._frames: dict[bool, _Frame] = {}

    def encode(self, texts: Sequence[Text]) -> list[Encoding]:
        """Tokenise texts or pairs, special tokens added, truncated."""
        if not texts:
            return []
        pairs = isinstance(texts[0], tuple)
        frame = self._frame(pairs)
        if frame is None:
            return encode(self.tokenizer, texts, max_length=self.max_length)
        if len(self._chunks) > _CHUNKS_KEPT:
            self._chunks.clear()
        if pairs:
            return self._encode_pairs(texts, frame)
        room = max(0, self.max_length - frame.special)
        return [frame.single(ids[:room]) for ids in self._tokens([str(text) for text in texts])]

    def _encode_pairs(self, texts: Sequence[Text], frame: _Frame) -> list[Encoding]:
        sides = (self._tokens([text[side] for text in texts]) for side in (0, 1))
        room = self.max_length - frame.special
        rows: list[Encoding] = []
        long = []
        for position, (first, second) in enumerate(zip(*sides, strict=True)):
            rows.append(frame.pair(first, second))
            if len(first) + len(second) > room:
                long.append(position)
        # How much each side loses is the tokenizer's own affair.
        whole = encode(self.tokenizer, [texts[i] for i in long], max_length=self.max_length)
        for position, row in zip(long, whole, strict=True):
            rows[position] = row
        return rows

    def verify(self, texts: Sequence[Text]) -> bool:
        """Compare with whole tokenisation; give chunks up for good at the first difference."""
        if self.reason is None and texts:
            whole = encode(self.tokenizer, texts, max_length=self.max_length)
            for text, row, expected in zip(texts, self.encode(texts), whole, strict=True):
                if row != expected:
                    self.reason = f"chunks gave other tokens than the whole of {text!r:.200}"
                    self._chunks.clear()
                    return False
        return True

    def visible_span(self, text: Text, side: int) -> tuple[int, int] | None:
        """What truncation leaves of one side of an input, in characters.

        Returns:
            The start of the first character that the victim reads and the end of the last, or
            ``None`` where nothing is cut off or the tokenizer does not tell.
        """
        if not self.tokenizer.is_fast:
            return None
        parts = (text,) if isinstance(text, str) else text
        out = self.tokenizer(
            *parts, truncation=True, max_length=self.max_length, return_offsets_mapping=True
        )
        if len(out["input_ids"]) < self.max_length:
            return None
        sequence = 0 if isinstance(text, str) else side
        origins = zip(out.sequence_ids(), out["offset_mapping"], strict=True)
        spans = [span for origin, span in origins if origin == sequence]
        if self.tokenizer.truncation_side == "left":
            length = len(parts[sequence])
            return min((start for start, _ in spans), default=length), length
        return 0, max((end for _, end in spans), default=0)

    def _frame(self, pairs: bool) -> _Frame | None:
        if self.reason is not None:
            return None
        if pairs not in self._frames:
            frame = _probe(self.tokenizer, pairs)
            if frame is None:
                self.reason = "its special tokens do not follow a fixed template"
                return None
            self._frames[pairs] = frame
        return self._frames[pairs]

    def _tokens(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of each text, without special tokens, not truncated."""
        chunks = self._chunks
        cut = [_CUT.split(text) for text in texts]
        new = list({piece for pieces in cut for piece in pieces if piece not in chunks})
        if new:
            out = self.tokenizer(
                new,
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            chunks.update(zip(new, map(tuple, out["input_ids"]), strict=True))
        return [tuple(chain.from_iterable([chunks[piece] for piece in pieces])) for pieces in cut]


class _Frame:
    """The special tokens around one text or two, and the token types.

    Args:
        parts: The special tokens before, between and after the texts.
        types: Token types of each part; ``None`` where rows have no types.
        kinds: Token type of each text.
    """

    def __init__(
        self,
        parts: Sequence[tuple[int, ...]],
        types: Sequence[tuple[int, ...]] | None,
        kinds: Sequence[int] = (),
    ) -> None:
        self.parts = tuple(parts)
        self.special = sum(map(len, parts))
        self.types = None if types is None else tuple(types)
        self.kinds = tuple(kinds)

    def single(self, a: tuple[int, ...]) -> Encoding:
        before, after = self.parts
        ids = before + a + after
        if self.types is None:
            return Encoding(ids)
        types = self.types[0] + self.kinds[:1] * len(a) + self.types[1]
        return Encoding(ids, types if any(types) else None)

    def pair(self, a: tuple[int, ...], b: tuple[int, ...]) -> Encoding:
        before, between, after = self.parts
        ids = before + a + between + b + after
        if self.types is None:
            return Encoding(ids)
        first, second = ((kind,) * len(t) for kind, t in zip(self.kinds, (a, b), strict=True))
        return Encoding(ids, self.types[0] + first + self.types[1] + second + self.types[2])


def obstacle(tokenizer: Any) -> str | None:
    """Why texts cannot be tokenised chunk by chunk, or ``None`` if they can."""
    if not getattr(tokenizer, "is_fast", False):
        return "it is not a fast tokenizer"
    if tokenizer.truncation_side != "right":
        return "it truncates on the left"
    if tokenizer.model_input_names and "input_ids" not in tokenizer.model_input_names:
        return "it gives no input_ids"
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    for part in _flatten(parts["normalizer"], "normalizers"):
        if part["type"] not in _SAFE_NORMALIZERS:
            return f"its normalizer {part['type']} may act across chunks"
    splitters = _flatten(parts["pre_tokenizer"], "pretokenizers")
    for part in splitters:
        if part["type"] not in _SAFE_PRE_TOKENIZERS:
            return f"its pre-tokenizer {part['type']} may join across chunks"
    if not any(_splits(part) for part in splitters):
        return "its pre-tokenizer does not split at spaces"
    if parts["model"].get("dropout"):
        return "it drops merges at random"
    for token in parts["added_tokens"]:
        if token["rstrip"] or " " in token["content"]:
            return f"its added token {token['content']!r} may reach across chunks"
    return None


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


def _probe(tokenizer: Any, pair: bool) -> _Frame | None:
    """Read the special tokens off one short example; ``None`` where they cannot be told apart."""
    probe = ("a", "b b") if pair else ("a",)
    bare = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in probe]
    out = tokenizer(*probe)
    ids = list(out["input_ids"])
    if not all(bare) or len(ids) != sum(map(len, bare)) + tokenizer.num_special_tokens_to_add(pair):
        return None
    # Which tokens stem from which text is known to the fast tokenizer.
    origin = out.sequence_ids()
    spans = []
    for number, expected in enumerate(bare):
        places = [i for i, s in enumerate(origin) if s == number]
        if not places or ids[places[0] : places[-1] + 1] != list(expected):
            return None
        spans.append((places[0], places[-1] + 1))
    edges = [0, *(edge for span in spans for edge in span), len(ids)]
    parts = [tuple(ids[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    given = out.get("token_type_ids")
    if given is None or not (pair or any(given)):
        return _Frame(parts, None)
    kinds = [given[a] for a, _ in spans]
    if any(set(given[a:b]) != {kind} for (a, b), kind in zip(spans, kinds, strict=True)):
        return None
    types = [tuple(given[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return _Frame(parts, types, kinds)
