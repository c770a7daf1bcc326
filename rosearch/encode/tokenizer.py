"""Tokenizers that read canonical texts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from typing_extensions import Self

from rosearch.caching import replace_text
from rosearch.checks import refused
from rosearch.encode.base import EncodedText, Encoding
from rosearch.encode.files import ENCODING_FILE, load_encoding, save_encoding
from rosearch.errors import ArgumentError, DataError

_FILE = "tokenizer.json"
GUARDED_VERSION = "1.0, behind encoding.json: import rosearch before loading"
"""Version in ``tokenizer.json``. Other tokenizers raise an error that names it; with the usual one
they would read the text as it stands, without a word."""

_KEPT = (
    "model_max_length padding_side truncation_side model_input_names clean_up_tokenization_spaces "
    "split_special_tokens add_prefix_space name_or_path"
).split()
# The backend holds the first five.
_LEFT_OUT = (
    "vocab merges added_tokens_decoder add_bos_token add_eos_token tokenizer_object tokenizer_file "
    "special_tokens_map_file auto_map"
).split()


class EncodedTokenizer(PreTrainedTokenizerFast):
    """A fast tokenizer that encodes every text first.

    Tokens are those of the canonical text; offsets, and all else that names characters, refer to
    the original. A pre-tokenized input is a list of texts, each encoded by itself. Made by
    :meth:`wrap`, or loaded by ``AutoTokenizer.from_pretrained(folder)`` once rosearch is imported.

    A saved one consists of ``tokenizer.json``, ``tokenizer_config.json`` and ``encoding.json``. Its
    ``tokenizer.json`` carries a version that other tokenizers refuse, because they would read the
    text as it stands. For them, save :attr:`plain`.

    Args:
        args: As for ``PreTrainedTokenizerFast``.
        encoding: Applied to every text.
        encoding_file: File of the encoding, if that is not given.
        settings: As for ``PreTrainedTokenizerFast``.

    Raises:
        DataError: There is neither an encoding nor a file, or the file holds none.
        RegistryError: The file's encoding is not registered; the message names it.
    """

    _tokenizer: Any
    vocab_files_names = {"tokenizer_file": _FILE, "encoding_file": ENCODING_FILE}

    def __init__(
        self,
        *args: Any,
        encoding: Encoding | None = None,
        encoding_file: str | None = None,
        **settings: Any,
    ) -> None:
        if encoding is None:
            if encoding_file is None:
                place = settings.get("name_or_path") or "The tokenizer"
                raise DataError(
                    f"{place} has no {ENCODING_FILE}, which an EncodedTokenizer needs. Restore the "
                    f"file, or save the tokenizer again."
                )
            encoding = load_encoding(encoding_file)
        file = settings.pop("tokenizer_file", None)
        if file is not None:
            settings["tokenizer_object"] = _read_backend(file)
        super().__init__(*args, **settings)
        self._tokenizer = _Backend(self._tokenizer, encoding)

    @classmethod
    def wrap(cls, tokenizer: Any, encoding: Encoding) -> Self:
        """Return a copy of a fast tokenizer that encodes every text first.

        Raises:
            DataError: The tokenizer is a slow one, or applies an encoding already.
            ArgumentError: ``encoding`` is no :class:`Encoding`.
        """
        if not isinstance(encoding, Encoding):
            raise refused("encoding", "an Encoding", encoding)
        if isinstance(tokenizer, EncodedTokenizer):
            raise DataError(
                f"The tokenizer applies {tokenizer.encoding!r} already. Pass its attribute plain, "
                f"and to apply both, rosearch.encode.Chain of the two."
            )
        if not getattr(tokenizer, "is_fast", False):
            raise DataError(
                f"An encoding needs a fast tokenizer, which knows the position of each token; "
                f"{type(tokenizer).__name__} is not one. Load it with use_fast=True."
            )
        wrapped: Self = _copied(tokenizer, cls, encoding=encoding)
        return wrapped

    @property
    def encoding(self) -> Encoding:
        """The encoding."""
        encoding: Encoding = self._tokenizer.encoding
        return encoding

    @property
    def plain(self) -> PreTrainedTokenizerFast:
        """A copy without the encoding."""
        return generic(self)

    @classmethod
    def convert_to_native_format(cls, **settings: Any) -> dict[str, Any]:
        """Return the settings as they are: the backend is read from its file, not rebuilt."""
        return settings

    def _save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        path = Path(save_directory, (f"{filename_prefix}-" if filename_prefix else "") + _FILE)
        # The version is the first of all values.
        text = self._tokenizer.to_str(pretty=True).replace('"1.0"', json.dumps(GUARDED_VERSION), 1)
        replace_text(path, text)
        return (*file_names, str(path), str(save_encoding(self.encoding, save_directory)))


def encoding_of(tokenizer: Any) -> Encoding | None:
    """Return the encoding that a tokenizer applies, if any.

    Raises:
        ArgumentError: It has been loaded with code of a student's folder.
    """
    if isinstance(tokenizer, EncodedTokenizer):
        return tokenizer.encoding
    kind = type(tokenizer)
    if kind.__name__ == EncodedTokenizer.__name__ and hasattr(tokenizer, "encoding"):
        raise ArgumentError(
            f"The tokenizer's class is a copy, {kind.__module__}.{kind.__name__}, from the code in "
            f"a student's folder. Where rosearch is imported, load model and tokenizer without "
            f"trust_remote_code."
        )
    return None


def plain_tokenizer(tokenizer: Any) -> Any:
    """Return a tokenizer without its encoding: a copy if it has one, else the same.

    Raises:
        ArgumentError: As for :func:`encoding_of`.
    """
    return tokenizer if encoding_of(tokenizer) is None else tokenizer.plain


def generic(tokenizer: Any) -> PreTrainedTokenizerFast:
    """Return a copy of a fast tokenizer, without its encoding, as a ``PreTrainedTokenizerFast``.

    Whatever ``tokenizer.json`` says of one is loaded as it stands; other classes, such as
    ``BertTokenizer``, replace its components by their own from version 5 of transformers on.
    """
    return _copied(tokenizer, PreTrainedTokenizerFast)


def _copied(tokenizer: Any, kind: type[Any], **more: Any) -> Any:
    """Return a copy of another class: the same backend, special tokens and settings."""
    backend = tokenizer.backend_tokenizer
    if isinstance(backend, _Backend):
        backend = backend.plain
    given = tokenizer.init_kwargs
    left_out = {*_LEFT_OUT, *tokenizer.vocab_files_names}
    settings = {
        name: getattr(tokenizer, name, given.get(name))
        for name in {*given, *_KEPT} - left_out
        if name in given or hasattr(tokenizer, name)
    }
    # Tokens rather than strings, which would lose what a token takes from its surroundings.
    tokens = {str(token): token for token in tokenizer.added_tokens_decoder.values()}
    special = dict(tokenizer.special_tokens_map)
    if isinstance(extra := getattr(tokenizer, "extra_special_tokens", None), list):
        special["extra_special_tokens"] = extra
    for name, value in special.items():
        single = isinstance(value, str)
        settings[name] = tokens.get(value, value) if single else [tokens.get(t, t) for t in value]
    return kind(tokenizer_object=backend, **settings, **more)


def _read_backend(file: str) -> Tokenizer:
    text = Path(file).read_text(encoding="utf-8")
    return Tokenizer.from_str(text.replace(json.dumps(GUARDED_VERSION), '"1.0"', 1))


class _Backend:
    """A backend that encodes texts; for all else, the plain one."""

    plain: Tokenizer
    encoding: Encoding

    def __init__(self, plain: Tokenizer, encoding: Encoding) -> None:
        vars(self).update(plain=plain, encoding=encoding)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle must not find those of the plain one
            raise AttributeError(name)
        return getattr(self.plain, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.plain, name, value)

    # Arguments are named as by tokenizers.Tokenizer.
    def encode(
        self,
        sequence: Any,
        pair: Any = None,
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> _Tokens:
        given = sequence if pair is None else (sequence, pair)
        return self.encode_batch([given], is_pretokenized, add_special_tokens)[0]

    def encode_batch(
        self,
        input: Any,  # noqa: A002
        is_pretokenized: bool = False,
        add_special_tokens: bool = True,
    ) -> list[_Tokens]:
        found = self.plain.encode_batch(
            [self._canonical(text) for text in input],
            is_pretokenized=is_pretokenized,
            add_special_tokens=add_special_tokens,
        )
        return [
            _Tokens(tokens, _sides(text, is_pretokenized), self.encoding)
            for tokens, text in zip(found, input, strict=True)
        ]

    encode_batch_fast = encode_batch

    def _canonical(self, texts: Any) -> Any:
        # A text, a pair, the words of a text, or two lists of words.
        return self.encoding(texts) if isinstance(texts, str) else list(map(self._canonical, texts))


def _sides(given: Any, pretokenized: bool) -> Sequence[Any]:
    whole = isinstance(given, str) or (
        pretokenized and all(isinstance(word, str) for word in given)
    )
    return (given,) if whole else given


class _Tokens:
    """A ``tokenizers.Encoding`` of a canonical text whose characters are those of the original."""

    def __init__(self, found: Any, sides: Sequence[Any], encoding: Encoding) -> None:
        self._found = found
        self._sides = sides
        self._encoding = encoding

    @cached_property
    def offsets(self) -> list[tuple[int, int]]:
        # Computed only if they are asked for, because it takes a second pass of encoding.
        known: dict[tuple[int, int | None], EncodedText] = {}
        offsets: list[tuple[int, int]] = []
        found = self._found
        for span, side, word in zip(found.offsets, found.sequence_ids, found.word_ids, strict=True):
            if side is None:  # a special token
                offsets.append(span)
                continue
            given = self._sides[side]
            place = side, None if isinstance(given, str) else word
            if place not in known:
                known[place] = self._encoding.encode(given if place[1] is None else given[word])
            offsets.append(known[place].origin(*span))
        return offsets

    @cached_property
    def overflowing(self) -> list[_Tokens]:
        return [_Tokens(part, self._sides, self._encoding) for part in self._found.overflowing]

    def token_to_chars(self, token_index: int) -> tuple[int, int] | None:
        known = self._found.token_to_chars(token_index) is not None
        return self.offsets[token_index] if known else None

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        tokens = self._found.word_to_tokens(word_index, sequence_index)
        if tokens is None:
            return None
        return self.offsets[tokens[0]][0], self.offsets[tokens[1] - 1][1]

    def char_to_token(self, char_pos: int, sequence_index: int = 0) -> int | None:
        for token, side in enumerate(self._found.sequence_ids):
            start, end = self.offsets[token]
            if side == sequence_index and start <= char_pos < end:
                return token
        return None

    def char_to_word(self, char_pos: int, sequence_index: int = 0) -> int | None:
        token = self.char_to_token(char_pos, sequence_index)
        word: int | None = None if token is None else self._found.word_ids[token]
        return word

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._found, name)

    def __getstate__(self) -> dict[str, Any]:
        # Without the encoding, whose tables may be large.
        parts = self.overflowing
        return {"_found": self._found, "offsets": self.offsets, "overflowing": parts}
