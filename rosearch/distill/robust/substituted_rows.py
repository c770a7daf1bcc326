"""The replacements chosen in the texts of a batch, by the gradients of its loss."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.nn import functional

from rosearch.distill.training.hooks import Batch
from rosearch.tokens import TokenizedText, Truncation, WordChoices


class Slopes(NamedTuple):
    """Gradients of the loss of a batch."""

    vectors: torch.Tensor | None
    """With respect to the token vectors, ``(batch, length, inner width)``; ``None``: there are
    none."""

    logits: torch.Tensor | None
    """With respect to the sums of token scores, ``(batch, classes)``; ``None`` without scores."""


class SubstitutedRows:
    """The replacements chosen in the texts of a batch, one option per slot.

    Args:
        choices: The replacements.
        batch: The original texts. Extra texts have no slots.
        max_length: Maximum tokens of a text.
    """

    def __init__(self, choices: WordChoices, batch: Batch, max_length: int) -> None:
        self.choices = choices
        self.plain = batch.rows
        self.max_length = max_length
        known = np.flatnonzero(batch.numbers < len(choices.first_slots) - 1)
        self.numbers = batch.numbers
        numbers = batch.numbers[known]
        self.slots, owners = _ranges(choices.first_slots[numbers], choices.first_slots[numbers + 1])
        self.places = known[owners]
        self.options, self.of_slot = _ranges(
            choices.first_choices[self.slots], choices.first_choices[self.slots + 1]
        )
        self.first = np.flatnonzero(np.diff(self.of_slot, prepend=-1))
        self._apply(self.first)

    def random_slots(self, share: float) -> np.ndarray:
        """Return a random share of the slots, bool ``(slots,)``."""
        return torch.rand(len(self.slots)).numpy() < share

    def randomize(self, share: float) -> None:
        """Choose random options in a random share of the slots."""
        counts = np.diff(np.append(self.first, len(self.options)))
        offsets = (torch.rand(len(self.slots)).numpy() * counts).astype(np.int64)
        offsets = np.minimum(offsets, counts - 1)
        self._apply(np.where(self.random_slots(share), self.first + offsets, self.first))

    @property
    def offsets(self) -> np.ndarray:
        """The chosen option of each slot, int64 ``(slots,)``; 0 is what the text has there."""
        offsets: np.ndarray = self.chosen - self.first
        return offsets

    def choose(self, offsets: np.ndarray) -> None:
        """Choose options by their :attr:`offsets`."""
        self._apply(self.first + offsets)

    def maximize(
        self, model: Any, inputs: dict[str, torch.Tensor], slopes: Slopes, movable: np.ndarray
    ) -> None:
        """Choose the options that raise the loss most, to first order.

        Args:
            model: The student.
            inputs: The current texts.
            slopes: The gradients of their loss.
            movable: bool ``(slots,)``, the slots whose option may change.
        """
        if len(self.options):
            worst = self.worst_offsets(model, inputs, slopes)
            self.choose(np.where(movable, worst, self.offsets))

    def worst_offsets(
        self, model: Any, inputs: dict[str, torch.Tensor], slopes: Slopes
    ) -> np.ndarray:
        """Return the :attr:`offsets` of the options that raise the loss most, to first order.

        Args:
            model: The student.
            inputs: The current texts.
            slopes: The gradients of their loss.
        """
        if not len(self.options):
            return self.offsets
        gains = self._gains(model, inputs, slopes)
        # Options are sorted by slot, so a stable sort puts each slot's best option last. The
        # current option wins ties.
        kept = np.zeros(len(gains), dtype=bool)
        kept[self.chosen] = True
        order = np.lexsort((kept, gains, self.of_slot))
        worst: np.ndarray = order[np.append(self.first[1:], len(order)) - 1] - self.first
        return worst

    def _gains(self, model: Any, inputs: dict[str, torch.Tensor], slopes: Slopes) -> np.ndarray:
        """Return by how much each option would raise the loss, float32 ``(options,)``."""
        gradients = cast(torch.Tensor, slopes.vectors)
        device, embedding, scores = gradients.device, model.embedding, model.token_scores

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        first_ids = self.choices.first_ids
        tokens, of_option = _ranges(first_ids[self.options], first_ids[self.options + 1])
        ids = self.choices.ids[tokens].astype(np.int64)
        distinct, inverse = np.unique(ids, return_inverse=True)
        counts = np.bincount(of_option, minlength=len(self.options))
        bags = tensor(np.cumsum(counts) - counts)
        mask = inputs["attention_mask"].bool()
        place, start, end = tensor(self.places), tensor(self.starts), tensor(self.ends)
        slot = tensor(self.of_slot)

        def between(each: torch.Tensor) -> torch.Tensor:
            """Sums over the tokens of each slot of what tokens have, ``(batch, length, ...)``."""
            summed = functional.pad(each.cumsum(dim=1), (0, 0, 1, 0))
            return summed[place, end] - summed[place, start]

        with torch.no_grad():
            alone = tensor(distinct)[:, None]
            table = embedding.vectors(alone, torch.ones_like(alone, dtype=torch.bool))[:, 0]
            means = functional.embedding_bag(tensor(inverse), table, bags, mode="mean")
            vectors = embedding.vectors(inputs["input_ids"], mask)
            before = between((gradients * vectors).sum(dim=2, keepdim=True))[:, 0]
            gains = (between(gradients)[slot] * means).sum(dim=1) - before[slot]
            if slopes.logits is not None:
                # Replacements stand in the scope of what they replace.
                visible = start.clamp(max=mask.shape[1] - 1)
                scope = scores.scopes_of(inputs["input_ids"], mask)[place, visible]
                rows = tensor(ids) * scores.scopes + scope[slot][tensor(of_option)]
                table = scores.tokens.weight.view(-1, scores.classes)
                new = functional.embedding_bag(rows, table, bags, mode="sum")
                own = between(scores.each(inputs["input_ids"], mask))
                added = ((new - own[slot]) * slopes.logits[place][slot]).sum(dim=1)
                gains += added * (start < end)[slot]  # else truncation hides them
        gains[tensor(self.chosen)] = 0.0
        found: np.ndarray = gains.float().cpu().numpy()
        return found

    def _apply(self, chosen: np.ndarray) -> None:
        """Make the rows with these options."""
        self.chosen = chosen.copy()
        self.starts = self.choices.starts[self.slots].astype(np.int64)
        self.ends = self.choices.ends[self.slots].astype(np.int64)
        self.rows = list(self.plain)
        changed = np.unique(self.places[chosen != self.first])
        firsts = np.searchsorted(self.places, changed)
        ends = np.searchsorted(self.places, changed, side="right")
        for place, first, end in zip(changed.tolist(), firsts, ends, strict=True):
            self._apply_to_row(place, list(range(first, end)))

    def _apply_to_row(self, place: int, slots: list[int]) -> None:
        row, choices = self.plain[place], self.choices
        truncation = choices.truncation
        ids: list[int] = []
        types: list[int] = []
        done, room = 0, self.max_length - len(row.ids)
        for slot in slots:
            start = int(choices.starts[self.slots[slot]])
            end = int(choices.ends[self.slots[slot]])
            option = self.options[self.chosen[slot]]
            new = choices.ids[choices.first_ids[option] : choices.first_ids[option + 1]].tolist()
            if truncation is None and len(new) - (end - start) > room:
                self.chosen[slot] = self.first[slot]  # the original word stays
                new = list(row.ids[start:end])
            room -= len(new) - (end - start)
            ids += row.ids[done:start]
            self.starts[slot], self.ends[slot] = len(ids), len(ids) + len(new)
            ids += new
            if row.types is not None:
                types += [*row.types[done:start], *([row.types[start]] * len(new))]
            done = end
        ids += row.ids[done:]
        types += [] if row.types is None else row.types[done:]
        if truncation is not None and not self._truncate(place, slots, ids, types, truncation):
            self.chosen[slots] = self.first[slots]
            return self._apply_to_row(place, slots)
        rest = None if row.types is None else tuple(types)
        self.rows[place] = TokenizedText(tuple(ids), rest)
        return None

    def _truncate(
        self, place: int, slots: list[int], ids: list[int], types: list[int], how: Truncation
    ) -> bool:
        """Cut a row as its text is cut, or fill it again; return whether that can be done."""
        number = int(self.numbers[place])
        old = int(how.places[number])
        before = self.choices.starts[self.slots[slots]] < old
        lengths = self.ends[slots] - self.starts[slots]
        replaced = (self.choices.ends - self.choices.starts)[self.slots[slots]]
        cut = old + int((lengths - replaced)[before].sum())
        excess = len(ids) - self.max_length
        if excess > 0:
            low, high = (cut, cut + excess) if how.left else (cut - excess, cut)
            if low < 0 or high > len(ids):
                return False
            del ids[low:high], types[low:high]
            for ends in (self.starts, self.ends):
                ends[slots] -= np.clip(ends[slots] - low, 0, excess)
            return True
        hidden = how.hidden[how.first_hidden[number] : how.first_hidden[number + 1]].tolist()
        added = hidden[excess:] if how.left else hidden[:-excess]
        if excess and added:
            ids[cut:cut] = added
            if types:
                types[cut:cut] = [types[cut] if how.left else types[cut - 1]] * len(added)
            self.starts[slots] += np.where(before, 0, len(added))
            self.ends[slots] += np.where(before, 0, len(added))
        return True


def _ranges(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate the ranges from each start to its end; also return which range each is from."""
    counts = ends - starts
    owners = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(owners)) - before[owners] + starts[owners], owners
