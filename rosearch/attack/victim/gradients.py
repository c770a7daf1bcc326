"""How a classifier's loss changes with the embeddings of its tokens, for white-box attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.data import Text
from rosearch.errors import EvaluationError
from rosearch.tokens import Encoding, encodings, evaluating, model_inputs, token_batches

RowsOf = Callable[[Sequence[str]], Sequence[Encoding]]
"""From variants of the attacked text to the rows that the model reads."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenGradients:
    """Gradients of the loss with respect to the tokens' embeddings, for the attacked side."""

    ids: np.ndarray
    """Token ids, int64, shape ``(tokens,)``; special tokens are left out."""
    spans: np.ndarray
    """Start and end of each token in the attacked text, in characters, shape ``(tokens, 2)``."""
    gradients: np.ndarray
    """float32, shape ``(tokens, width)``."""
    first_order: FirstOrder | None = None
    """The loss as a linear function of the embeddings, where the victim can tell."""

    def within(self, start: int, end: int) -> np.ndarray:
        """Positions of the tokens that share characters with ``[start, end)``."""
        return np.flatnonzero((self.spans[:, 0] < end) & (self.spans[:, 1] > start))

    def gains(self, texts: Sequence[str]) -> np.ndarray:
        """How much the loss would rise with each variant of the attacked text, to first order.

        Args:
            texts: Variants of the attacked side.

        Returns:
            float32, shape ``(texts,)``.

        Raises:
            EvaluationError: The victim does not tell how its tokens are embedded.
        """
        if self.first_order is None:
            raise EvaluationError(
                "This victim gives gradients without its embeddings, so replacements cannot be "
                "scored to first order. Give the model itself and its tokenizer."
            )
        return self.first_order.gains(texts)


@dataclass(frozen=True, slots=True, eq=False)
class FirstOrder:
    """The loss near one input: its gradient times the change of the embeddings.

    Ebrahimi et al. 2018 (HotFlip), equation 10, for replacements of any number of tokens. Tokens
    between the common beginning and the common end of the two rows count as replaced, place by
    place where there are as many as before; else every old place takes the mean of the new ones.
    """

    row: Encoding
    """What the model reads of the input, special tokens included."""
    gradients: np.ndarray
    """float32, shape ``(tokens, width)``, special tokens included."""
    table: torch.Tensor
    """The model's token embeddings, shape ``(vocabulary, width)``."""
    rows_of: RowsOf

    def gains(self, texts: Sequence[str]) -> np.ndarray:
        """See :meth:`TokenGradients.gains`."""
        old = self.row.ids
        changes = [_differing(old, row.ids) for row in self.rows_of(texts)]
        wanted = sorted({i for _, before, after in changes for i in (*before, *after)})
        if not wanted:
            return np.zeros(len(texts), dtype=np.float32)
        vectors = self.table[torch.tensor(wanted, device=self.table.device)].float().cpu().numpy()
        place = {token: number for number, token in enumerate(wanted)}
        gains = np.zeros(len(texts), dtype=np.float32)
        for number, (start, before, after) in enumerate(changes):
            if not before and not after:
                continue  # the same row
            slopes = self.gradients[start : start + len(before)]
            new = vectors[[place[i] for i in after]]
            if len(after) != len(before):
                new = new.mean(axis=0, keepdims=True)
            gains[number] = (slopes * (new - vectors[[place[i] for i in before]])).sum()
        return gains


def token_gradients(
    model: torch.nn.Module,
    tokenizer: Any,
    texts: Sequence[Text],
    labels: Sequence[int],
    *,
    side: int,
    max_length: int,
    pad_id: int,
    pad_left: bool = False,
    token_budget: int,
    rows_of: Callable[[Text], RowsOf],
) -> list[TokenGradients]:
    """Gradients of the cross-entropy with ``labels`` at the tokens' embeddings.

    The model computes in eval mode; its modes, parameters and their ``.grad`` stay as they were.

    Args:
        model: A Hugging Face sequence classifier.
        tokenizer: Its tokenizer, a fast one.
        texts: Inputs.
        labels: Class of each input.
        side: Which text of a pair is attacked.
        max_length: Tokens after which inputs are cut.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text.
        token_budget: Tokens of a batch, padding included; halved when memory runs out.
        rows_of: For an input, how variants of its attacked side become rows.

    Raises:
        EvaluationError: The tokenizer does not tell where tokens stand, or the model does not
            embed tokens with what ``get_input_embeddings()`` gives.
    """
    if not texts:
        return []
    if not getattr(tokenizer, "is_fast", False):
        raise EvaluationError(
            f"Gradients of words need a tokenizer that tells where its tokens stand, and "
            f"{type(tokenizer).__name__} is not a fast one. Load it with use_fast=True, or choose "
            f"an attack that needs no gradients."
        )
    pairs = isinstance(texts[0], tuple)
    columns = [list(part) for part in zip(*texts, strict=True)] if pairs else [list(texts)]
    out = tokenizer(*columns, truncation=True, max_length=max_length, return_offsets_mapping=True)
    rows = encodings(out, pairs=pairs)
    found = _row_gradients(
        model,
        rows,
        labels,
        pad_id=pad_id,
        pad_left=pad_left,
        token_budget=token_budget,
    )
    embeddings: Any = _embeddings(model)
    # Students may read their table through another one, such as synonyms' shared vectors.
    if callable(getattr(embeddings, "table", None)):
        with torch.no_grad():
            weight = embeddings.table()
    else:
        weight = getattr(embeddings, "weight", None)
    answers = []
    for i, (row, gradients) in enumerate(zip(rows, found, strict=True)):
        wanted = side if pairs else 0
        places = [p for p, sequence in enumerate(out.sequence_ids(i)) if sequence == wanted]
        offsets = np.array(out["offset_mapping"][i], dtype=np.int64).reshape(-1, 2)
        answers.append(
            TokenGradients(
                ids=np.array(row.ids, dtype=np.int64)[places],
                spans=offsets[places],
                gradients=gradients[places],
                first_order=None
                if not isinstance(weight, torch.Tensor)
                else FirstOrder(row, gradients, weight.detach(), rows_of(texts[i])),
            )
        )
    return answers


def _row_gradients(
    model: torch.nn.Module,
    rows: Sequence[Encoding],
    labels: Sequence[int],
    *,
    pad_id: int,
    pad_left: bool,
    token_budget: int,
) -> list[np.ndarray]:
    """float32 gradients of each row, shape ``(tokens, width)``."""
    found: dict[int, np.ndarray] = {}
    lengths = [len(row.ids) for row in rows]
    pending = token_batches(lengths, token_budget=token_budget)[::-1]
    with evaluating(model):
        while pending:
            batch = pending.pop()
            try:
                gradients = _batch_gradients(
                    model,
                    [rows[i] for i in batch],
                    [labels[i] for i in batch],
                    pad_id=pad_id,
                    pad_left=pad_left,
                )
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                pending += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
                continue
            for i, part in zip(batch, gradients, strict=True):
                # A copy, so that a short text does not hold its whole batch.
                begin = len(part) - lengths[i] if pad_left else 0
                found[int(i)] = part[begin : begin + lengths[i]].copy()
    return [found[i] for i in range(len(rows))]


def _batch_gradients(
    model: torch.nn.Module,
    rows: Sequence[Encoding],
    labels: Sequence[int],
    *,
    pad_id: int,
    pad_left: bool,
) -> np.ndarray:
    # Callers may be in inference mode, whose tensors know no gradient; and cuDNN's recurrent layers
    # go backwards in training mode only.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
        _caught(_embeddings(model)) as embedded,
    ):
        inputs = model_inputs(model, rows, pad_id=pad_id, pad_left=pad_left)
        logits = model(**inputs).logits
        classes = torch.tensor(list(labels), device=logits.device)
        if not embedded:
            raise EvaluationError(
                f"{type(model).__name__} does not embed its tokens with the module that its "
                f"get_input_embeddings() gives, so there is no gradient to read. Choose an attack "
                f"that needs no gradients."
            )
        # A sum, so that each row's gradient is that of its own loss.
        loss = functional.cross_entropy(logits.float(), classes, reduction="sum")
        # Asked for the embeddings alone, autograd computes no gradient of a parameter.
        given, leaf = embedded[0]
        (gradients,) = torch.autograd.grad(loss, leaf)
        read, ids = given[0].cpu() if given else None, inputs["input_ids"].cpu()
        if read is not None and not torch.equal(read, ids) and torch.equal(read, ids.T):
            gradients = gradients.transpose(0, 1)  # XLNet embeds (tokens, rows)
    array: np.ndarray = gradients.float().cpu().numpy()
    return array


def _embeddings(model: Any) -> torch.nn.Module:
    try:
        module = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        module = None
    if not isinstance(module, torch.nn.Module):
        raise EvaluationError(
            f"{type(model).__name__} has no get_input_embeddings(), so there is no gradient to "
            f"read. Choose an attack that needs no gradients."
        )
    return module


@contextmanager
def _caught(module: torch.nn.Module) -> Iterator[list[tuple[Any, torch.Tensor]]]:
    """What ``module`` is given and gives while this is open, cut off from what computed it."""
    caught: list[tuple[Any, torch.Tensor]] = []

    def catch(_module: Any, given: Any, output: torch.Tensor) -> torch.Tensor:
        leaf = output.detach().requires_grad_()
        caught.append((given, leaf))
        return leaf

    handle = module.register_forward_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def _differing(
    old: Sequence[int], new: Sequence[int]
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Where two rows begin to differ, and what stands between their common ends.

    Both parts are empty where the rows are equal; else neither is: of tokens put in or left out,
    the one before them counts too.
    """
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    end = 0
    while end < shorter - start and old[-1 - end] == new[-1 - end]:
        end += 1
    if start and len(old) != len(new) and start + end == shorter:
        start -= 1
    return start, tuple(old[start : len(old) - end]), tuple(new[start : len(new) - end])
