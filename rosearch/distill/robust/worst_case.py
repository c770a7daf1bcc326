"""Training of token scores against their exact worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.checks import number, positive, refused, whole_number
from rosearch.distill.robust.word_perturbation import Replacements
from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices


@dataclass(frozen=True)
class WorstCase:
    """How the token scores of students with a bound are fitted, for ``Distiller(worst_case=...)``.

    The logits of a text are a sum over its tokens, so the worst of all combinations of replacements
    is the sum of each word's worst: exact, in one pass over all of them. The scores minimise ::

        (1 - weight) * loss(original) + weight * loss(worst case) + penalty * |scores|^2 / 2 texts

    where ``loss`` is the cross-entropy with the teacher's softened probabilities. The worst case
    takes from the margin of the teacher's answer against each other class as much as replacements
    can; with more than two classes, each margin's worst is its own, which bounds the loss from
    above. All texts make one batch, for Adam with a cosine schedule.

    Without ``replacements`` the scores are fitted to the original texts only. Replacements that
    share tokens share a slot, in which one word is replaced.

    Raises:
        ArgumentError: A setting is out of range.
    """

    replacements: Replacements | None = None
    """What may stand in place of words, such as ``rosearch.attack.WordReplacements("pwws")``."""

    weight: float = 0.3
    """Weight of the worst case in the loss, at least 0 and below 1."""

    penalty: float = 1.0
    """Weight of the squared scores."""

    temperature: float = 1.5
    """Softens the teacher's probabilities."""

    steps: int = 250
    """Updates of the scores."""

    learning_rate: float = 0.04
    """Learning rate at the start."""

    def __post_init__(self) -> None:
        if self.replacements is not None and not hasattr(self.replacements, "choices"):
            example = "Replacements such as rosearch.attack.WordReplacements('pwws')"
            raise refused("replacements", example, self.replacements)
        number("weight", self.weight, 0.0, 1.0, open_maximum=True)
        number("penalty", self.penalty, 0.0)
        positive("temperature", self.temperature)
        whole_number("steps", self.steps)
        positive("learning_rate", self.learning_rate)

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings as plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        given = self.replacements
        return values | {"replacements": None if given is None else dict(given.settings)}

    def fit(
        self,
        scores: TokenScores,
        rows: Sequence[TokenizedText],
        answers: np.ndarray,
        choices: WordChoices | None,
    ) -> float:
        """Fit token scores, which are on the device to compute on.

        Args:
            scores: Changed in place.
            rows: The training texts.
            answers: The teacher's logits, ``(texts, classes)``.
            choices: The replacements in the texts, if there are any.

        Returns:
            The loss at the last step.
        """
        device = scores.bias.device
        given = torch.from_numpy(np.array(answers, dtype=np.float32)).to(device)
        wanted = functional.softmax(given / self.temperature, dim=1)
        labels = wanted.argmax(dim=1)
        sums = _Sums(rows, device)
        worst = _Worst(choices, device) if choices is not None and self.weight else None
        scores.reset_parameters()
        parameters = scores.tokens.weight, scores.bias
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                logits = sums(scores)
                loss = functional.cross_entropy(logits, wanted)
                if worst is not None:
                    margins = worst(scores, logits, labels)
                    attacked = functional.cross_entropy(-margins, wanted)
                    loss = (1 - self.weight) * loss + self.weight * attacked
                loss = loss + self.penalty * scores.tokens.weight.square().sum() / 2 / len(rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        optimizer.zero_grad()
        return loss.item()


def worst_margins(
    scores: TokenScores, rows: Sequence[TokenizedText], labels: Sequence[int], choices: WordChoices
) -> np.ndarray:
    """Return the smallest margins that any combination of replacements leaves.

    Args:
        scores: The token scores.
        rows: Tokenised texts.
        labels: Index of a class of each text.
        choices: The replacements in the texts.

    Returns:
        float32 ``(texts, classes)``: the logit of the text's class less that of each class, at its
        smallest; 0 for the class itself.
    """
    device = scores.bias.device
    with torch.no_grad():
        logits = _Sums(rows, device)(scores)
        margins = _Worst(choices, device)(scores, logits, torch.tensor(labels, device=device))
    found: np.ndarray = margins.float().cpu().numpy()
    return found


def _tensor(values: Any, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)


class _Sums:
    """The logits of texts."""

    def __init__(self, rows: Sequence[TokenizedText], device: torch.device) -> None:
        self.count = len(rows)
        self.ids = _tensor([token for row in rows for token in row.ids], device)
        lengths = [len(row.ids) for row in rows]
        self.text = _tensor(np.repeat(np.arange(len(rows)), lengths), device)

    def __call__(self, scores: TokenScores) -> torch.Tensor:
        table = scores.tokens.weight
        sums = table.new_zeros(self.count, table.shape[1])
        return sums.index_add(0, self.text, table[self.ids]) + scores.bias


class _Worst:
    """The smallest margins that combinations of replacements leave."""

    def __init__(self, choices: WordChoices, device: torch.device) -> None:
        self.slots, self.options = len(choices.starts), len(choices.first_ids) - 1

        def owners(firsts: np.ndarray) -> torch.Tensor:
            return _tensor(np.repeat(np.arange(len(firsts) - 1), np.diff(firsts)), device)

        self.text_of_slot = owners(choices.first_slots)
        self.slot_of_option = owners(choices.first_choices)
        self.option_of_token = owners(choices.first_ids)
        self.ids = _tensor(choices.ids, device)
        self.original = _tensor(choices.first_choices[:-1], device)

    def __call__(
        self, scores: TokenScores, logits: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return the margins of ``labels`` against each class, ``(texts, classes)``."""
        table = scores.tokens.weight
        sums = table.new_zeros(self.options, table.shape[1])
        sums = sums.index_add(0, self.option_of_token, table[self.ids])
        own = labels[self.text_of_slot[self.slot_of_option]]
        margin = sums.gather(1, own[:, None]) - sums
        index = self.slot_of_option[:, None].expand_as(margin)
        worst = margin.new_full((self.slots, table.shape[1]), torch.inf)
        worst = worst.scatter_reduce(0, index, margin, "amin")
        lost = torch.zeros_like(logits)
        lost = lost.index_add(0, self.text_of_slot, worst - margin[self.original])
        return logits.gather(1, labels[:, None]) - logits + lost
