"""Tokenised texts and the batches that models read.

Both distillation and attack feed models from here: rows are sorted by length and packed
under a budget of tokens, so that almost no padding is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from rosearch.checks import refused
from rosearch.data import Text
from rosearch.errors import DataError
from rosearch.threads import batches_at_once, computing

T = TypeVar("T")

_PARTS = 8
_LEAST_TOKENS = 256
"""Tokens of a batch below which another thread costs more than it saves."""


class TokenizedText(NamedTuple):
    """One tokenised text with its special tokens, not padded."""

    ids: tuple[int, ...]
    types: tuple[int, ...] | None = None
    """Token type (segment) ids where the tokenizer gives them; of single texts only those that are
    not all 0, which is what models take for granted."""


class Sharing(Enum):
    """Which texts may share a batch without a change of the model's answers."""

    ANY = "any"
    EQUAL = "equal"
    """Texts of the same number of tokens, so that there is no padding."""
    NONE = "none"

    def separates(self, longer: bool) -> bool:
        """Return whether a text begins a new batch; ``longer``: than the text before it."""
        return self is Sharing.NONE or (self is Sharing.EQUAL and longer)


@dataclass(frozen=True)
class Truncation:
    """Where texts lose tokens when replacements make them too long, and get them back.

    Per text the tokens that truncation hides belong in one place of its row, between what it reads
    of the text and the special tokens at its end or, cut on the left, at its start.
    """

    places: np.ndarray
    """int64 ``(texts,)``, the token of the row before which the hidden ones belong."""
    first_hidden: np.ndarray
    """int64 ``(texts + 1,)``."""
    hidden: np.ndarray
    """int32, the hidden tokens of all texts, those of one text in their order; some far from the
    place may be missing."""
    left: bool = False
    """Whether texts are cut on the left."""


@dataclass(frozen=True)
class WordChoices:
    """What may stand in place of words, as tokens, for all texts of a data set.

    Flat arrays, because there are millions of them. Slot ``s`` is ``tokens[starts[s]:ends[s]]`` of
    its text's row; a text's slots lie in order and do not overlap. A slot's choices are
    ``first_choices[s]`` to ``first_choices[s + 1]``, and the first is what the text has there.
    Choice ``c`` has the tokens ``ids[first_ids[c]:first_ids[c + 1]]``, at least one.
    """

    first_slots: np.ndarray
    """int64 ``(texts + 1,)``, the first slot of each text."""
    starts: np.ndarray
    """int64 ``(slots,)``, first token in the row."""
    ends: np.ndarray
    """int64 ``(slots,)``, the token after the last."""
    first_choices: np.ndarray
    """int64 ``(slots + 1,)``."""
    first_ids: np.ndarray
    """int64 ``(choices + 1,)``."""
    ids: np.ndarray
    """int32, the tokens of all choices."""
    truncation: Truncation | None = None
    """How texts are cut. If it is not known, choices that would make a text too long are not
    made."""


def require_padding(tokenizer: Any) -> int:
    """The id of the padding token.

    Raises:
        DataError: The tokenizer has none, as those of many decoder-only models.
    """
    require_tokenizer(tokenizer)
    if tokenizer.pad_token_id is None:
        raise DataError(
            f"The tokenizer {tokenizer.name_or_path!r} has no padding token, so texts of "
            f"different length cannot share a batch. Set one first, for example "
            f"tokenizer.pad_token = tokenizer.eos_token, and set model.config.pad_token_id."
        )
    return int(tokenizer.pad_token_id)


def pads_left(tokenizer: Any) -> bool:
    """Whether padding belongs before the text, where the tokenizer's ``padding_side`` puts it.

    XLNet reads its class off the last token. Models whose texts begin with the classification
    token look for it in the first place, so these are padded on the right always.
    """
    if getattr(tokenizer, "padding_side", "right") != "left":
        return False
    first = tokenizer("a")["input_ids"][:1]
    return not first or first[0] != getattr(tokenizer, "cls_token_id", None)


def max_tokens(model: Any, tokenizer: Any, max_length: int | None = None) -> int:
    """The smallest of ``max_length`` and what the tokenizer and the model allow."""
    own, positions = length_limit(tokenizer, max_length), position_limit(model)
    return own if positions is None else min(own, positions)


def require_tokenizer(tokenizer: Any) -> None:
    """Refuse what is no tokenizer of transformers.

    Raises:
        ArgumentError: It is none.
    """
    if not hasattr(tokenizer, "model_max_length"):
        expected = "a tokenizer of transformers, such as AutoTokenizer.from_pretrained(folder)"
        raise refused("tokenizer", expected, tokenizer)


def length_limit(tokenizer: Any, max_length: int | None = None) -> int:
    """The smaller of ``max_length`` and what the tokenizer allows; 512 where neither says.

    Raises:
        ArgumentError: It is no tokenizer of transformers.
    """
    require_tokenizer(tokenizer)
    # Tokenizers without a limit carry a huge number (1e30) instead of None.
    own = tokenizer.model_max_length
    limits = [n for n in (max_length, own) if n is not None and n < 1_000_000]
    return int(min(limits, default=512))


def position_limit(model: Any) -> int | None:
    """Tokens that a model can read, special tokens included; ``None`` where it does not tell.

    RoBERTa and its relatives number positions from behind the padding token's, so their table has
    more rows than they can use.
    """
    count = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if not isinstance(count, int) or count < 1:
        return None
    return count - first_position(model)


def positions_for(longest: int, *, limit: int) -> int:
    """Positions that a student gets, so that texts of ``longest`` tokens may grow.

    Attacks and typos split words into more tokens, and other texts are longer: twice as many,
    rounded up to a power of two, from 128.

    Args:
        longest: Tokens of the longest known text.
        limit: Tokens that the teacher reads, which students need no more than.
    """
    return min(limit, max(128, 1 << (2 * longest - 1).bit_length() if longest else 0))


def first_position(model: Any) -> int:
    """Row of the position table that belongs to the first token: 0 for most models."""
    for name, module in model.named_modules():
        if name.split(".")[-1] == "position_embeddings" and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else int(module.padding_idx) + 1
    return 0


def tokenize(tokenizer: Any, texts: Sequence[Text], *, max_length: int) -> list[TokenizedText]:
    """Tokenise texts or pairs, special tokens added, truncated to ``max_length`` tokens."""
    if not texts:
        return []
    pairs = isinstance(texts[0], tuple)
    sides = map(list, zip(*texts, strict=True)) if pairs else [list(texts)]
    return tokenized_rows(tokenizer(*sides, truncation=True, max_length=max_length), pairs=pairs)


def tokenized_rows(out: Mapping[str, Any], *, pairs: bool) -> list[TokenizedText]:
    """The rows of a tokenizer's answer to texts, or to pairs."""
    types = out.get("token_type_ids")
    if types is None:
        return [TokenizedText(tuple(ids)) for ids in out["input_ids"]]
    return [
        TokenizedText(tuple(ids), tuple(kinds) if pairs or any(kinds) else None)
        for ids, kinds in zip(out["input_ids"], types, strict=True)
    ]


def visible_span(
    tokenizer: Any, text: Text, side: int, *, max_length: int
) -> tuple[int, int] | None:
    """The characters of one side of an input that truncation leaves.

    Returns:
        Start of the first and end of the last character that is read, or ``None`` if nothing is
        truncated or the tokenizer returns no offsets.
    """
    if not tokenizer.is_fast:
        return None
    parts = (text,) if isinstance(text, str) else text
    # As lists: beside a single text, transformers takes an empty second one for none.
    out = tokenizer(
        *([part] for part in parts),
        truncation=True,
        max_length=max_length,
        return_offsets_mapping=True,
    )
    if len(out["input_ids"][0]) < max_length:
        return None
    sequence = 0 if isinstance(text, str) else side
    origins = zip(out.sequence_ids(0), out["offset_mapping"][0], strict=True)
    spans = [span for origin, span in origins if origin == sequence]
    if tokenizer.truncation_side == "left":
        length = len(parts[sequence])
        return min((start for start, _ in spans), default=length), length
    return 0, max((end for _, end in spans), default=0)


def token_batches(
    lengths: Sequence[int] | np.ndarray,
    *,
    token_budget: int,
    even: bool = False,
    sharing: Sharing = Sharing.ANY,
) -> list[np.ndarray]:
    """Row indices packed into batches of similar length.

    Args:
        lengths: Tokens in each row, shape ``(rows,)``.
        token_budget: Upper bound on rows times longest row of a batch; a single row may
            exceed it.
        even: Whether a batch that is half full ends where the length changes, so that most
            batches hold rows of one length and no padding.
        sharing: Which rows may share a batch.

    Returns:
        Index arrays that together hold every row once, shortest rows first.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(lengths, kind="stable")
    batches: list[np.ndarray] = []
    start = 0
    for end in range(1, len(order)):
        longest = int(lengths[order[end]])
        longer = longest > lengths[order[end - 1]]
        most = token_budget / 2 if even and longer else token_budget
        if sharing.separates(longer) or (end + 1 - start) * longest > most:
            batches.append(order[start:end])
            start = end
    if len(order):
        batches.append(order[start:])
    return batches


def row_batches(
    model: Any,
    rows: Sequence[TokenizedText],
    *,
    token_budget: int,
    even: bool = False,
    sharing: Sharing = Sharing.ANY,
) -> list[np.ndarray]:
    """Group rows into batches that a model can read; see :func:`token_batches`.

    Encoder-decoders answer at the last end token, and refuse batches of rows with different numbers
    of them, as a text has that contains one.
    """
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    config = getattr(model, "config", None)
    ends = np.zeros(len(rows), dtype=np.int64)
    if getattr(config, "is_encoder_decoder", False):
        end = getattr(config, "eos_token_id", None)
        ends = np.array([row.ids.count(end) for row in rows], dtype=np.int64)
    found = []
    for count in np.unique(ends):
        own = np.flatnonzero(ends == count)
        batches = token_batches(lengths[own], token_budget=token_budget, even=even, sharing=sharing)
        found += [own[batch] for batch in batches]
    return found


def collate(
    rows: Sequence[TokenizedText],
    *,
    pad_id: int,
    pad_left: bool = False,
    device: torch.device | str = "cpu",
) -> dict[str, torch.Tensor]:
    """Pad rows to the longest of them.

    Args:
        rows: Tokenised texts.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text; see :func:`pads_left`.
        device: Where the tensors are to be.

    Returns:
        ``input_ids`` and ``attention_mask``, and ``token_type_ids`` where the rows have them, each
        int64 of shape ``(rows, longest)``.
    """
    lengths = np.fromiter((len(row.ids) for row in rows), dtype=np.int64, count=len(rows))
    mask = np.arange(int(lengths.max(initial=1)))[None, :] < lengths[:, None]
    if pad_left:
        mask = mask[:, ::-1]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate([row.ids for row in rows]) if rows else []
    arrays = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if any(row.types is not None for row in rows):
        types = np.zeros(mask.shape, dtype=np.int64)
        types[mask] = np.concatenate([row.types or (0,) * len(row.ids) for row in rows])
        arrays["token_type_ids"] = types
    return {
        name: torch.from_numpy(array).to(device, non_blocking=True)
        for name, array in arrays.items()
    }


def model_inputs(
    model: torch.nn.Module, rows: Sequence[TokenizedText], *, pad_id: int, pad_left: bool = False
) -> dict[str, torch.Tensor]:
    """What a model is called with: :func:`collate` on its device.

    With padding on the left, models that take ``position_ids`` get them too: each row is counted
    from where its text begins, as if it came alone.
    """
    device = next(model.parameters()).device
    inputs = collate(rows, pad_id=pad_id, pad_left=pad_left, device=device)
    if pad_left and "position_ids" in inspect.signature(model.forward).parameters:
        places = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
        inputs["position_ids"] = places + first_position(model)
    return inputs


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode while this is open; afterwards each module has the mode it had before."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def predict(
    model: torch.nn.Module,
    rows: Sequence[TokenizedText],
    *,
    pad_id: int,
    pad_left: bool = False,
    sharing: Sharing = Sharing.ANY,
    token_budget: int = 4096,
) -> np.ndarray:
    """Logits of a Hugging Face sequence classifier in inference mode.

    Args:
        model: Anything called with ``input_ids`` and ``attention_mask`` that returns an object
            with ``logits`` of shape ``(rows, classes)``.
        rows: Tokenised texts, in any order.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text; see :func:`pads_left`.
        sharing: Which texts may share a batch.
        token_budget: Tokens of a batch, padding included.

    Returns:
        float32 array of shape ``(rows, classes)``, in the order of ``rows``.
    """

    def logits(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        # Results stay on the device until the end: reading each would make a GPU wait.
        out: torch.Tensor = model(**inputs).logits.float()
        return out

    found = answers(
        model,
        rows,
        logits,
        pad_id=pad_id,
        pad_left=pad_left,
        sharing=sharing,
        token_budget=token_budget,
    )
    batches, parts = zip(*found, strict=True)
    together = torch.cat(parts).cpu().numpy()
    out = np.empty_like(together)
    out[np.concatenate(batches)] = together
    return out


def answers(
    model: torch.nn.Module,
    rows: Sequence[TokenizedText],
    compute: Callable[[dict[str, torch.Tensor]], T],
    *,
    pad_id: int,
    pad_left: bool = False,
    sharing: Sharing = Sharing.ANY,
    token_budget: int = 4096,
    threaded: bool = True,
) -> Iterator[tuple[np.ndarray, T]]:
    """What ``compute`` makes of each batch, with the model in eval and inference mode.

    The modules' train or eval modes are put back afterwards. Runs on the device that
    the model is on. On a CPU, each batch is computed by one thread, several at a time (see
    :mod:`rosearch.threads`).

    Args:
        model: The model that ``compute`` calls.
        rows: Tokenised texts, in any order.
        compute: From what the model is called with to anything; called from several threads.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text; see :func:`pads_left`.
        sharing: Which texts may share a batch.
        token_budget: Tokens of a batch, padding included.
        threaded: Whether batches can run at once in several threads; if not, they share a batch.

    Yields:
        The batch's places in ``rows``, and its result.
    """
    device = next(model.parameters()).device
    lengths = [len(row.ids) for row in rows]
    threads = batches_at_once() if device.type == "cpu" else 1
    if device.type == "cpu":
        # Something for every thread. How many there are must not decide what shares a batch,
        # because that decides the last bits of a result.
        token_budget = min(token_budget, max(_LEAST_TOKENS, sum(lengths) // _PARTS))
    # Without padding a CPU skips all masking; a GPU cannot tell without waiting.
    batches = row_batches(
        model, rows, token_budget=token_budget, even=device.type == "cpu", sharing=sharing
    )

    def run(batch: np.ndarray) -> T:
        with torch.inference_mode(), computing(device, 1 if threaded else threads):
            chosen = [rows[i] for i in batch]
            return compute(model_inputs(model, chosen, pad_id=pad_id, pad_left=pad_left))

    with evaluating(model):
        yield from zip(batches, _mapped(run, batches, threads if threaded else 1), strict=True)


def _mapped(
    compute: Callable[[np.ndarray], T], batches: Sequence[np.ndarray], threads: int
) -> Iterator[T]:
    if threads < 2 or len(batches) < 2:
        yield from map(compute, batches)
        return
    workers = min(threads, len(batches))
    before = torch.get_num_threads()
    # PyTorch's number of threads is each thread's own, and new threads take over the one last set.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(compute, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
