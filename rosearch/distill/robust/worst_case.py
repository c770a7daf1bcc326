"""Training of token scores against their exact worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.checks import number, positive, refused, whole_number
from rosearch.distill.robust.word_perturbation import Replacements
from rosearch.distill.robust.worst_margins import Sums, Worst, scopes_of_rows
from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices

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

    With scopes, replacements are taken to stand in the scope of the word they replace and to change
    no other, which holds but for words and signs that open or end one.

    Without ``replacements`` the scores are fitted to the original texts only. Replacements that
    share tokens share a slot, in which one word is replaced. In texts that truncation cuts, what
    longer or shorter replacements move out of view or into it is left out.

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

    joint: bool = False
    """Whether the scores go on learning with the graph, against the worst case of each batch less
    the bound, which is what the graph may take from a margin. Otherwise they stay as they were
    fitted, and the graph learns what they leave."""

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
        if not self.joint:
            del values["joint"]  # which studies begun before it do not have
        given = self.replacements
        return values | {"replacements": None if given is None else dict(given.settings)}

    def softened(self, answers: np.ndarray, device: torch.device) -> torch.Tensor:
        """Return the teacher's softened probabilities of its logits, ``(texts, classes)``."""
        given = torch.from_numpy(np.array(answers, dtype=np.float32)).to(device)
        return functional.softmax(given / self.temperature, dim=1)

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
        wanted = self.softened(answers, device)
        labels = wanted.argmax(dim=1)
        own_scopes = scopes_of_rows(scores, rows)
        sums = Sums(rows, own_scopes, scores.scopes, device)
        worst = None
        if choices is not None and self.weight:
            given = labels.cpu().numpy()
            worst = Worst(choices, own_scopes, scores.scopes, scores.classes, given, device)
        table = _Table(scores, vectors, sums, worst)
        optimizer = torch.optim.Adam(table.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        with torch.enable_grad():
            for _ in range(self.steps):
                tokens = table()
                logits = sums(tokens) + table.bias
                loss = functional.cross_entropy(logits, wanted)
                if worst is not None:
                    margins = worst(tokens, logits)
                    attacked = functional.cross_entropy(-margins, wanted)
                    loss = (1 - self.weight) * loss + self.weight * attacked
                loss = loss + table.penalty(self.penalty) / len(rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        table.write(scores)
        return loss.item()


class _Table(nn.Module):
    """Scores while they are fitted, which start at zero, of the tokens that occur.

    The others have none of their own. Makes ``sums`` and ``worst`` read the smaller table.
    """

    vectors: torch.Tensor
    used_vectors: torch.Tensor

    def __init__(
        self,
        scores: TokenScores,
        vectors: np.ndarray | None,
        sums: Sums,
        worst: Worst | None,
    ) -> None:
        super().__init__()
        scores.reset_parameters()
        read: list[Sums | Worst] = [sums] if worst is None else [sums, worst]
        self.used = torch.cat([part.ids for part in read]).div(scores.scopes, rounding_mode="floor")
        self.used = torch.unique(self.used)
        for part in read:
            token, scope = part.ids // scores.scopes, part.ids % scores.scopes
            part.ids = torch.searchsorted(self.used, token) * scores.scopes + scope
        # What all scopes share, and what each adds.
        count = len(self.used)
        zeros = scores.bias.detach().new_zeros
        self.bias = nn.Parameter(zeros(scores.classes))
        self.own = nn.Parameter(zeros(count, 1, scores.classes))
        self.added: nn.Parameter | None = None
        if scores.scopes > 1:
            self.added = nn.Parameter(zeros(count, scores.scopes, scores.classes))
        self.map: nn.Parameter | None = None
        if vectors is not None:
            given = torch.from_numpy(np.array(vectors, dtype=np.float32)).to(self.own)
            given = given - given.mean(dim=0)
            # Of about unit length, so that the penalty means the same for all teachers.
            given = given / (given.std() * given.shape[1] ** 0.5).clamp_min(1e-12)
            self.register_buffer("vectors", given)
            self.register_buffer("used_vectors", given[self.used])
            shape = (given.shape[1], scores.classes)
            self.map = nn.Parameter(zeros(shape))
            if self.added is not None:
                self.added_map = nn.Parameter(zeros((shape[0], scores.scopes, shape[1])))

    def forward(self) -> torch.Tensor:
        """The scores of each token that occurs, in each scope, ``(used * scopes, classes)``."""
        table: torch.Tensor = self.own if self.added is None else self.own + self.added
        if self.map is not None:
            table = table + self._mapped(self.used_vectors)
        return table.reshape(-1, self.own.shape[2])

    def _mapped(self, vectors: torch.Tensor) -> torch.Tensor:
        """What follows from vectors, ``(vectors, scopes, classes)``."""
        maps = cast(torch.Tensor, self.map)[:, None]
        if self.added is not None:
            maps = maps + self.added_map
        return (vectors @ maps.flatten(1)).view(-1, *maps.shape[1:])

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
            table = scores.tokens.weight.view(-1, scores.scopes, scores.classes)
            if self.map is not None:
                table.copy_(self._mapped(self.vectors))
            table[self.used] = self().view(-1, scores.scopes, scores.classes)
            scores.bias.copy_(self.bias)
            if scores.tokens.padding_idx is not None:
                scores.tokens.weight[scores.tokens.padding_idx] = 0
