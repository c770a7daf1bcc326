"""Words replaced by what the student minds most, at every step of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.choices import Choices
from rosearch.data import TextDataset
from rosearch.distill.robust.freelb import Backward, Batch, shifted
from rosearch.tokens import Encoding, model_inputs


class Replacements(Protocol):
    """Says what may replace the words of texts; :class:`rosearch.attack.WordReplacements` does."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides the replacements, as plain values."""

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> Choices:
        """The replacements of all words.

        Args:
            dataset: The training texts.
            tokenizer: The teacher's, which students share.
            max_length: Longest row in tokens.
        """


@dataclass(frozen=True)
class WordPerturbation:
    """Every step trains on its texts and on the same texts with words replaced for the worse.

    For ``Distiller(perturbation=...)``. The gradient of the plain texts' loss says, to first
    order, how much each replacement would raise it (Ebrahimi et al. 2018, equation 10). In the
    changed text every word, or a random ``share`` of them, has the replacement that raises it
    most, if one does. Both texts are trained to the teacher's answer to the plain one::

        (1 - weight) * loss(text) + weight * loss(changed text)

    For a student whose logits are linear in its token vectors that is the exact worst case over
    all combinations of replacements, the robust training of Jia et al. (2019, "Certified Robustness
    to Adversarial Word Substitutions"); for others it is an estimate. With ``steps`` above 1 the
    choice is made again from the gradient at the changed text, and ``weight`` is shared out among
    the changed texts; ``start`` replaces words at random before the first gradient. Both help
    where students learn to make single gradients useless (Wong et al. 2020, "Fast is better than
    free"). Training takes ``1 + steps`` times as long as plainly.

    Replacements of other lengths count with the mean of their tokens' vectors.
    """

    replacements: Replacements
    weight: float = 0.8
    """Share of the loss that comes from changed texts, above 0, below 1."""

    ramp: float = 0.5
    """Share of the training, 0 to 1, after which the weight has risen from 0 to its full height.
    With full weight from the start, students learn to give one answer to everything."""

    begin: float = 0.0
    """Share of the training, 0 to ``ramp``, in which no text is changed; then the weight begins to
    rise. Deep students need it to learn anything in a short training."""

    share: float = 1.0
    """Share of the words that each choice is made for, above 0, at most 1; drawn anew each time.
    All at once may overshoot where a student is far from linear."""

    steps: int = 1
    """Changed texts a step, each made from the gradient at the one before."""

    start: float = 0.0
    """Share of the words, 0 to 1, that are replaced at random in the text that stands for the
    plain one."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1:
            raise ValueError(f"weight={self.weight!r}: expected a number between 0 and 1.")
        for name in ("ramp", "start"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number from 0 to 1.")
        if not 0 <= self.begin <= self.ramp:
            raise ValueError(
                f"begin={self.begin!r}: expected a number from 0 to ramp, which is {self.ramp!r}."
            )
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share!r}: expected a number above 0, at most 1.")
        if self.steps != int(self.steps) or self.steps < 1:
            raise ValueError(f"steps={self.steps!r}: expected a whole number from 1.")

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"name": "words", **values, "replacements": dict(self.replacements.settings)}


class WordPerturber:
    """A :class:`WordPerturbation` at work on one set of training texts.

    Args:
        perturbation: The settings.
        choices: The replacements.
        pad_id: Id of the padding token, which stands after texts.
        max_length: Longest row in tokens. What would make a row longer is not put in.
    """

    def __init__(
        self, perturbation: WordPerturbation, choices: Choices, *, pad_id: int, max_length: int
    ) -> None:
        self.perturbation = perturbation
        self.choices = choices
        self.pad_id = pad_id
        self.max_length = max_length

    def weight(self, progress: float) -> float:
        """What changed texts weigh at a point of the training.

        Args:
            progress: Share of the training that is done, 0 to 1.
        """
        begin, ramp = self.perturbation.begin, self.perturbation.ramp
        if self.is_full(progress):
            return self.perturbation.weight
        if progress <= begin:
            return 0.0
        return self.perturbation.weight * (progress - begin) / (ramp - begin)

    def is_full(self, progress: float) -> bool:
        """Whether the weight has risen as far as it will."""
        return progress >= self.perturbation.ramp

    def accumulate(
        self,
        model: nn.Module,
        batch: Batch,
        backward: Backward,
        *,
        share: float = 1.0,
        progress: float = 1.0,
    ) -> torch.Tensor:
        """Add the gradients of a batch and of its changed texts; see :class:`Perturber`."""
        weight, steps = self.weight(progress), self.perturbation.steps
        if weight == 0:
            return backward(batch.inputs, share)
        texts = _Texts(self.choices, batch, self.max_length)
        inputs = batch.inputs
        if self.perturbation.start > 0:
            texts.draw(self.perturbation.start)
            inputs = model_inputs(model, texts.rows, pad_id=self.pad_id)
        total = torch.zeros((), device=inputs["input_ids"].device)
        weights = [1 - weight] + [weight / steps] * steps
        for number, part in enumerate(weights):
            if number == steps:
                return total + backward(inputs, share * part)
            gradients, loss = _vector_gradients(model, inputs, backward, share * part)
            total = total + loss
            if gradients is not None:
                movable = texts.drawn(self.perturbation.share)
                texts.worsen(model.embedding, inputs, gradients, movable)
                inputs = model_inputs(model, texts.rows, pad_id=self.pad_id)
        return total


def _vector_gradients(
    model: Any, inputs: dict[str, torch.Tensor], backward: Backward, share: float
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """One pass, and its loss's gradient with respect to what the input gives for each token."""
    ids, inner = inputs["input_ids"], model.embedding.shape.inner
    # Shifted by nothing, the vectors have a gradient of their own.
    shift = torch.zeros((*ids.shape, inner), device=ids.device, requires_grad=True)
    with shifted(model.embedding, shift):
        loss = backward(inputs, share)
    return shift.grad, loss


class _Texts:
    """The texts of a batch, with one choice made in each slot.

    Args:
        choices: The replacements.
        batch: The plain texts. Those that joined for an epoch have no slots.
        max_length: Longest row in tokens.
    """

    def __init__(self, choices: Choices, batch: Batch, max_length: int) -> None:
        self.choices = choices
        self.plain = batch.rows
        self.max_length = max_length
        known = np.flatnonzero(batch.numbers < len(choices.first_slots) - 1)
        numbers = batch.numbers[known]
        self.slots, owners = _ranges(choices.first_slots[numbers], choices.first_slots[numbers + 1])
        self.places = known[owners]
        self.options, self.of_slot = _ranges(
            choices.first_choices[self.slots], choices.first_choices[self.slots + 1]
        )
        self.first = np.flatnonzero(np.diff(self.of_slot, prepend=-1))
        self._put(self.first)

    def drawn(self, share: float) -> np.ndarray:
        """Bool ``(slots,)``: those of a random share."""
        return torch.rand(len(self.slots)).numpy() < share

    def draw(self, share: float) -> None:
        """Make a random choice in a random share of the slots."""
        counts = np.diff(np.append(self.first, len(self.options)))
        offsets = (torch.rand(len(self.slots)).numpy() * counts).astype(np.int64)
        offsets = np.minimum(offsets, counts - 1)
        self._put(np.where(self.drawn(share), self.first + offsets, self.first))

    def worsen(
        self,
        embedding: Any,
        inputs: dict[str, torch.Tensor],
        gradients: torch.Tensor,
        movable: np.ndarray,
    ) -> None:
        """Make the choices that raise the loss most, to first order.

        Args:
            embedding: The student's input.
            inputs: The texts as they are.
            gradients: Of the loss with respect to their tokens' vectors,
                ``(batch, length, inner)``.
            movable: bool ``(slots,)``, where the choice may change.
        """
        if not len(self.options):
            return
        gains = self._gains(embedding, inputs, gradients)
        # Options lie slot by slot, so that a stable sort puts each slot's best at its end. What
        # stands there now wins ties.
        kept = np.zeros(len(gains), dtype=bool)
        kept[self.chosen] = True
        order = np.lexsort((kept, gains, self.of_slot))
        best = order[np.append(self.first[1:], len(order)) - 1]
        self._put(np.where(movable, best, self.chosen))

    def _gains(
        self, embedding: Any, inputs: dict[str, torch.Tensor], gradients: torch.Tensor
    ) -> np.ndarray:
        """How much each option would raise the loss to first order, float32 ``(options,)``."""
        device = gradients.device

        def there(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        first_ids = self.choices.first_ids
        tokens, of_option = _ranges(first_ids[self.options], first_ids[self.options + 1])
        distinct, inverse = np.unique(self.choices.ids[tokens], return_inverse=True)
        counts = np.bincount(of_option, minlength=len(self.options))
        bags = there(np.cumsum(counts) - counts)
        with torch.no_grad():
            alone = there(distinct.astype(np.int64))[:, None]
            table = embedding.vectors(alone, torch.ones_like(alone, dtype=torch.bool))[:, 0]
            means = functional.embedding_bag(there(inverse), table, bags, mode="mean")
            vectors = embedding.vectors(inputs["input_ids"], inputs["attention_mask"].bool())
            place, start, end = there(self.places), there(self.starts), there(self.ends)
            summed = functional.pad(gradients.cumsum(dim=1), (0, 0, 1, 0))
            slopes = summed[place, end] - summed[place, start]
            products = functional.pad((gradients * vectors).sum(dim=2).cumsum(dim=1), (1, 0))
            before = products[place, end] - products[place, start]
            slot = there(self.of_slot)
            gains = (slopes[slot] * means).sum(dim=1) - before[slot]
        gains[there(self.chosen)] = 0.0
        found: np.ndarray = gains.float().cpu().numpy()
        return found

    def _put(self, chosen: np.ndarray) -> None:
        """Make the rows with these options; in a row that is full the plain word stays."""
        self.chosen = chosen.copy()
        self.starts = np.empty(len(chosen), dtype=np.int64)
        self.ends = np.empty(len(chosen), dtype=np.int64)
        self.rows = list(self.plain)
        begin = 0
        for end in [*(np.flatnonzero(np.diff(self.places)) + 1).tolist(), len(chosen)]:
            if begin < end:
                self._put_in(int(self.places[begin]), range(begin, end))
            begin = end

    def _put_in(self, place: int, slots: range) -> None:
        row, choices = self.plain[place], self.choices
        ids: list[int] = []
        types: list[int] = []
        done, room = 0, self.max_length - len(row.ids)
        for slot in slots:
            start = int(choices.starts[self.slots[slot]])
            end = int(choices.ends[self.slots[slot]])
            option = self.options[self.chosen[slot]]
            new = choices.ids[choices.first_ids[option] : choices.first_ids[option + 1]].tolist()
            if len(new) - (end - start) > room:
                self.chosen[slot] = self.first[slot]
                new = list(row.ids[start:end])
            room -= len(new) - (end - start)
            ids += row.ids[done:start]
            self.starts[slot], self.ends[slot] = len(ids), len(ids) + len(new)
            ids += new
            if row.types is not None:
                types += [*row.types[done:start], *([row.types[start]] * len(new))]
            done = end
        ids += row.ids[done:]
        rest = None if row.types is None else (*types, *row.types[done:])
        self.rows[place] = Encoding(tuple(ids), rest)


def _ranges(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers from each start up to its end, one after the other, and whose they are."""
    counts = ends - starts
    owners = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(owners)) - before[owners] + starts[owners], owners
