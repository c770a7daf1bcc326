"""Training of token scores together with the graph beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.distill.robust.worst_case import WorstCase
from rosearch.distill.robust.worst_margins import Worst, ranges, scopes_of_rows
from rosearch.distill.training.hooks import Backward, Batch, TrainingHook
from rosearch.tokens import WordChoices


class JointScores(TrainingHook):
    """Adds the worst case of each batch, as far as it is known, to a student's loss.

    A margin of the whole student is at least that of its token scores less its bound, so the loss
    of that is an upper bound of the loss in the worst case.

    Args:
        settings: The worst case.
        choices: The replacements in the training texts.
        answers: The teacher's logits, ``(training texts, classes)``.
        bound: What the graph may take from a margin.
    """

    def __init__(
        self, settings: WorstCase, choices: WordChoices, answers: np.ndarray, bound: float
    ) -> None:
        self._settings = settings
        self._choices = choices
        self._wanted = settings.softened(answers, torch.device("cpu"))
        self._bound = bound

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        """Add the gradients of a batch and of its worst case."""
        weight = self._settings.weight
        total = backward(batch, share * (1 - weight))
        known = np.flatnonzero(batch.numbers < len(self._wanted))  # what hooks add has no choices
        scores = model.token_scores
        device = scores.bias.device
        rows = [batch.rows[k] for k in known.tolist()]
        numbers = batch.numbers[known]
        wanted = self._wanted[torch.from_numpy(numbers)]
        labels = wanted.argmax(dim=1).numpy()
        wanted = wanted.to(device)
        worst = Worst(
            choices_of(self._choices, numbers),
            scopes_of_rows(scores, rows),
            scores.scopes,
            scores.classes,
            labels,
            device,
        )
        inputs = {name: tensor[torch.from_numpy(known)] for name, tensor in batch.inputs.items()}
        logits = scores(inputs["input_ids"], inputs["attention_mask"].bool())
        margins = worst(scores.tokens.weight.view(-1, scores.classes), logits)
        others = 1 - functional.one_hot(worst.labels, scores.classes)
        loss = functional.cross_entropy(self._bound * others - margins, wanted)
        loss = loss * (share * weight * len(known) / len(batch.numbers))
        loss.backward()  # type: ignore[no-untyped-call]
        return total + loss.detach()


def choices_of(choices: WordChoices, texts: Sequence[int] | np.ndarray) -> WordChoices:
    """Return the choices of some texts."""
    chosen = np.asarray(texts, dtype=np.int64)
    slots, first_slots = _parts(choices.first_slots, chosen)
    options, first_choices = _parts(choices.first_choices, slots)
    tokens, first_ids = _parts(choices.first_ids, options)
    return replace(
        choices,
        first_slots=first_slots,
        starts=choices.starts[slots],
        ends=choices.ends[slots],
        first_choices=first_choices,
        first_ids=first_ids,
        ids=choices.ids[tokens],
        truncation=None,
    )


def _parts(firsts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of some wholes, and where the parts of each begin among them."""
    counts = firsts[chosen + 1] - firsts[chosen]
    return ranges(firsts[chosen], counts), np.concatenate([[0], np.cumsum(counts)])
