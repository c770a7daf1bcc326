"""Language models: how likely a text is."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from rosearch.attack.resources.hub_models import load_pretrained
from rosearch.attack.resources.model_identity import digest_of_model
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.settings import name_of
from rosearch.checks import refused
from rosearch.errors import DataError, EvaluationError
from rosearch.tokens import TokenizedText, collate, default_device, evaluating

Likelihoods = Callable[[list[str]], Sequence[float]]
"""A language model as a plain function: maps texts to their log-likelihoods."""

_BATCH = 64


class LanguageModel(Oracle):
    """The log-likelihood of a text in nats: the sum over its tokens, each given those before it.

    A question is a text.

    Args:
        model: Name or folder of a causal language model, a model (pass ``tokenizer`` too), or a
            function that maps texts to log-likelihoods.
        tokenizer: The model's tokenizer. Default: the one of the same name or folder.
        key: Names a function in the cache file; change it when the function changes. Without a
            key, the answers of a function are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The model cannot be loaded.
        DataError: A model comes without a tokenizer.
        ArgumentError: ``model`` is none of the above.
    """

    name: ClassVar[str] = "language-model"

    def __init__(
        self, model: Any, tokenizer: Any = None, *, key: str | None = None, cache: Any = True
    ) -> None:
        if isinstance(model, (str, os.PathLike)):
            from transformers import AutoModelForCausalLM

            kind = "causal language model"
            model, tokenizer = load_pretrained(AutoModelForCausalLM, str(model), kind, tokenizer)
            model.to(default_device())
        self._model: torch.nn.Module | Likelihoods = model
        self._tokenizer = tokenizer
        if isinstance(model, torch.nn.Module):
            if tokenizer is None:
                raise DataError(f"{type(model).__name__} comes without a tokenizer; pass it too.")
            self.model = f"weights {digest_of_model(model, tokenizer)}"
        elif callable(model):
            cache = cache if key is not None else False
            self.model = f"function {key or name_of(model)}"
        else:
            expected = "a name, a folder, a model with its tokenizer, or a function"
            raise refused("language_model", expected, model)
        super().__init__(cache=cache)

    def compute(self, questions: Sequence[Any]) -> Sequence[float]:
        texts = list(questions)
        if isinstance(self._model, torch.nn.Module):
            found = self._log_likelihoods(self._model, texts)
        else:
            found = [float(value) for value in self._model(texts)]
        if len(found) != len(texts) or any(map(math.isnan, found)):
            raise EvaluationError(
                f"The language model returned {len(found)} numbers for {len(texts)} texts, or NaN."
            )
        return [round(value, 5) for value in found]

    @torch.inference_mode()
    def _log_likelihoods(self, network: torch.nn.Module, texts: list[str]) -> list[float]:
        device = next(network.parameters()).device
        pad_id = self._tokenizer.pad_token_id or 0
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[float] = []
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows = [TokenizedText(self._ids(texts[i])) for i in batch]
            inputs = collate(rows, pad_id=pad_id, device=device)
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            with evaluating(network):
                logits = network(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            each = torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0]
            found += (each * mask[:, 1:]).sum(dim=1).tolist()
        sums = dict(zip(order, found, strict=True))
        return [sums[i] for i in range(len(texts))]

    def _ids(self, text: str) -> tuple[int, ...]:
        """Token ids, after the model's token for the beginning where it has one."""
        ids = self._tokenizer(text)["input_ids"]
        begin = self._tokenizer.bos_token_id
        return tuple(ids) if begin is None or ids[:1] == [begin] else (begin, *ids)
