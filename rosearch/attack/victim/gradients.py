"""Gradients of a classifier's loss at its token embeddings, for white-box attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.tokenization import IncrementalTokenizer, common_ends
from rosearch.data import Text
from rosearch.errors import EvaluationError
from rosearch.threads import computing
from rosearch.tokens import (
    Sharing,
    TokenizedText,
    evaluating,
    model_inputs,
    row_batches,
    tokenized_rows,
)


@dataclass(frozen=True, slots=True, eq=False)
class TokenGradients:
    """Gradients of the loss at the token embeddings of one input."""

    spans: np.ndarray
    """Start and end of each token in the attacked text, in characters, shape ``(tokens, 2)``."""
    gradients: np.ndarray
    """Gradients at the tokens of the attacked text, float32, shape ``(tokens, width)``."""
    row: TokenizedText
    """All tokens of the input, special tokens included."""
    row_gradients: np.ndarray
    """Gradients at all tokens of the input, float32, shape ``(tokens, width)``."""
    table: torch.Tensor
    """The model's token embeddings, shape ``(vocabulary, width)``."""
    rows_of: Callable[[Sequence[str]], Sequence[TokenizedText]]
    """Tokenizes inputs with other attacked texts."""

    def within(self, start: int, end: int) -> np.ndarray:
        """Return the positions of the tokens that overlap characters ``[start, end)``."""
        return np.flatnonzero((self.spans[:, 0] < end) & (self.spans[:, 1] > start))

    def gains(self, texts: Sequence[str]) -> np.ndarray:
        """Estimate to first order how much each variant of the attacked text raises the loss.

        Ebrahimi et al. 2018 (HotFlip), equation 10, extended to replacements of any number of
        tokens. Tokens between the common prefix and the common suffix of the two rows count as
        replaced: one by one if their number is the same, else each old token by the mean of the new
        embeddings.

        Returns:
            float32, shape ``(texts,)``.
        """
        changes = [_difference(self.row.ids, row.ids) for row in self.rows_of(texts)]
        ids = sorted({i for _, before, after in changes for i in (*before, *after)})
        # One lookup for all texts, because each one waits for the device.
        embedded = dict(zip(ids, self.table[ids].float().cpu().numpy(), strict=True))
        gains = np.zeros(len(texts), dtype=np.float32)
        for number, (start, before, after) in enumerate(changes):
            if before and after:
                old, new = (np.stack([embedded[i] for i in part]) for part in (before, after))
                if len(after) != len(before):
                    new = new.mean(axis=0, keepdims=True)
                slopes = self.row_gradients[start : start + len(before)]
                gains[number] = (slopes * (new - old)).sum()
        return gains


def token_gradients(
    model: torch.nn.Module,
    tokens: IncrementalTokenizer,
    texts: Sequence[Text],
    labels: Sequence[int],
    *,
    side: int,
    token_budget: int,
    sharing: Sharing = Sharing.ANY,
) -> list[TokenGradients]:
    """Compute the gradients of the cross-entropy loss at the token embeddings.

    The model runs in eval mode. Its modes, parameters and their ``.grad`` are left unchanged.

    Args:
        model: A Hugging Face sequence classifier.
        tokens: Its tokenizer, which must be a fast one.
        texts: Inputs.
        labels: Class of each input.
        side: Attacked text of a pair, 0 or 1.
        token_budget: Tokens per batch, padding included.
        sharing: Which texts may share a batch.

    Raises:
        EvaluationError: The tokenizer returns no offsets, or the model does not embed its tokens
            with the module that ``get_input_embeddings()`` returns.
    """
    if not texts:
        return []
    tokenizer = tokens.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise EvaluationError(
            f"Word gradients need a fast tokenizer, which knows the position of each token; "
            f"{type(tokenizer).__name__} is not one. Load it with use_fast=True, or choose a "
            f"black-box attack."
        )
    pairs = isinstance(texts[0], tuple)
    columns = [list(part) for part in zip(*texts, strict=True)] if pairs else [list(texts)]
    out = tokenizer(
        *columns, truncation=True, max_length=tokens.max_length, return_offsets_mapping=True
    )
    rows = tokenized_rows(out, pairs=pairs)
    batches = row_batches(model, rows, token_budget=token_budget, sharing=sharing)
    found = _row_gradients(model, tokens, rows, labels, batches)
    table = _embedding_table(model)
    results = []
    for i, (row, gradients) in enumerate(zip(rows, found, strict=True)):
        sequence = side if pairs else 0
        places = [p for p, origin in enumerate(out.sequence_ids(i)) if origin == sequence]
        offsets = np.array(out["offset_mapping"][i], dtype=np.int64).reshape(-1, 2)
        rows_of = partial(_variants, tokens, AttackedInput(texts[i], side))
        results.append(
            TokenGradients(offsets[places], gradients[places], row, gradients, table, rows_of)
        )
    return results


def _variants(
    tokens: IncrementalTokenizer, attacked: AttackedInput, variants: Sequence[str]
) -> Sequence[TokenizedText]:
    return tokens.encode([attacked.whole(variant) for variant in variants])


def _row_gradients(
    model: torch.nn.Module,
    tokens: IncrementalTokenizer,
    rows: Sequence[TokenizedText],
    labels: Sequence[int],
    batches: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Return float32 gradients of each row, shape ``(tokens, width)``."""
    found: dict[int, np.ndarray] = {}
    lengths = [len(row.ids) for row in rows]
    with evaluating(model), computing(next(model.parameters()).device):
        for batch in batches:
            chosen = [rows[i] for i in batch]
            gradients = _batch_gradients(model, tokens, chosen, [labels[i] for i in batch])
            for i, part in zip(batch.tolist(), gradients, strict=True):
                start = len(part) - lengths[i] if tokens.pad_left else 0
                # A copy, so that a short text does not keep its whole batch in memory.
                found[i] = part[start : start + lengths[i]].copy()
    return [found[i] for i in range(len(rows))]


def _batch_gradients(
    model: torch.nn.Module,
    tokens: IncrementalTokenizer,
    rows: Sequence[TokenizedText],
    labels: Sequence[int],
) -> np.ndarray:
    calls: dict[torch.nn.Module, tuple[Any, torch.Tensor]] = {}

    def record(module: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        leaf = output.detach().requires_grad_()
        calls.setdefault(module, (arguments, leaf))
        return leaf

    modules = _embedding_modules(model)

    # The caller may be in inference mode, whose tensors have no gradients. cuDNN's recurrent layers
    # have a backward pass in training mode only.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
        ExitStack() as hooks,
    ):
        for module in modules:
            hooks.enter_context(module.register_forward_hook(record))
        inputs = model_inputs(model, rows, pad_id=tokens.pad_id, pad_left=tokens.pad_left)
        logits = model(**inputs).logits
        classes = torch.tensor(list(labels), device=logits.device)
        if len(calls) < len(modules):
            raise _unknown_embeddings(model)
        # The sum over rows keeps each row's gradient that of its own loss.
        loss = functional.cross_entropy(logits.float(), classes, reduction="sum")
        arguments = calls[modules[0]][0]
        # Asked for the embeddings only, autograd computes no gradients of parameters.
        parts = torch.autograd.grad(loss, [calls[module][1] for module in modules])
        gradients = torch.cat([part.float() for part in parts], dim=-1)
        ids = inputs["input_ids"]
        if arguments and not torch.equal(arguments[0], ids) and torch.equal(arguments[0], ids.T):
            gradients = gradients.transpose(0, 1)  # XLNet embeds (tokens, rows)
    array: np.ndarray = gradients.float().cpu().numpy()
    return array


def _embedding_modules(model: Any) -> list[torch.nn.Module]:
    """The modules that give each token a vector; the vectors are read side by side."""
    try:
        module = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        module = None
    if not isinstance(module, torch.nn.Module):
        raise _unknown_embeddings(model)
    # A student may add up scores of its tokens too.
    scores = getattr(getattr(model, "token_scores", None), "tokens", None)
    if isinstance(scores, torch.nn.Module) and scores is not module:
        return [module, scores]
    return [module]


def _unknown_embeddings(model: torch.nn.Module) -> EvaluationError:
    return EvaluationError(
        f"{type(model).__name__} does not embed its tokens with a module that its "
        f"get_input_embeddings() returns, so their gradients are unknown. Choose a black-box "
        f"attack."
    )


@torch.no_grad()
def _embedding_table(model: Any) -> torch.Tensor:
    tables = []
    for module in _embedding_modules(model):
        table: Any = getattr(module, "table", None)
        # Students may compute their table, for example from vectors shared by synonyms.
        weight = getattr(module, "weight", None) if table is None else table()
        if not isinstance(weight, torch.Tensor):
            raise _unknown_embeddings(model)
        tables.append(weight.detach())
    return torch.cat(tables, dim=1) if len(tables) > 1 else tables[0]


def _difference(old: Sequence[int], new: Sequence[int]) -> tuple[int, Sequence[int], Sequence[int]]:
    """Return where two rows first differ, and the parts between their common prefix and suffix.

    Both parts are empty if the rows are equal, else neither is: for a pure insertion or deletion
    they also contain the token before it.
    """
    start, end = common_ends(old, new)
    if start and len(old) != len(new) and start + end == min(len(old), len(new)):
        start -= 1
    return start, old[start : len(old) - end], new[start : len(new) - end]
