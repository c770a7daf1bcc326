"""Language models: a new text must be nearly as likely as the old one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from rosearch.attack.resources.model_identity import digest_of_model
from rosearch.attack.resources.oracles import Ask, Asking, Oracle
from rosearch.attack.settings import check_number, check_whole, name_of
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.sentence import text_window
from rosearch.attack.word_swaps.constraints.vectors import new_words
from rosearch.errors import DataError, EvaluationError, MissingResourceError
from rosearch.quiet import quiet_transformers
from rosearch.tokens import default_device, evaluating

Likelihoods = Callable[[list[str]], Sequence[float]]
"""A language model as a plain function: texts to as many log-likelihoods."""

_BATCH = 64


class LanguageModel(Oracle):
    """The log-likelihood of a text: the sum over its tokens, each given those before it.

    A question is a text.

    Args:
        model: Name or folder of a causal language model, a model whose tokenizer is given too, or a
            function from texts to log-likelihoods.
        tokenizer: Its tokenizer. Default: that of the same name or folder.
        key: Name of a function for the cache file; change it when the function changes. Without
            one a function's answers are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The model cannot be loaded.
        DataError: ``model`` is something else, or has no tokenizer.
    """

    name: ClassVar[str] = "language-model"

    def __init__(
        self, model: Any, tokenizer: Any = None, *, key: str | None = None, cache: Any = True
    ) -> None:
        if isinstance(model, (str, os.PathLike)):
            model, tokenizer = _load(str(model), tokenizer)
        self._network = model if isinstance(model, torch.nn.Module) else None
        self._tokenizer = tokenizer
        self._function: Likelihoods | None = None
        if self._network is not None:
            if tokenizer is None:
                raise DataError(f"{type(model).__name__} comes without a tokenizer; give it too.")
            self.model = f"weights {digest_of_model(self._network, tokenizer)}"
        elif callable(model):
            self._function = model
            cache = cache if key is not None else False
            self.model = f"function {key or name_of(model)}"
        else:
            raise DataError(
                f"A language model is a name, a folder, a model and its tokenizer, or a function; "
                f"got {type(model).__name__}."
            )
        super().__init__(cache=cache)

    def compute(self, questions: Sequence[Any]) -> Sequence[float]:
        texts = list(questions)
        if self._function is not None:
            found = [float(value) for value in self._function(texts)]
        else:
            order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
            found = [0.0] * len(texts)
            for start in range(0, len(order), _BATCH):
                part = order[start : start + _BATCH]
                for i, value in zip(part, self._score([texts[i] for i in part]), strict=True):
                    found[i] = value
        if len(found) != len(texts) or any(value != value for value in found):
            raise EvaluationError(
                f"The language model gave {len(found)} numbers for {len(texts)} texts, or NaN."
            )
        return [round(value, 5) for value in found]

    @torch.inference_mode()
    def _score(self, texts: list[str]) -> list[float]:
        network, tokenizer = self._network, self._tokenizer
        if network is None:
            raise RuntimeError("A function has no network.")
        rows = [tokenizer(text)["input_ids"] for text in texts]
        # A model that has a token for the beginning is asked for the first word's likelihood too.
        begin = tokenizer.bos_token_id
        if begin is not None:
            rows = [row if row[:1] == [begin] else [begin, *row] for row in rows]
        longest = max(2, *map(len, rows))
        device = next(network.parameters()).device
        ids = torch.zeros(len(rows), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[i, : len(row)] = 1
        ids, mask = ids.to(device), mask.to(device)
        with evaluating(network):
            logits = network(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        each = torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0]
        return [float(value) for value in (each * mask[:, 1:]).sum(dim=1)]


class MaxLikelihoodDrop(Constraint):
    """A language model finds the words around the change nearly as likely as before.

    As TextAttack's ``LanguageModelConstraint``, in which a fall by ``limit`` is refused already.
    Jia et al. 2019, appendix A.3.

    Args:
        model: A :class:`LanguageModel`, or what makes one.
        limit: By how much the log-likelihood may fall, in nats.
        window: How many words around the change are read.

    Raises:
        MissingResourceError: The model cannot be loaded.
        DataError: A number is out of range.
    """

    name = "max-likelihood-drop"
    dear = True

    def __init__(self, model: Any, *, limit: float = 5.0, window: int = 6) -> None:
        self.limit = check_number("limit", limit, least=0)
        self.window = check_whole("window", window)
        self.language_model = model if isinstance(model, LanguageModel) else LanguageModel(model)

    def examine(self, change: Change) -> Asking[Examined]:
        questions: list[str] = []
        owners: list[int] = []
        for place, candidate in enumerate(change.candidates):
            for index in new_words(change.current, candidate, change.index):
                questions += [
                    text_window(text, index, self.window) for text in (change.original, candidate)
                ]
                owners.append(place)
        answers = (yield Ask(self.language_model, questions)) if questions else ()
        allowed = [True] * len(change.candidates)
        for place, before, after in zip(owners, answers[::2], answers[1::2], strict=True):
            allowed[place] = allowed[place] and after > before - self.limit
        return Examined(allowed)


def _load(name: str, tokenizer: Any) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet_transformers(warnings=False):
            tokenizer = tokenizer or AutoTokenizer.from_pretrained(name)
            model = AutoModelForCausalLM.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise MissingResourceError(
            f"The language model {name!r} cannot be loaded: {error}. Give a folder or the name of "
            f'a causal language model, such as "distilgpt2".'
        ) from error
    return model.to(default_device()), tokenizer
