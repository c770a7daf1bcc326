"""Between which numbers the logits of a student's graph lie, whatever an attack does to a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import rosearch.attack.certificates.interval_rules  # noqa: F401 - registers them
from rosearch.attack.certificates.intervals import Interval
from rosearch.attack.certificates.reader import ModelReader
from rosearch.attack.certificates.text_parts import TextPart
from rosearch.attack.certificates.word_options import UndecidedError
from rosearch.tokens import TokenizedText

_MARK = -1
"""In place of a token; no token has that id."""

_ROUNDING = 1e-4
"""Difference of logits in float32, in which students compute, from exact ones, relative to the
largest. A text's own must be nearer."""

_LARGER = 20.0
"""How much more other texts may be rounded than the one that is known."""

MOST_LENGTHS = 64
"""Numbers of tokens that a text may have; with more of them, nothing is known."""


def graph_margins(
    reader: ModelReader, parts: Sequence[TextPart], label: int, *, bound: float | None = None
) -> np.ndarray:
    """Return the smallest margins of a label that the graph of a student may contribute.

    Args:
        reader: What a victim reads of a text.
        parts: The parts of the text.
        label: The true class.
        bound: How far the graph may move the difference of two logits; ``None``: it is all there
            is.

    Returns:
        ``(classes - 1,)``, against each of the other classes.

    Raises:
        UndecidedError: Nothing is known about the model, or see :func:`graph_bounds`.
    """
    if not all(hasattr(reader.model, name) for name in ("graph_logits", "token_vectors")):
        raise UndecidedError("the model is no student, whose graph is known")
    if {one.dtype for one in reader.model.parameters()} - {torch.float32, torch.float64}:
        raise UndecidedError("the student computes in less than float32")
    found = graph_bounds(reader.model, reader, parts)
    rounding = _rounding(reader.model, reader.own_row, found)
    if bound is not None:
        found = Interval(bound / 2 * found.low.tanh(), bound / 2 * found.high.tanh())
        rounding *= bound
    margins: np.ndarray = (found.low[label] - found.high - rounding).cpu().numpy()
    return np.delete(margins, label)


@torch.no_grad()
def _rounding(model: Any, row: TokenizedText, found: Interval) -> float:
    """What the logits of a model may differ from exact ones, by a text of which both are known.

    Raises:
        UndecidedError: They differ by much, as where a norm is taken of large numbers that differ
            little, or where a GPU multiplies in TensorFloat-32.
    """
    device = found.device
    vectors = model.token_vectors(torch.tensor(row.ids, device=device))[None]
    mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=device)
    types = None if row.types is None else torch.tensor([row.types], device=device)
    own = model.graph_logits(vectors, mask, types).double()
    exact = model.graph_logits(Interval.of(vectors), mask, types)
    apart = float(torch.maximum((own - exact.low).abs(), (own - exact.high).abs()).max())
    largest = 1 + float(torch.maximum(found.low.abs(), found.high.abs()).max())
    if not apart <= _ROUNDING * (1 + float(own.abs().max())):  # nor where it is no number
        raise UndecidedError("the student's numbers are rounded too much")
    return max(_ROUNDING * largest, _LARGER * apart)


@torch.no_grad()
def graph_bounds(model: Any, reader: ModelReader, parts: Sequence[TextPart]) -> Interval:
    """Return the interval of each logit of a student's graph, before its bound.

    By interval bound propagation (Jia et al. 2019; Huang et al. 2019). Words may become more or
    fewer tokens, so the vector at a place lies between the least and the largest, in each channel,
    of all tokens that may stand there; and the graph is computed for each length that the text may
    have.

    Args:
        model: With the methods ``token_vectors`` and ``graph_logits`` of a student.
        reader: What the model reads.
        parts: The parts of the text.

    Returns:
        Of shape ``(classes,)``.

    Raises:
        UndecidedError: The graph reads more of a token than its vector, or calls a function of
            torch that has no rule for intervals, or the text may have too many lengths.
    """
    forms: list[list[Any]] = [[*part.unchanged, *part.changed] for part in parts]
    starts, lengths = [{0}], {0}
    for found in forms:
        own = {len(form) for form in found}
        lengths = {start + length for start in starts[-1] for length in own}
        if len(lengths) > MOST_LENGTHS:
            raise UndecidedError(f"the text may have over {MOST_LENGTHS} different lengths")
        starts.append(lengths)
    longest = reader.row([(_MARK,) * max(lengths)])
    first, last = reader.first_place(), len(longest.ids)
    after = last - first - max(lengths)  # tokens behind the attacked side
    device = next(model.parameters()).device
    tokens = sorted({token for found in forms for form in found for token in form})
    fixed = [token for token in longest.ids if token != _MARK]
    known = torch.tensor([*tokens, *fixed], device=device)
    vectors = model.token_vectors(known)
    if vectors is None:
        raise UndecidedError("the student's input reads more of a token than its vector")
    vectors = vectors.double()
    place_of = {token: k for k, token in enumerate(tokens)}
    low = vectors.new_full((max(lengths), vectors.shape[1]), torch.inf)
    high = -low
    for found, begins in zip(forms, starts[:-1], strict=True):
        for length in {len(form) for form in found}:
            rows = [[place_of[token] for token in form] for form in found if len(form) == length]
            each = vectors[torch.tensor(rows, device=device).long().view(len(rows), length)]
            least, most = each.amin(dim=0), each.amax(dim=0)
            for begin in begins:
                here = slice(begin, begin + length)
                low[here] = torch.minimum(low[here], least)
                high[here] = torch.maximum(high[here], most)
    others = vectors[len(tokens) :]
    rows_low, rows_high, mask, types = [], [], [], []
    for length in sorted(lengths):
        row = reader.row([(_MARK,) * length])
        padding = vectors.new_zeros(max(lengths) - length, vectors.shape[1])
        ends = [others[:first], None, others[first : first + after], padding]
        rows_low.append(torch.cat([low[:length] if end is None else end for end in ends]))
        rows_high.append(torch.cat([high[:length] if end is None else end for end in ends]))
        real = len(row.ids)
        mask.append([True] * real + [False] * (last - real))
        types.append([*(row.types or (0,) * real), *(0,) * (last - real)])
    vector = Interval(torch.stack(rows_low), torch.stack(rows_high))
    if not all(any(row) for row in mask):
        raise UndecidedError("the text may have no tokens")
    places = torch.tensor(mask, device=device), torch.tensor(types, device=device)
    try:
        logits = model.graph_logits(vector, *places)
    except Exception as error:  # operators of one's own may do anything with an interval
        raise UndecidedError(f"{error}") from error
    return Interval(logits.low.amin(dim=0), logits.high.amax(dim=0))
