"""The worst of all combinations of replacements in texts whose logits are sums of token scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.operators import TokenScores
from rosearch.tokens import TokenizedText, WordChoices, collate, token_batches

_TOKENS = 8192
"""Tokens in a batch; scopes hold a few bytes for each pair of tokens of a text."""


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
        own_scopes = scopes_of_rows(scores, rows)
        logits = Sums(rows, own_scopes, scores.scopes, device)(table) + scores.bias
        given = np.asarray(labels, dtype=np.int64)
        worst = Worst(choices, own_scopes, scores.scopes, scores.classes, given, device)
        margins = worst(table, logits)
    found: np.ndarray = margins.float().cpu().numpy()
    return found


def scopes_of_rows(scores: TokenScores, rows: Sequence[TokenizedText]) -> list[np.ndarray]:
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


class Sums:
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


class Worst:
    """The smallest margins that combinations of replacements leave, against given labels."""

    def __init__(
        self,
        choices: WordChoices,
        row_scopes: Sequence[np.ndarray],
        scopes: int,
        classes: int,
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
        options = ranges(choices.first_choices[:-1][slots], counts)
        lengths = lengths[options]
        tokens = ranges(choices.first_ids[:-1][options], lengths)
        self.ids = _tensor(ids[tokens], device)
        self.first_ids = _tensor(np.cumsum(lengths) - lengths, device)
        self.lengths = _tensor(lengths, device)
        self.counts = _tensor(counts, device)
        self.group_of_option = _tensor(np.repeat(np.arange(len(slots)), counts), device)
        self.is_original = torch.zeros(len(options), dtype=torch.bool, device=device)
        self.is_original[_tensor(np.cumsum(counts) - counts, device)] = True
        self.label_of_option = _tensor(np.repeat(labels[texts[slots]], counts), device)
        self.group_of_slot = _tensor(group_of_slot, device)
        self.text_of_slot = _tensor(texts, device)
        self.labels = _tensor(labels, device)
        others = _tensor([np.delete(range(classes), label) for label in range(classes)], device)
        self.others, self.others_of_option = others[self.labels], others[self.label_of_option]

    def __call__(self, table: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the margins of the labels against each class, ``(texts, classes)``.

        Gradients are those of a minimum: equal choices share them. They are computed for the worst
        choices and the originals alone, which are few among all.
        """
        if not len(self.counts):  # no word of these texts can be replaced
            margins = _margins_of(logits, self.labels, self.others)
            return torch.zeros_like(logits).scatter(1, self.others, margins)
        with torch.no_grad():
            sums = functional.embedding_bag(self.ids, table, self.first_ids, mode="sum")
            margins = _margins_of(sums, self.label_of_option, self.others_of_option)
            least = torch.segment_reduce(margins, "min", lengths=self.counts)
            is_least = margins == least.index_select(0, self.group_of_option)
            used = (is_least.any(dim=1) | self.is_original).nonzero().squeeze(1)
            groups = self.group_of_option.index_select(0, used)
            shares = is_least.index_select(0, used).to(margins)
            ties = torch.zeros_like(least).index_add(0, groups, shares)
            shares /= ties.index_select(0, groups)
            shares -= self.is_original.index_select(0, used)[:, None].to(shares)
            lengths = self.lengths.index_select(0, used)
            number = torch.arange(len(used), device=used.device).repeat_interleave(lengths)
            shift = self.first_ids.index_select(0, used) + lengths - lengths.cumsum(0)
            ids = torch.arange(len(number), device=used.device) + shift.index_select(0, number)
            ids = self.ids.index_select(0, ids)
        sums = table.new_zeros(len(used), table.shape[1])
        sums = sums.index_add(0, number, table.index_select(0, ids))
        labels = self.label_of_option.index_select(0, used)
        margins = _margins_of(sums, labels, self.others_of_option.index_select(0, used))
        worst = torch.zeros_like(least).index_add(0, groups, shares * margins)
        lost = worst.index_select(0, self.group_of_slot)
        margins = _margins_of(logits, self.labels, self.others)
        margins = margins.index_add(0, self.text_of_slot, lost)
        return torch.zeros_like(logits).scatter(1, self.others, margins)


def _margins_of(sums: torch.Tensor, labels: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The margins of labels against each of the other classes, ``(labels, classes - 1)``."""
    return sums.gather(1, labels[:, None]) - sums.gather(1, others)


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


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each start, as many numbers from it on as its count, one range after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    found: np.ndarray = np.arange(total) + np.repeat(starts - (ends - counts), counts)
    return found
