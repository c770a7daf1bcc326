"""Hugging Face classifiers and their tokenizers: whether they fit, and how accurate they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from rosearch.data import Text, TextDataset, check_class_order, require_one_class
from rosearch.errors import DataError
from rosearch.tokens import (
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
_PROBED = 1024
"""Tokens of the longest text that a model is tried on."""
_LETTERS = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


def check_tokenizer(model: Any, tokenizer: Any, *, max_length: int) -> bool:
    """Check that a tokenizer belongs to a model, and find out how texts may share batches.

    The model reads a few letters, alone and together.

    Args:
        model: A Hugging Face sequence classifier.
        tokenizer: Its tokenizer.
        max_length: Most tokens of a text.

    Returns:
        Whether texts of different lengths may share a batch. If not, padding changes the model's
        answers, and only texts of the same length may.

    Raises:
        DataError: The tokenizer has no padding token or no vocabulary, or its vocabulary is not
            that of the model's embedding; or the model cannot read texts in batches, or answers
            to a text depend on the texts beside or before it.
    """
    _check_vocabulary(tokenizer, embedding_rows(model))
    pad_id = require_padding(tokenizer)
    _check_ids(tokenizer, embedding_rows(model), [TokenizedText((pad_id,))])
    texts = ["a", "b", f"{_LETTERS} " * _PROBED, f"{_LETTERS[::-1]} " * _PROBED]
    rows = tokenize(tokenizer, texts, max_length=min(max_length, _PROBED))
    if not all(row.ids for row in rows):
        return True
    _check_ids(tokenizer, embedding_rows(model), rows)
    return _Probe(model, tokenizer, pad_id).shares_batches(rows)


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
    distinct = {tuple(words_of(" ".join([text] if isinstance(text, str) else text))): text
                for text in islice(texts, _EXAMINED)}  # fmt: skip
    distinct.pop((), None)
    tokenized = tokenize(tokenizer, list(distinct.values()), max_length=max_length)
    _check_ids(tokenizer, rows, tokenized)
    special = frozenset(tokenizer.all_special_ids)
    read = {tuple(token for token in row.ids if token not in special) for row in tokenized}
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
    config = getattr(model, "config", None)
    require_one_class(config, owner=name)
    check_class_order(config, dataset.classes, owner=name)
    tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise DataError(f"{name} carries no tokenizer; pass tokenizer=.")
    longest = max_tokens(model, tokenizer, max_length)
    padded = check_tokenizer(model, tokenizer, max_length=longest)
    check_texts(tokenizer, dataset.texts, max_length=longest, rows=embedding_rows(model))
    rows = tokenize(tokenizer, dataset.texts, max_length=longest)
    pad_id, pad_left = tokenizer.pad_token_id, pads_left(tokenizer)
    logits = predict(model, rows, pad_id=pad_id, pad_left=pad_left, padded=padded)
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
        last = max(k for k in tokenizer.get_vocab().values() if k not in added)
        if last >= rows:
            raise DataError(
                f"The tokenizer {tokenizer.name_or_path!r} has {count} tokens, and the model has "
                f"vectors for {rows}. {advice}, or call model.resize_token_embeddings("
                f"len(tokenizer)) and train it."
            )
    # Tables are padded to multiples of 64 or 128, and some have a few hundred rows in reserve.
    elif count < rows / 2 and rows > -(-count // 128) * 128:
        raise DataError(
            f"The tokenizer {tokenizer.name_or_path!r} has only {count} tokens, and the model has "
            f"vectors for {rows}. {advice}; if it is the right one, call "
            f"model.resize_token_embeddings(len(tokenizer))."
        )


def _check_ids(tokenizer: Any, count: int | None, rows: Sequence[TokenizedText]) -> None:
    largest = max((max(row.ids, default=0) for row in rows), default=0)
    if count is not None and largest >= count:
        raise DataError(
            f"The token {tokenizer.convert_ids_to_tokens(largest)!r} has id {largest}, and the "
            f"model has vectors for the ids 0 to {count - 1} only. Use the tokenizer that the "
            f"model was trained with, or call model.resize_token_embeddings(len(tokenizer)) and "
            f"train it."
        )


class _Probe:
    """Tries how a model answers to texts alone and in batches."""

    def __init__(self, model: Any, tokenizer: Any, pad_id: int) -> None:
        self.model, self.tokenizer, self.pad_id = model, tokenizer, pad_id
        self.pad_left = pads_left(tokenizer)

    def shares_batches(self, rows: Sequence[TokenizedText]) -> bool:
        """Return whether texts of different lengths may share batches.

        Args:
            rows: Two short texts and two long ones.
        """
        short, other, long, other_long = rows
        try:
            with evaluating(self.model):
                alone = [self._answers([row]) for row in (long, short, other, other_long, long)]
        except Exception:  # noqa: BLE001, whatever it is, the first real text raises it too
            return True
        if not self._same(alone[:1], alone[-1:], slack=10):
            raise DataError(
                f"{type(self.model).__name__} answers to the same text otherwise when it is read "
                f"again, because attention is random or changes with the length of earlier texts. "
                f"Load it with exact attention (BigBird: attention_type='original_full'; Reformer: "
                f"a hash_seed), or lower max_length."
            )
        if self._fails([short, long], alone[1::-1]) is None:
            return True
        pairs = [([short, other], alone[1:3]), ([long, other_long], [alone[0], alone[3]])]
        failures = [
            self._fails(given, expected, slack=100)
            for given, expected in pairs
            if len(given[0].ids) == len(given[1].ids)
        ]
        if not any(failures):
            return False
        config = getattr(self.model, "config", None)
        unset = hasattr(config, "pad_token_id") and config.pad_token_id is None
        advice = (
            f"Set model.config.pad_token_id = {self.pad_id}, the id of its tokenizer's "
            f"{self.tokenizer.pad_token!r}."
            if unset
            else "Use another model, or pass a function that reads texts one by one."
        )
        reason = next(failure for failure in failures if failure)
        raise DataError(
            f"{type(self.model).__name__} cannot read texts in batches: {reason}. {advice}"
        )

    def _fails(
        self, rows: Sequence[TokenizedText], alone: Sequence[np.ndarray], *, slack: float = 1
    ) -> str | None:
        """Return why a batch cannot be read, or ``None``."""
        try:
            with evaluating(self.model):
                together = self._answers(rows)
        except Exception as error:  # noqa: BLE001, models raise anything
            return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        if self._same(alone, [together], slack=slack):
            return None
        return "the answer to a text depends on the texts beside it"

    def _answers(self, rows: Sequence[TokenizedText]) -> np.ndarray:
        with torch.inference_mode():
            inputs = model_inputs(self.model, rows, pad_id=self.pad_id, pad_left=self.pad_left)
            answers: np.ndarray = self.model(**inputs).logits.float().cpu().numpy()
        return answers

    def _same(
        self, first: Sequence[np.ndarray], second: Sequence[np.ndarray], *, slack: float = 1
    ) -> bool:
        a, b = np.concatenate(first), np.concatenate(second)
        exact = {parameter.dtype for parameter in self.model.parameters()} <= {
            torch.float32,
            torch.float64,
        }
        tolerance = slack * (1e-4 if exact else 2e-2)
        return a.shape == b.shape and np.allclose(
            a, b, rtol=0, atol=tolerance * max(1e-2, np.abs(a).max()), equal_nan=True
        )
