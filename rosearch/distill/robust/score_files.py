"""Fitted token scores in the cache, so that processes and searches fit them once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import torch

from rosearch.caching import cache_folder, read_or_make
from rosearch.distill.robust.worst_case import WorstCase
from rosearch.distill.tensor_files import read_tensors, write_tensors
from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices
from rosearch.version import __version__

_LOSS = "loss"

_FIT = 1
"""Number of the way of fitting; another one makes other scores of the same content."""


def fit_cached(
    settings: WorstCase,
    scores: TokenScores,
    rows: Sequence[TokenizedText],
    answers: np.ndarray,
    choices: WordChoices | None,
    vectors: np.ndarray | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> float:
    """Like :meth:`WorstCase.fit`, which is called once for each content and kind of device.

    The file holds the scores of all tokens, a few megabytes.

    Args:
        settings: What to fit them by.
        scores: Changed in place.
        rows: The training texts.
        answers: The teacher's logits, ``(texts, classes)``.
        choices: The replacements in the texts, if there are any.
        vectors: The teacher's token vectors, ``(tokens, width)``, if scores follow them.
        cache_dir: Cache folder; default: ``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``.

    Returns:
        The loss at the last step.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in _content(settings, scores, rows, answers, choices, vectors):
        digest.update(part)
    name = f"{digest.hexdigest()}.safetensors"
    path = cache_folder("scores", folder=cache_dir, create=False) / name

    def fit() -> dict[str, torch.Tensor]:
        loss = settings.fit(scores, rows, answers, choices, vectors)
        found = {**scores.state_dict(), _LOSS: torch.tensor(loss, dtype=torch.float64)}
        with contextlib.suppress(OSError):  # a full or read-only disk
            write_tensors(path, found)
        return found

    found = read_or_make(path, read_tensors, fit)
    loss = found.pop(_LOSS).item()
    scores.load_state_dict(found)
    return loss


def _content(
    settings: WorstCase,
    scores: TokenScores,
    rows: Sequence[TokenizedText],
    answers: np.ndarray,
    choices: WordChoices | None,
    vectors: np.ndarray | None,
) -> Iterator[bytes]:
    """Everything that the fit depends on."""
    # Replacements are what is in the choices; whether scores learn on says nothing about the fit.
    told = {k: v for k, v in settings.settings.items() if k not in ("replacements", "joint")}
    shapes = {name: list(tensor.shape) for name, tensor in scores.state_dict().items()}
    shared = [scores.classes, scores.cues, scores.tokens.padding_idx, scores.bias.device.type]
    made_by = [_FIT, __version__, torch.__version__]
    yield json.dumps([told, shapes, shared, made_by], sort_keys=True).encode()
    given = {
        "ids": [token for row in rows for token in row.ids],
        "lengths": [len(r.ids) for r in rows],
    }
    arrays = {name: np.array(values, dtype=np.int64) for name, values in given.items()}
    arrays["answers"] = answers
    if vectors is not None:
        arrays["vectors"] = vectors
    if choices is not None:
        names = {field.name for field in fields(choices)} - {"truncation"}
        arrays |= {name: getattr(choices, name) for name in names}
    for name, array in sorted(arrays.items()):
        yield f"{name} {array.dtype} {array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
