"""Training of token scores against their exact worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.checks import number, positive, refused, whole_number
from rosearch.distill.robust.word_perturbation import Replacements
from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices

_ROWS = 256
_MAP = 0.1
"""Weight of the squared map from vectors to scores."""


@dataclass(frozen=True)
class WorstCase:
    """How the token scores of students with a bound are fitted, as ``Distiller(perturbation=)``.

    The logits of a text are a sum over its tokens, so the worst of all combinations of replacements
    is the sum of each word's worst: exact, in one pass over all of them. The scores minimise ::

        (1 - weight) * loss(original) + weight * loss(worst case) + penalty * |own|^2 / 2 texts

    where a token's scores are a linear map of its vector in the teacher and its ``own``, so that
    rare tokens score like similar ones, and ``loss`` is the cross-entropy with the teacher's
    softened probabilities. The worst case takes from the margin of the teacher's answer against
    each other class as much as replacements can; with more than two classes, each margin's worst is
    its own, which bounds the loss from above. All texts make one batch, for Adam with a cosine
    schedule.

    Without ``replacements`` the scores are fitted to the original texts only. Replacements that
    share tokens share a slot, in which one word is replaced.

    Raises:
        ArgumentError: A setting is out of range.
    """

    replacements: Replacements | None = None
    """What may stand in place of words, such as ``rosearch.attack.WordReplacements("pwws")``."""

    weight: float = 0.3
    """Weight of the worst case in the loss, at least 0 and below 1."""

    penalty: float = 10.0
    """Weight of the squared scores of tokens of their own."""

    vectors: bool = True
    """Whether scores follow the teacher's token vectors; otherwise each token has its own alone."""

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
        vectors: np.ndarray | None = None,
    ) -> float:
        """Fit token scores, which are on the device to compute on.

        Args:
            scores: Changed in place.
            rows: The training texts.
            answers: The teacher's logits, ``(texts, classes)``.
            choices: The replacements in the texts, if there are any.
            vectors: The teacher's token vectors, ``(tokens, width)``, if scores follow them.

        Returns:
            The loss at the last step.
        """
        device = scores.bias.device
        given = torch.from_numpy(np.array(answers, dtype=np.float32)).to(device)
        wanted = functional.softmax(given / self.temperature, dim=1)
        labels = wanted.argmax(dim=1)
        own_scopes = _scopes(scores, rows)
        sums = _Sums(rows, own_scopes, scores.scopes, device)
        worst = None
        if choices is not None and self.weight:
            worst = _Worst(choices, own_scopes, scores.scopes, device)
        table = _Table(scores, vectors)
        optimizer = torch.optim.Adam(table.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                tokens = table()
                logits = sums(tokens) + table.bias
                loss = functional.cross_entropy(logits, wanted)
                if worst is not None:
                    margins = worst(tokens, logits, labels)
                    attacked = functional.cross_entropy(-margins, wanted)
                    loss = (1 - self.weight) * loss + self.weight * attacked
                loss = loss + table.penalty(self.penalty) / len(rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        table.write(scores)
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
        table = scores.tokens.weight.reshape(-1, scores.classes)
        own_scopes = _scopes(scores, rows)
        logits = _Sums(rows, own_scopes, scores.scopes, device)(table) + scores.bias
        worst = _Worst(choices, own_scopes, scores.scopes, device)
        margins = worst(table, logits, torch.tensor(labels, device=device))
    found: np.ndarray = margins.float().cpu().numpy()
    return found


def _scopes(scores: TokenScores, rows: Sequence[TokenizedText]) -> list[np.ndarray]:
    """The scope of each token of each text."""
    found: list[np.ndarray] = []
    if scores.cues is None:
        return [np.zeros(len(row.ids), dtype=np.int64) for row in rows]
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        ids = torch.zeros(len(part), max(len(row.ids) for row in part), dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for k, row in enumerate(part):
            ids[k, : len(row.ids)] = torch.tensor(row.ids)
            mask[k, : len(row.ids)] = True
        batch = scores.scopes_of(ids, mask).numpy()
        found += [batch[k, : len(row.ids)] for k, row in enumerate(part)]
    return found


def _tensor(values: Any, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)


class _Table(nn.Module):
    """Scores while they are fitted, which start at zero."""

    vectors: torch.Tensor

    def __init__(self, scores: TokenScores, vectors: np.ndarray | None) -> None:
        super().__init__()
        scores.reset_parameters()
        tokens = scores.tokens.weight.detach()
        # What all scopes share, and what each adds.
        self.own = nn.Parameter(tokens.new_zeros(len(tokens), 1, scores.classes))
        self.added: nn.Parameter | None = None
        if scores.scopes > 1:
            self.added = nn.Parameter(tokens.new_zeros(len(tokens), scores.scopes, scores.classes))
        self.bias = nn.Parameter(scores.bias.detach().clone())
        self.map: nn.Parameter | None = None
        if vectors is not None:
            given = torch.from_numpy(np.array(vectors, dtype=np.float32)).to(self.own)
            given = given - given.mean(dim=0)
            # Of about unit length, so that the penalty means the same for all teachers.
            given = given / (given.std() * given.shape[1] ** 0.5).clamp_min(1e-12)
            self.register_buffer("vectors", given)
            shape = (given.shape[1], scores.classes)
            self.map = nn.Parameter(given.new_zeros(shape))
            if self.added is not None:
                self.added_map = nn.Parameter(given.new_zeros(scores.scopes, *shape))

    def forward(self) -> torch.Tensor:
        """The scores of each token in each scope, ``(tokens * scopes, classes)``."""
        table: torch.Tensor = self.own
        if self.map is not None:
            table = table + (self.vectors @ self.map)[:, None]
        if self.added is not None:
            table = table + self.added
            if self.map is not None:
                table = table + torch.einsum("td,sdc->tsc", self.vectors, self.added_map)
        return table.reshape(-1, self.own.shape[2])

    def penalty(self, weight: float) -> torch.Tensor:
        """The weighted squares, those of maps lightly, those of what a scope adds doubly."""
        penalty = weight * self.own.square().sum() / 2
        if self.map is not None:
            penalty = penalty + _MAP * self.map.square().sum() / 2
        if self.added is not None:
            penalty = penalty + weight * self.added.square().sum()
            if self.map is not None:
                penalty = penalty + _MAP * self.added_map.square().sum()
        return penalty

    def write(self, scores: TokenScores) -> None:
        """Set the scores to what was fitted."""
        with torch.no_grad():
            scores.tokens.weight.copy_(self().view_as(scores.tokens.weight))
            scores.bias.copy_(self.bias)
            if scores.tokens.padding_idx is not None:
                scores.tokens.weight[scores.tokens.padding_idx] = 0


class _Sums:
    """The sums of texts, given a table of scores, ``(tokens * scopes, classes)``."""

    def __init__(
        self,
        rows: Sequence[TokenizedText],
        row_scopes: Sequence[np.ndarray],
        scopes: int,
        device: torch.device,
    ) -> None:
        self.count = len(rows)
        ids = np.array([token for row in rows for token in row.ids], dtype=np.int64)
        self.ids = _tensor(ids * scopes + np.concatenate(row_scopes), device)
        lengths = [len(row.ids) for row in rows]
        self.text = _tensor(np.repeat(np.arange(len(rows)), lengths), device)

    def __call__(self, table: torch.Tensor) -> torch.Tensor:
        sums = table.new_zeros(self.count, table.shape[1])
        return sums.index_add(0, self.text, table[self.ids])


class _Worst:
    """The smallest margins that combinations of replacements leave."""

    def __init__(
        self,
        choices: WordChoices,
        row_scopes: Sequence[np.ndarray],
        scopes: int,
        device: torch.device,
    ) -> None:
        self.slots, self.options = len(choices.starts), len(choices.first_ids) - 1

        def owners(firsts: np.ndarray) -> torch.Tensor:
            return _tensor(np.repeat(np.arange(len(firsts) - 1), np.diff(firsts)), device)

        self.text_of_slot = owners(choices.first_slots)
        self.slot_of_option = owners(choices.first_choices)
        self.option_of_token = owners(choices.first_ids)
        ids = choices.ids.astype(np.int64) * scopes
        if scopes > 1:
            # Replacements stand in the scope of what they replace, whose tokens have their own.
            texts = np.repeat(np.arange(len(row_scopes)), np.diff(choices.first_slots))
            for slot, text in enumerate(texts.tolist()):
                own, first = row_scopes[text], choices.first_choices[slot]
                start, end = choices.first_ids[first], choices.first_ids[first + 1]
                last = choices.first_ids[choices.first_choices[slot + 1]]
                ids[start:end] += own[choices.starts[slot] : choices.ends[slot]]
                ids[end:last] += own[choices.starts[slot]]
        self.ids = _tensor(ids, device)
        self.original = _tensor(choices.first_choices[:-1], device)

    def __call__(
        self, table: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return the margins of ``labels`` against each class, ``(texts, classes)``."""
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
