"""Hugging Face classifiers and their tokenizers: whether they fit, and how accurate they are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rosearch.data import Text, TextDataset, as_dataset, check_class_order, require_one_class
from rosearch.errors import DataError
from rosearch.quiet import quiet_transformers
from rosearch.tokens import (
    Sharing,
    TokenizedText,
    evaluating,
    max_tokens,
    model_inputs,
    pads_left,
    predict,
    require_padding,
    tokenize,
)
from rosearch.words import words_of

_EXAMINED = 256
"""Texts of a data set that are examined."""
_FEW = 4
"""Distinct texts below which it is no wonder that all have the same tokens."""
_MIXED = 128
"""Most tokens of the texts that a model is given together."""
_LONG = 1024
"""Tokens of a text that a model reads twice; sparse attention begins before."""
_WORK = 1 << 37
"""Parameters times tokens of that text, about a second on a CPU; a large model reads fewer."""
_UNKNOWN = 0.9
"""Share of the words that must be known by no token for a tokenizer to be refused."""
_PROBES = [
    "What a BAD film-x2, n\u00e9!  It's 3.50$",
    "@you: a_b <br />#tag http://a.bc \u4e2d I.B.M.",
]
"""Texts by whose tokens tokenizers are compared."""
_LETTERS = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


def load_classifier(name_or_folder: str | os.PathLike[str]) -> tuple[Any, Any]:
    """Load a fine-tuned sequence classifier, in eval mode, and its tokenizer.

    Args:
        name_or_folder: A model of the Hugging Face Hub, or a folder written by ``save_pretrained``.

    Raises:
        DataError: The model is an encoder without a trained classifier, its weights have other
            shapes than its configuration says, or as for :func:`load_tokenizer`.
        OSError: The model does not exist.
    """
    from transformers import AutoModelForSequenceClassification

    name, folder = os.fspath(name_or_folder), Path(name_or_folder)
    if (folder.is_absolute() or name.startswith(".")) and not folder.exists():
        raise FileNotFoundError(f"There is no folder {name}.")
    with quiet_transformers(warnings=False):
        try:
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name, output_loading_info=True
            )
        except RuntimeError as error:
            raise DataError(f"The weights of {name} do not fit its config.json: {error}") from error
        tokenizer = load_tokenizer(name)
    missing = sorted(info["missing_keys"])
    if missing:
        raise DataError(
            f"{name} has no weights for {', '.join(missing[:4])}: it is not fine-tuned for "
            f"classification. Fine-tune it first, for example with Teacher.fine_tune."
        )
    return model.eval(), tokenizer


def load_tokenizer(name_or_folder: str | os.PathLike[str], **place: Any) -> Any:
    """Load a tokenizer that reads texts as its ``tokenizer.json`` says, if there is one.

    Args:
        name_or_folder: A model of the Hugging Face Hub, or a folder.
        place: Where in the Hub, as for ``AutoTokenizer.from_pretrained``, such as ``revision``.

    Raises:
        DataError: transformers builds the tokenizer from its vocabulary, and it gives other ids.
        OSError: There is no tokenizer.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer
    from transformers.utils import cached_file

    loaded = AutoTokenizer.from_pretrained(name_or_folder, **place)
    file = cached_file(
        name_or_folder,
        "tokenizer.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **place,
    )
    encodes = getattr(loaded, "encoding", None) is not None  # its file is for no other class
    if file is None or encodes or not loaded.is_fast:
        return loaded
    saved = Tokenizer.from_file(file)
    saved.no_truncation()
    saved.no_padding()
    wanted = [found.ids for found in saved.encode_batch(_PROBES)]
    if loaded(_PROBES, verbose=False)["input_ids"] != wanted:
        raise DataError(
            f"The {type(loaded).__name__} that transformers makes of {name_or_folder} reads other "
            f"tokens than its tokenizer.json says: a normalizer or pre-tokenizer of its own is "
            f"lost. Save it again in a folder, as PreTrainedTokenizerFast.from_pretrained(...)"
            f".save_pretrained(folder) to keep what the file says, or as AutoTokenizer."
            f"from_pretrained(...).save_pretrained(folder) if the model was trained without it."
        )
    return loaded


def check_tokenizer(model: Any, tokenizer: Any, *, max_length: int) -> Sharing:
    """Check that a tokenizer belongs to a model, and find out how texts may share batches.

    The model reads a few letters, alone and together.

    Args:
        model: A Hugging Face sequence classifier.
        tokenizer: Its tokenizer.
        max_length: Most tokens of a text.

    Returns:
        Which texts may share a batch, so that answers are those to the texts alone.

    Raises:
        DataError: The tokenizer has no padding token or no vocabulary, its vocabulary is not that
            of the model's embedding, or its padding token is not the model's; or the model is no
            sequence classifier, cannot read texts of a few letters, needs to know the padding
            token, or its answers to a text depend on the texts before it.
    """
    count = embedding_rows(model)
    _check_vocabulary(tokenizer, count)
    pad_id = require_padding(tokenizer)
    _check_ids(tokenizer, count, [TokenizedText((pad_id,))])
    short = min(max_length, _MIXED)
    size = sum(parameter.numel() for parameter in model.parameters())
    long = max(short, min(max_length, _LONG, _WORK // max(size, 1)))
    rows = tokenize(tokenizer, _probes(short), max_length=short)
    longest = tokenize(tokenizer, _probes(long)[:1], max_length=long)[0]
    _check_ids(tokenizer, count, [longest, *rows])
    if not all(row.ids for row in rows):  # the first real text raises its own error
        return Sharing.ANY
    with _undisturbed(model):
        probe = _Probe(model, tokenizer)
        if not probe.repeats(longest, rows[-1]):
            raise DataError(
                f"{type(model).__name__} answers to the same text otherwise when it is read again, "
                f"because attention is random or changes with the length of earlier texts. Load "
                f"it with exact attention (BigBird: attention_type='original_full'; Reformer: a "
                f"hash_seed), or lower max_length."
            )
        sharing = probe.sharing(rows)
    own = getattr(getattr(model, "config", None), "pad_token_id", None)
    if sharing is Sharing.NONE and own is None:
        raise DataError(
            f"{type(model).__name__} cannot read texts in batches, because its configuration "
            f"has no padding token. Set model.config.pad_token_id = {pad_id}, the id of its "
            f"tokenizer's {tokenizer.pad_token!r}."
        )
    # A decoder that answers at the last token, which it finds by the padding token, shares batches
    # of equal lengths only; it needs no padding then.
    if sharing is Sharing.ANY and own not in (None, pad_id) and not pads_left(tokenizer):
        raise DataError(
            f"The padding token of the tokenizer, {tokenizer.pad_token!r}, has the id {pad_id}, "
            f"and that of {type(model).__name__} the id {own} by its configuration. Use the "
            f"tokenizer that the model was trained with; if it is the right one, set "
            f"model.config.pad_token_id = {pad_id}."
        )
    return sharing


def check_texts(
    tokenizer: Any, texts: Sequence[Text], *, max_length: int, rows: int | None = None
) -> None:
    """Check that a tokenizer tells texts apart.

    Args:
        tokenizer: The tokenizer.
        texts: Texts or pairs, of which the first few hundred are examined.
        max_length: Most tokens of a text.
        rows: Rows of the model's embedding, if known.

    Raises:
        DataError: Almost all texts have the same tokens, or a token has no row.
    """
    distinct = {}
    for text in islice(texts, _EXAMINED):
        whole = text if isinstance(text, str) else " ".join(text)
        words = tuple(words_of(whole))
        # What cannot be encoded is one text's error later.
        if words and whole.encode(errors="ignore").decode() == whole:
            distinct[words] = text
    tokenized = tokenize(tokenizer, list(distinct.values()), max_length=max_length)
    _check_ids(tokenizer, rows, tokenized)
    unknown = _unknown_share(tokenizer, distinct, max_length=max_length)
    if unknown > _UNKNOWN:
        raise DataError(
            f"The tokenizer knows no part of {unknown:.0%} of the words of {len(distinct)} texts. "
            f"Check that it belongs to the model and to the language of the texts "
            f"({type(tokenizer).__name__}, {len(tokenizer)} tokens)."
        )
    says_nothing = frozenset([*tokenizer.all_special_ids, _unknown(tokenizer)])
    read = {tuple(token for token in row.ids if token not in says_nothing) for row in tokenized}
    if len(distinct) < _FEW or len(read) > max(1, len(distinct) // 20):
        return
    longest = max(len(row.ids) for row in tokenized)
    if not all(read) or longest < max_length:
        cause = (
            f"it knows hardly any of their words. Check that it belongs to the model and to the "
            f"language of the texts ({type(tokenizer).__name__}, {len(tokenizer)} tokens)"
        )
    else:
        cause = (
            f"they differ only behind their first {max_length} tokens. Raise max_length, or leave "
            f"out what all texts have in common"
        )
    raise DataError(
        f"The tokenizer maps {len(distinct)} different texts to {len(read)} inputs: {cause}."
    )


def embedding_rows(model: Any) -> int | None:
    """Return the number of tokens that a model has vectors for, where that is known.

    Models of characters that hash them, such as CANINE, have no such number.
    """
    try:
        module = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    if getattr(getattr(model, "config", None), "vocab_size", None) is None:
        return None
    weight = getattr(module, "weight", None) if isinstance(module, torch.nn.Module) else None
    return int(weight.shape[0]) if isinstance(weight, torch.Tensor) and weight.dim() == 2 else None


def accuracy(
    model: Any, dataset: TextDataset, tokenizer: Any = None, *, max_length: int | None = None
) -> float:
    """Share of the examples that a Hugging Face classifier gets right.

    Args:
        model: The classifier, on any device.
        dataset: Labelled texts or pairs.
        tokenizer: The model's tokenizer. Default: its attribute ``tokenizer``, as students have it.
        max_length: Tokens after which texts are cut. Default: what tokenizer and model allow.

    Raises:
        DataError: There is no tokenizer, it does not fit the model, it does not tell the texts
            apart, the model has the data's classes in another order, or it does not choose one of
            several classes.
    """
    name = type(model).__name__
    dataset = as_dataset("dataset", dataset)
    config = getattr(model, "config", None)
    require_one_class(config, owner=name)
    check_class_order(config, dataset.classes, owner=name)
    tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise DataError(f"{name} carries no tokenizer; pass tokenizer=.")
    longest = max_tokens(model, tokenizer, max_length)
    sharing = check_tokenizer(model, tokenizer, max_length=longest)
    check_texts(tokenizer, dataset.texts, max_length=longest, rows=embedding_rows(model))
    rows = tokenize(tokenizer, dataset.texts, max_length=longest)
    pad_id, pad_left = tokenizer.pad_token_id, pads_left(tokenizer)
    logits = predict(model, rows, pad_id=pad_id, pad_left=pad_left, sharing=sharing)
    return float((logits.argmax(axis=1) == dataset.labels).mean())


def _check_vocabulary(tokenizer: Any, rows: int | None) -> None:
    count, added = len(tokenizer), tokenizer.added_tokens_decoder
    if count <= len(added) + len(_LETTERS):  # else it has a vocabulary, which may be very large
        words = [token for token, k in tokenizer.get_vocab().items() if k not in added]
        if not any(sign.isalnum() for word in words for sign in word):
            raise DataError(
                f"The tokenizer {tokenizer.name_or_path!r} has no vocabulary, only {count} special "
                f"tokens: transformers makes such a one of a folder without tokenizer files. Save "
                f"the model's tokenizer there with tokenizer.save_pretrained(folder), or pass it."
            )
    if rows is None:
        return
    advice = "Use the tokenizer that the model was trained with"
    if count > rows:
        # Of its special tokens, texts have none.
        special = set(tokenizer.all_special_ids)
        last = max(k for k in tokenizer.get_vocab().values() if k not in special)
        if last >= rows:
            raise DataError(
                f"The tokenizer {tokenizer.name_or_path!r} has {count} tokens, and the model has "
                f"vectors for {rows}. {advice}, or call model.resize_token_embeddings("
                f"len(tokenizer)) and train it."
            )
    # Tables are padded to multiples of 64 or 128, and some have up to a thousand rows in reserve,
    # 3 % of them.
    elif rows > max(1.05 * count, -(-count // 128) * 128):
        raise DataError(
            f"The tokenizer {tokenizer.name_or_path!r} has only {count} tokens, and the model has "
            f"vectors for {rows}. {advice}; if it is the right one, call "
            f"model.resize_token_embeddings(len(tokenizer))."
        )


def _unknown(tokenizer: Any) -> int | None:
    """Return the id of unknown words, of which a fast tokenizer may know in its model only."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    token = getattr(model, "unk_token", None)
    return None if token is None else tokenizer.get_vocab().get(token)


def _unknown_share(
    tokenizer: Any, distinct: Iterable[tuple[str, ...]], *, max_length: int
) -> float:
    """Share of the words with letters of which no token says anything, at least a few words."""
    unknown = _unknown(tokenizer)
    words = Counter(word for words in distinct for word in words if any(map(str.isalpha, word)))
    if unknown is None or len(words) < _FEW:
        return 0.0
    rows = tokenize(tokenizer, list(words), max_length=max_length)
    special = {*tokenizer.all_special_ids, unknown}
    lost = sum(
        count
        for count, row in zip(words.values(), rows, strict=True)
        if special.issuperset(row.ids)
    )
    return lost / words.total()


def _check_ids(tokenizer: Any, count: int | None, rows: Sequence[TokenizedText]) -> None:
    largest = max((max(row.ids, default=0) for row in rows), default=0)
    if count is not None and largest >= count:
        raise DataError(
            f"The token {tokenizer.convert_ids_to_tokens(largest)!r} has id {largest}, and the "
            f"model has vectors for the ids 0 to {count - 1} only. Use the tokenizer that the "
            f"model was trained with, or call model.resize_token_embeddings(len(tokenizer)) and "
            f"train it."
        )


def _probes(longest: int) -> list[str]:
    """Return texts of about so many tokens and fewer, of which all but the middle two are pairs."""
    forth, back = (f"{text} " * (longest // len(text) + 1) for text in (_LETTERS, _LETTERS[::-1]))
    middle = [forth[: longest // 2], back[: 2 * longest // 3]]
    return [forth, back, *middle, "a b c d", "e f g h", "a", "b"]


@contextmanager
def _undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode; modes and global random generators are as before afterwards."""
    before = np.random.get_state()  # noqa: NPY002, BigBird seeds it
    try:
        with evaluating(model), torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


class _Probe:
    """Tries how a model answers to texts alone and in batches."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.padding = {"pad_id": tokenizer.pad_token_id, "pad_left": pads_left(tokenizer)}
        exact = {p.dtype for p in model.parameters()} <= {torch.float32, torch.float64}
        self.tolerance = 1e-4 if exact else 2e-2
        self.failure: Exception | None = None
        """The last error of the model."""

    def repeats(self, row: TokenizedText, other: TokenizedText) -> bool:
        """Return whether a text has the same answer again after another one is read."""
        first, _, again = (self._answers([one]) for one in (row, other, row))
        return first is None or again is None or self._same(first, again, slack=10)

    def sharing(self, rows: Sequence[TokenizedText]) -> Sharing:
        """Return which texts may share batches.

        Args:
            rows: Texts of several lengths, some of them equally long as the one before.

        Raises:
            DataError: The model can read none of them, or is no sequence classifier.
        """
        alone = [(row, found) for row in rows if (found := self._answers([row])) is not None]
        if not alone:
            name = type(self.model).__name__
            raise DataError(f"{name} cannot read even a few letters: {self.failure}")
        if self._together(alone):
            return Sharing.ANY
        pairs = [pair for pair in pairwise(alone) if len(pair[0][0].ids) == len(pair[1][0].ids)]
        return Sharing.EQUAL if all(map(self._together, pairs)) else Sharing.NONE

    def _together(self, alone: Sequence[tuple[TokenizedText, np.ndarray]]) -> bool:
        """Return whether the model answers to a batch as to its texts alone."""
        try:
            together = self._answers([row for row, _ in alone])
        except torch.OutOfMemoryError:  # says nothing about smaller batches
            return True
        expected = np.concatenate([found for _, found in alone])
        return together is not None and self._same(expected, together)

    def _answers(self, rows: Sequence[TokenizedText]) -> np.ndarray | None:
        """Return the logits of a batch, or ``None`` if the model raises an error.

        Raises:
            torch.OutOfMemoryError: Memory is not enough for several rows.
        """
        try:
            with torch.inference_mode():
                inputs = model_inputs(self.model, rows, **self.padding)
                out = self.model(**inputs)
        except Exception as error:
            if len(rows) > 1 and isinstance(error, torch.OutOfMemoryError):
                raise
            self.failure = error
            return None
        logits = getattr(out, "logits", None)
        if logits is None or logits.dim() != 2 or len(logits) != len(rows):
            shape = "none" if logits is None else f"of shape {tuple(logits.shape)}"
            raise DataError(
                f"{type(self.model).__name__} is no sequence classifier: its logits for "
                f"{len(rows)} texts are {shape}, expected ({len(rows)}, classes). Load it with "
                f"AutoModelForSequenceClassification."
            )
        answers: np.ndarray = logits.float().cpu().numpy()
        return answers

    def _same(self, expected: np.ndarray, found: np.ndarray, *, slack: float = 1) -> bool:
        most = slack * self.tolerance * max(1e-2, np.abs(expected).max())
        return expected.shape == found.shape and np.allclose(
            expected, found, rtol=0, atol=most, equal_nan=True
        )
