"""Worst-case word substitution in every step, estimated from one gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from rosearch.checks import choice, number, share, whole_number
from rosearch.data import TextDataset
from rosearch.distill.robust.freelb import shifted
from rosearch.distill.robust.learnt_share import AnswerLosses, LearntShare
from rosearch.distill.robust.substituted_rows import Slopes, SubstitutedRows
from rosearch.distill.training.hooks import Backward, Batch, TrainingHook
from rosearch.errors import ArgumentError
from rosearch.tokens import TokenizedText, WordChoices, model_inputs


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

    With ``gradient="previous"`` a step is one pass, over the perturbed texts of a batch with
    probability ``weight``, and otherwise over the original ones. The pass trains the student, and
    its gradient chooses the replacements of these texts for the next epoch. So the first epoch has
    none. After Zheng et al. (2020, "Efficient Adversarial Training with Transferable Adversarial
    Examples"), who carry perturbations from one epoch to the next, and Shafahi et al. (2019,
    "Adversarial Training for Free!"), whose one gradient serves both uses.

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
    """Share of the loss of one answer for all texts, 0 to 1, that the student must avoid on texts
    that are not perturbed for the full weight; where it avoids less, the weight is less, by the
    square of the proportion. It keeps students from ending as constant classifiers, which no
    replacement changes. The answer is the student's own mean. 0: never less."""

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

    gradient: str = "current"
    """The gradient that replacements are chosen by: ``"current"``, of the same step, or
    ``"previous"``, of the text's last pass, an epoch earlier; the latter without ``steps`` or
    ``start``."""

    def __post_init__(self) -> None:
        number("weight", self.weight, 0.0, 1.0, open_minimum=True, open_maximum=True)
        share("ramp", self.ramp)
        share("learnt", self.learnt)
        number("begin", self.begin, 0.0, self.ramp)
        number("share", self.share, 0.0, 1.0, open_minimum=True)
        whole_number("steps", self.steps)
        share("start", self.start)
        choice("gradient", self.gradient, ("current", "previous"))
        if self.gradient == "previous" and (self.steps > 1 or self.start > 0):
            raise ArgumentError(
                f"With gradient='previous' a step is one pass, which has no place for "
                f"steps={self.steps} and start={self.start}. Leave them out, or use "
                f"gradient='current'."
            )

    def first_counted(self, epochs: int) -> int:
        """Return the first epoch, from 1, of so many, in which training is in full effect."""
        first = math.ceil(self.ramp * epochs) + 1
        return max(first, 2) if self.gradient == "previous" else first

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # Studies begun before these have no such settings; ``learnt`` was of the first loss then.
        learnt, gradient = values.pop("learnt"), values.pop("gradient")
        values |= {"learnt_of_one_answer": learnt} if learnt else {}
        values |= {"gradient": gradient} if gradient != "current" else {}
        return {"name": "words", **values, "replacements": dict(self.replacements.settings)}


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

    objective: AnswerLosses | None = None
    """Judges answers; ``learnt`` needs it."""

    def __post_init__(self) -> None:
        if self.perturbation.learnt and self.objective is None:
            raise ValueError("learnt needs an objective, or it must be 0.")
        self._learnt = LearntShare()
        self._uses_previous = self.perturbation.gradient == "previous"
        # For each slot, which option the last gradient chose; 0 is what the text has there.
        slots = len(self.choices.starts) if self._uses_previous else 0
        self._offsets = np.zeros(slots, dtype=np.int64)

    def weight(self, progress: float) -> float:
        """Return the weight of perturbed texts at a point of the training, 0 to 1."""
        begin, ramp = self.perturbation.begin, self.perturbation.ramp
        full = self.perturbation.weight
        if self.perturbation.learnt:
            # Squared, so that the noise of batches is next to no weight where nothing was learnt.
            full *= min(1.0, self._learnt.share / self.perturbation.learnt) ** 2
        if progress >= ramp:
            return full
        if progress <= begin:
            return 0.0
        return full * (progress - begin) / (ramp - begin)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the losses seen so far, and what the last gradients chose."""
        state = self._learnt.state()
        if self._uses_previous:
            state["offsets"] = torch.from_numpy(self._offsets.copy())
        return state

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self._learnt.load(state)
        if self._uses_previous:
            self._offsets = state["offsets"].numpy().copy()

    def counts(self, number: int, progress: float) -> bool:
        """Return whether the ramp is over, and there are replacements."""
        return progress >= self.perturbation.ramp and (number > 1 or not self._uses_previous)

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        """Add the gradients of a batch and of its perturbed texts."""
        weight, steps = self.weight(progress), self.perturbation.steps
        if self._uses_previous:
            return self._one_pass(model, batch, share, backward, weight)
        if weight == 0:
            return self._observed(model, batch, share, backward)
        texts = SubstitutedRows(self.choices, batch, self.max_length)
        if self.perturbation.start > 0:
            texts.randomize(self.perturbation.start)
            batch = self._with_rows(model, batch, texts.rows)
        total = torch.zeros((), device=batch.inputs["input_ids"].device)
        weights = [1 - weight] + [weight / steps] * steps
        for step, part in enumerate(weights):
            if step == steps:
                return total + backward(batch, share * part)
            run = backward if step else partial(self._observed, model, backward=backward)
            slopes, loss = _slopes(model, batch, run, share * part)
            total = total + loss
            if slopes.vectors is not None:
                movable = texts.random_slots(self.perturbation.share)
                texts.maximize(model, batch.inputs, slopes, movable)
                batch = self._with_rows(model, batch, texts.rows)
        return total

    def _one_pass(
        self, model: Any, batch: Batch, share: float, backward: Backward, weight: float
    ) -> torch.Tensor:
        """Train on a batch or on its perturbed texts, and choose those of the next epoch."""
        texts = SubstitutedRows(self.choices, batch, self.max_length)
        chosen = np.zeros(len(texts.slots), dtype=np.int64)
        if float(torch.rand(())) < weight:
            movable = texts.random_slots(self.perturbation.share)
            chosen = np.where(movable, self._offsets[texts.slots], 0)
        run: Backward = partial(self._observed, model, backward=backward)
        if chosen.any():
            texts.choose(chosen)
            batch = self._with_rows(model, batch, texts.rows)
            self._learnt.miss()
            run = backward
        slopes, loss = _slopes(model, batch, run, share)
        if slopes.vectors is not None:
            self._offsets[texts.slots] = texts.worst_offsets(model, batch.inputs, slopes)
        return loss

    def _observed(self, model: Any, batch: Batch, share: float, backward: Backward) -> torch.Tensor:
        """Run a pass over original texts, and note what has been learnt."""
        if not self.perturbation.learnt or self.objective is None:
            return backward(batch, share)
        with self._learnt.observing(model, self.objective, batch):
            return backward(batch, share)

    def _with_rows(self, model: Any, batch: Batch, rows: list[TokenizedText]) -> Batch:
        inputs = model_inputs(model, rows, pad_id=self.pad_id)
        return replace(batch, inputs=inputs, rows=rows)


def _slopes(
    model: Any, batch: Batch, backward: Backward, share: float
) -> tuple[Slopes, torch.Tensor]:
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
    return Slopes(shift.grad, None if added is None else added.grad), loss
