"""Worst-case word substitution in every step, estimated from one gradient."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch.nn import functional

from rosearch.checks import number, share, whole_number
from rosearch.data import TextDataset
from rosearch.distill.robust.freelb import shifted
from rosearch.distill.training.hooks import Backward, Batch, TrainingHook
from rosearch.tokens import TokenizedText, Truncation, WordChoices, model_inputs


class Replacements(Protocol):
    """The allowed replacements of words, such as :class:`rosearch.attack.WordReplacements`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides the replacements, as plain values."""

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> WordChoices:
        """Return the replacements of all words.

        Args:
            dataset: The training texts.
            tokenizer: The tokenizer of teacher and students.
            max_length: Maximum tokens of a text.
        """


@dataclass(frozen=True)
class WordPerturbation:
    """Train on each text and on a worst-case perturbation of it, in every step.

    For ``Distiller(perturbation=...)``. The gradient of the loss of the original text tells, to
    first order, how much each replacement would raise the loss (HotFlip, Ebrahimi et al. 2018,
    equation 10). In the perturbed text every word, or a random ``share`` of them, has the
    replacement that raises it most, if any does. Both texts are trained to the teacher's outputs
    for the original::

        (1 - weight) * loss(original) + weight * loss(perturbed)

    For a student whose logits are linear in its token vectors this is the exact worst case over all
    combinations of replacements, the robust training of Jia et al. (2019, "Certified Robustness to
    Adversarial Word Substitutions"); for other students it is an estimate. With ``steps`` above 1,
    replacements are chosen again from the gradient of the perturbed text, and the perturbed texts
    share ``weight``; ``start`` replaces words at random before the first gradient. Both help if
    students learn to mask single gradients (Wong et al. 2020, "Fast is better than free"). A step
    takes ``1 + steps`` times as long as a plain one.

    A replacement with another number of tokens counts with the mean of its token vectors. Token
    scores of genomes with a bound are first fitted to the original texts, then learn with the
    graph; what a replacement adds to them counts as it is.

    Raises:
        ArgumentError: A setting is out of range.
    """

    replacements: Replacements
    weight: float = 0.8
    """Weight of the perturbed texts in the loss, above 0 and below 1."""

    ramp: float = 0.5
    """Share of the training, 0 to 1, during which the weight rises from 0 to its full value."""

    learnt: float = 0.2
    """Share of the loss of original texts at the start, 0 to 1, that must have been learnt for the
    full weight; where less has been, the weight is less, by the square of the proportion. It keeps
    students from ending as constant classifiers, which no replacement changes. 0: never less."""

    begin: float = 0.0
    """Share of the training, 0 to ``ramp``, before the weight starts to rise; until then no text is
    perturbed. Deep students need it to learn anything in a short training."""

    share: float = 1.0
    """Share of the words, above 0, for which replacements are chosen, drawn anew each time.
    Choosing all at once may overshoot if a student is far from linear."""

    steps: int = 1
    """Perturbed texts per step, each made from the gradient of the one before."""

    start: float = 0.0
    """Share of the words, 0 to 1, that are replaced at random in the text that takes the place of
    the original."""

    def __post_init__(self) -> None:
        number("weight", self.weight, 0.0, 1.0, open_minimum=True, open_maximum=True)
        share("ramp", self.ramp)
        share("learnt", self.learnt)
        number("begin", self.begin, 0.0, self.ramp)
        number("share", self.share, 0.0, 1.0, open_minimum=True)
        whole_number("steps", self.steps)
        share("start", self.start)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if not self.learnt:
            del values["learnt"]  # which studies begun before it do not have
        return {"name": "words", **values, "replacements": dict(self.replacements.settings)}


_FIRST_STEPS = 4
"""Steps whose mean loss is that of the start."""

_KEPT = 0.95
"""Weight of the steps before in the running mean of the loss."""


@dataclass
class WordPerturbationHook(TrainingHook):
    """Applies a :class:`WordPerturbation` to one set of training texts, for one student."""

    perturbation: WordPerturbation
    choices: WordChoices
    """The replacements in the training texts."""

    pad_id: int
    """Id of the padding token; padding follows the text."""

    max_length: int
    """Maximum tokens of a text. Where replacements make one longer, it is cut as texts are."""

    _first: float = 0.0
    """Mean loss of the first steps."""

    _now: float = 0.0
    """Running mean of the loss."""

    _steps: int = 0

    def weight(self, progress: float) -> float:
        """Return the weight of perturbed texts at a point of the training, 0 to 1."""
        begin, ramp = self.perturbation.begin, self.perturbation.ramp
        full = self.perturbation.weight * self._learnt()
        if progress >= ramp:
            return full
        if progress <= begin:
            return 0.0
        return full * (progress - begin) / (ramp - begin)

    def _learnt(self) -> float:
        """The share of the weight for what has been learnt so far, 0 to 1."""
        wanted = self.perturbation.learnt
        if not wanted:
            return 1.0
        if self._steps < _FIRST_STEPS or self._first <= 0:
            return 0.0
        # Squared, so that the noise of batches is next to no weight where nothing has been learnt.
        return min(1.0, max(0.0, (1 - self._now / self._first) / wanted)) ** 2

    def _observe(self, loss: float) -> None:
        if self._steps < _FIRST_STEPS:
            self._first += (loss - self._first) / (self._steps + 1)
            self._now = self._first
        else:
            self._now = _KEPT * self._now + (1 - _KEPT) * loss
        self._steps += 1

    def state(self) -> dict[str, torch.Tensor]:
        """Return the losses seen so far."""
        losses = torch.tensor([self._first, self._now], dtype=torch.float64)
        return {"losses": losses, "steps": torch.tensor(self._steps)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self._first, self._now = state["losses"].tolist()
        self._steps = int(state["steps"])

    def counts(self, number: int, progress: float) -> bool:
        """Return whether the ramp is over."""
        return progress >= self.perturbation.ramp

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        """Add the gradients of a batch and of its perturbed texts."""
        weight, steps = self.weight(progress), self.perturbation.steps
        if weight == 0:
            loss = backward(batch, share)
            if self.perturbation.learnt:
                self._observe(float(loss) / share)
            return loss
        texts = _Substitution(self.choices, batch, self.max_length)
        if self.perturbation.start > 0:
            texts.randomize(self.perturbation.start)
            batch = self._with_rows(model, batch, texts.rows)
        total = torch.zeros((), device=batch.inputs["input_ids"].device)
        weights = [1 - weight] + [weight / steps] * steps
        for step, part in enumerate(weights):
            if step == steps:
                return total + backward(batch, share * part)
            slopes, loss = _slopes(model, batch, backward, share * part)
            total = total + loss
            if step == 0 and self.perturbation.learnt:
                self._observe(float(loss) / (share * part))
            if slopes.vectors is not None:
                movable = texts.random_slots(self.perturbation.share)
                texts.maximize(model, batch.inputs, slopes, movable)
                batch = self._with_rows(model, batch, texts.rows)
        return total

    def _with_rows(self, model: Any, batch: Batch, rows: list[TokenizedText]) -> Batch:
        inputs = model_inputs(model, rows, pad_id=self.pad_id)
        return replace(batch, inputs=inputs, rows=rows)


class _Slopes(NamedTuple):
    """Gradients of the loss of a batch."""

    vectors: torch.Tensor | None
    """With respect to the token vectors, ``(batch, length, inner width)``; ``None``: there are
    none."""

    logits: torch.Tensor | None
    """With respect to the sums of token scores, ``(batch, classes)``; ``None`` without scores."""


def _slopes(
    model: Any, batch: Batch, backward: Backward, share: float
) -> tuple[_Slopes, torch.Tensor]:
    """Run a pass; return the gradients of what replacements change, and the loss."""
    ids, inner = batch.inputs["input_ids"], model.embedding.shape.inner
    # A shift by zero has the gradient of the vectors.
    shift = torch.zeros((*ids.shape, inner), device=ids.device, requires_grad=True)
    scores, added = model.token_scores, None
    with ExitStack() as stack:
        stack.enter_context(shifted(model.embedding, shift))
        if scores is not None:
            added = torch.zeros((len(ids), scores.classes), device=ids.device, requires_grad=True)
            handle = scores.register_forward_hook(lambda _, __, out: out + added)
            stack.callback(handle.remove)
        loss = backward(batch, share)
    return _Slopes(shift.grad, None if added is None else added.grad), loss


class _Substitution:
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

    def maximize(
        self, model: Any, inputs: dict[str, torch.Tensor], slopes: _Slopes, movable: np.ndarray
    ) -> None:
        """Choose the options that raise the loss most, to first order.

        Args:
            model: The student.
            inputs: The current texts.
            slopes: The gradients of their loss.
            movable: bool ``(slots,)``, the slots whose option may change.
        """
        if not len(self.options):
            return
        gains = self._gains(model, inputs, slopes)
        # Options are sorted by slot, so a stable sort puts each slot's best option last. The
        # current option wins ties.
        kept = np.zeros(len(gains), dtype=bool)
        kept[self.chosen] = True
        order = np.lexsort((kept, gains, self.of_slot))
        best = order[np.append(self.first[1:], len(order)) - 1]
        self._apply(np.where(movable, best, self.chosen))

    def _gains(self, model: Any, inputs: dict[str, torch.Tensor], slopes: _Slopes) -> np.ndarray:
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
        self.starts = np.empty(len(chosen), dtype=np.int64)
        self.ends = np.empty(len(chosen), dtype=np.int64)
        self.rows = list(self.plain)
        borders = np.flatnonzero(np.diff(self.places)) + 1
        for slots in np.split(np.arange(len(chosen)), borders):
            if len(slots):
                self._apply_to_row(int(self.places[slots[0]]), slots.tolist())

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
