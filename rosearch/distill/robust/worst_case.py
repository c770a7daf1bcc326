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
        logits: np.ndarray,
        choices: WordChoices | None,
    ) -> float:
        """Fit token scores, which are on the device to compute on.

        Args:
            scores: Changed in place.
            rows: The training texts.
            logits: The teacher's, ``(texts, classes)``.
            choices: The replacements in the texts, if there are any.

        Returns:
            The loss at the last step.
        """
        device = scores.bias.device
        answers = torch.from_numpy(np.array(logits, dtype=np.float32)).to(device)
        answers = functional.softmax(answers / self.temperature, dim=1)
        sums = _Sums(rows, choices if self.weight else None, device)
        scores.reset_parameters()
        parameters = scores.tokens.weight, scores.bias
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                plain, margins = sums(scores, answers.argmax(dim=1))
                loss = functional.cross_entropy(plain, answers)
                if margins is not None:
                    worst = functional.cross_entropy(-margins, answers)
                    loss = (1 - self.weight) * loss + self.weight * worst
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
        _, margins = _Sums(rows, choices, device)(scores, torch.tensor(labels, device=device))
    assert margins is not None  # there are choices  # noqa: S101
    found: np.ndarray = margins.float().cpu().numpy()
    return found


class _Sums:
    """Sums of token scores over texts, and their worst over replacements."""

    def __init__(
        self, rows: Sequence[TokenizedText], choices: WordChoices | None, device: torch.device
    ) -> None:
        def tensor(values: Any) -> torch.Tensor:
            return torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)

        self.count = len(rows)
        self.ids = tensor([token for row in rows for token in row.ids])
        self.text = tensor(np.repeat(np.arange(len(rows)), [len(row.ids) for row in rows]))
        self.has_choices = choices is not None
        if choices is None:
            return
        slots, options = len(choices.starts), len(choices.first_ids) - 1
        self.slots = slots
        self.options = options
        self.text_of_slot = tensor(np.repeat(np.arange(len(rows)), np.diff(choices.first_slots)))
        of_option = np.repeat(np.arange(slots), np.diff(choices.first_choices))
        self.slot_of_option = tensor(of_option)
        self.option_of_token = tensor(np.repeat(np.arange(options), np.diff(choices.first_ids)))
        self.option_ids = tensor(choices.ids)
        self.first = tensor(choices.first_choices[:-1])

    def __call__(
        self, scores: TokenScores, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the logits, and with choices the worst margins of ``labels``."""
        table = scores.tokens.weight
        classes = table.shape[1]
        zeros = table.new_zeros
        plain = zeros(self.count, classes).index_add(0, self.text, table[self.ids]) + scores.bias
        if not self.has_choices:
            return plain, None
        option = zeros(self.options, classes)
        option = option.index_add(0, self.option_of_token, table[self.option_ids])
        own = labels[self.text_of_slot[self.slot_of_option]]
        margin = option.gather(1, own[:, None]) - option
        index = self.slot_of_option[:, None].expand_as(margin)
        worst = margin.new_full((self.slots, classes), torch.inf)
        worst = worst.scatter_reduce(0, index, margin, "amin")
        lost = zeros(self.count, classes)
        lost = lost.index_add(0, self.text_of_slot, worst - margin[self.first])
        return plain, plain.gather(1, labels[:, None]) - plain + lost
