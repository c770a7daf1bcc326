"""Hugging Face sequence classifiers as victims."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.gradients import TokenGradients, token_gradients
from rosearch.attack.victim.tokenization import IncrementalTokenizer
from rosearch.attack.victim.victim import Victim, softmax
from rosearch.checks import whole_number
from rosearch.classifiers import check_texts, check_tokenizer, embedding_rows
from rosearch.data import Text, require_one_class
from rosearch.tokens import TokenizedText, position_limit, predict

T = TypeVar("T")


class ModelVictim(Victim):
    """A Hugging Face sequence classifier with its tokenizer, on the model's device.

    Args:
        model: Called with ``input_ids``, ``attention_mask`` and, if the tokenizer returns any that
            are not 0, ``token_type_ids``; returns an object with ``logits``.
        tokenizer: The model's tokenizer.
        max_length: Maximum input length in tokens, special tokens included. Default and upper
            bound: what the tokenizer and the model allow.
        token_budget: Tokens per batch, padding included; halved when memory runs out. Default:
            2048 on a CPU, else 65536.

    Raises:
        ArgumentError: ``max_length`` is below 3 or ``token_budget`` below 1.
        DataError: The tokenizer has no padding token or no vocabulary, or is not the model's; the
            model cannot read texts in batches, or is a multi-label classifier or a regression.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        super().__init__()
        require_one_class(getattr(model, "config", None), owner=type(model).__name__)
        self.model = model
        if max_length is not None:
            # Two special tokens and at least one token of text.
            max_length = whole_number("max_length", max_length, 3)
        limits = [limit for limit in (max_length, position_limit(model)) if limit is not None]
        self.tokens = IncrementalTokenizer(tokenizer, max_length=min(limits, default=None))
        self.sharing = check_tokenizer(model, tokenizer, max_length=self.tokens.max_length)
        """Which texts share batches."""
        if token_budget is None:
            on_cpu = next(model.parameters()).device.type == "cpu"
            # A CPU gains nothing from larger batches, and small ones have less padding.
            token_budget = 2048 if on_cpu else 65536
        self.token_budget = whole_number("token_budget", token_budget)

    def require_distinct(self, texts: Sequence[Text]) -> None:
        check_texts(
            self.tokens.tokenizer,
            texts,
            max_length=self.tokens.max_length,
            rows=embedding_rows(self.model),
        )

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Return token ids, so that texts with the same tokens get exactly the same scores."""
        return self.tokens.encode(texts)

    def compute(self, keys: Sequence[TokenizedText]) -> np.ndarray:
        tokens = self.tokens
        run = partial(
            predict,
            self.model,
            keys,
            pad_id=tokens.pad_id,
            pad_left=tokens.pad_left,
            sharing=self.sharing,
        )
        return softmax(self._in_memory(run))

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        run = partial(
            token_gradients,
            self.model,
            self.tokens,
            texts,
            labels,
            side=side,
            sharing=self.sharing,
        )
        return self._in_memory(run)

    def _in_memory(self, compute: Callable[..., T]) -> T:
        """Call with the token budget, which is halved until the memory suffices."""
        try:
            return compute(token_budget=self.token_budget)
        except torch.OutOfMemoryError:
            if self.token_budget <= self.tokens.max_length:
                raise
        # Outside the handler, whose exception keeps the failed batch's tensors alive.
        self.token_budget //= 2
        return self._in_memory(compute)

    def visible(self, attacked: AttackedInput, words: Words) -> range:
        return self.tokens.visible_words(attacked, words)
