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
from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices, collate, token_batches

_TOKENS = 8192
"""Tokens in a batch; scopes hold a few bytes for each pair of tokens of a text."""
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
            worst = _Worst(choices, own_scopes, scores.scopes, labels.cpu().numpy(), device)
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
        smallest; 0 for the class itself. With scopes, as long as no replacement is or replaces a
        cue.
    """
    device = scores.bias.device
    with torch.no_grad():
        table = scores.tokens.weight.reshape(-1, scores.classes)
        own_scopes = _scopes(scores, rows)
        logits = _Sums(rows, own_scopes, scores.scopes, device)(table) + scores.bias
        given = np.asarray(labels, dtype=np.int64)
        margins = _Worst(choices, own_scopes, scores.scopes, given, device)(table, logits)
    found: np.ndarray = margins.float().cpu().numpy()
    return found


def _scopes(scores: TokenScores, rows: Sequence[TokenizedText]) -> list[np.ndarray]:
    """The scope of each token of each text."""
    if scores.cues is None:
        return [np.zeros(len(row.ids), dtype=np.int64) for row in rows]
    found: dict[int, np.ndarray] = {}
    for batch in token_batches([len(row.ids) for row in rows], token_budget=_TOKENS):
        part = [rows[k] for k in batch]
        inputs = collate(part, pad_id=0)
        own = scores.scopes_of(inputs["input_ids"], inputs["attention_mask"].bool()).numpy()
        found |= {
            k: own[n, : len(row.ids)] for n, (k, row) in enumerate(zip(batch, part, strict=True))
        }
    return [found[k] for k in range(len(rows))]


def _tensor(values: Any, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)


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
        sums: _Sums,
        worst: _Worst | None,
    ) -> None:
        super().__init__()
        scores.reset_parameters()
        read: list[_Sums | _Worst] = [sums] if worst is None else [sums, worst]
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
    """The smallest margins that combinations of replacements leave, against given labels."""

    def __init__(
        self,
        choices: WordChoices,
        row_scopes: Sequence[np.ndarray],
        scopes: int,
        labels: np.ndarray,
        device: torch.device,
    ) -> None:
        ids = _choice_ids(choices, row_scopes, scopes)
        texts = np.repeat(np.arange(len(row_scopes)), np.diff(choices.first_slots))
        # What a slot loses depends on its choices and the label: most words occur many times.
        groups: dict[tuple[bytes, bytes, int], int] = {}
        group_of_slot: list[int] = []
        firsts: list[int] = []
        lengths = np.diff(choices.first_ids)
        for slot, label in enumerate(labels[texts].tolist()):
            first, last = choices.first_choices[slot], choices.first_choices[slot + 1]
            own = ids[choices.first_ids[first] : choices.first_ids[last]]
            key = own.tobytes(), lengths[first:last].tobytes(), label
            group = groups.setdefault(key, len(groups))
            group_of_slot.append(group)
            if group == len(firsts):
                firsts.append(slot)
        slots = np.array(firsts, dtype=np.int64)
        counts = np.diff(choices.first_choices)[slots]
        options = _ranges(choices.first_choices[:-1][slots], counts)
        tokens = _ranges(choices.first_ids[:-1][options], lengths[options])
        self.groups, self.options = len(slots), len(options)
        self.ids = _tensor(ids[tokens], device)
        self.option_of_token = _tensor(np.repeat(np.arange(len(options)), lengths[options]), device)
        self.group_of_option = _tensor(np.repeat(np.arange(len(slots)), counts), device)
        self.original = _tensor(np.cumsum(counts) - counts, device)
        self.label_of_option = _tensor(np.repeat(labels[texts[slots]], counts), device)
        self.group_of_slot, self.text_of_slot = (
            _tensor(group_of_slot, device),
            _tensor(texts, device),
        )
        self.labels = _tensor(labels, device)

    def __call__(self, table: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the margins of the labels against each class, ``(texts, classes)``."""
        sums = table.new_zeros(self.options, table.shape[1])
        sums = sums.index_add(0, self.option_of_token, table[self.ids])
        margin = sums.gather(1, self.label_of_option[:, None]) - sums
        index = self.group_of_option[:, None].expand_as(margin)
        worst = margin.new_full((self.groups, table.shape[1]), torch.inf)
        worst = worst.scatter_reduce(0, index, margin, "amin") - margin[self.original]
        lost = torch.zeros_like(logits)
        lost = lost.index_add(0, self.text_of_slot, worst[self.group_of_slot])
        return logits.gather(1, self.labels[:, None]) - logits + lost


def _choice_ids(choices: WordChoices, row_scopes: Sequence[np.ndarray], scopes: int) -> np.ndarray:
    """The row of each token of all choices in a table ``(tokens * scopes, classes)``.

    Replacements stand in the scope of what they replace, whose tokens have their own.
    """
    ids: np.ndarray = choices.ids.astype(np.int64) * scopes
    if scopes == 1:
        return ids
    texts = np.repeat(np.arange(len(row_scopes)), np.diff(choices.first_slots))
    for slot, text in enumerate(texts.tolist()):
        own, first = row_scopes[text], choices.first_choices[slot]
        start, end = choices.first_ids[first], choices.first_ids[first + 1]
        last = choices.first_ids[choices.first_choices[slot + 1]]
        ids[start:end] += own[choices.starts[slot] : choices.ends[slot]]
        ids[end:last] += own[choices.starts[slot]]
    return ids


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each start, as many numbers from it on as its count, one range after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    found: np.ndarray = np.arange(total) + np.repeat(starts - (ends - counts), counts)
    return found
