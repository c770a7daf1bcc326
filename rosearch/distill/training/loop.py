"""The training loop that distillation and the teacher's fine-tuning share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from rosearch.distill.robust.freelb import Perturber
from rosearch.distill.training.batches import bucketed_batches
from rosearch.distill.training.callbacks import Callbacks
from rosearch.distill.training.checkpoints import Checkpoint, CheckpointFile, Epoch, best_epoch
from rosearch.distill.training.gradients import Gradients, out_of_memory
from rosearch.distill.training.hooks import Extra, Supplement
from rosearch.distill.training.optimizer import Updates
from rosearch.distill.training.settings import Optimization
from rosearch.errors import DataError, EvaluationError
from rosearch.seeding import child_seed, generator
from rosearch.tokens import Encoding, predict

if TYPE_CHECKING:
    from transformers import TrainerCallback

_CHECKED = 50
"""Steps on a GPU after which the loss is looked at; each look makes the GPU wait."""


def fit(
    model: nn.Module,
    rows: Sequence[Encoding],
    objective: nn.Module,
    dev_rows: Sequence[Encoding],
    dev_labels: np.ndarray,
    *,
    optimization: Optimization,
    pad_id: int,
    pad_left: bool = False,
    seed: int,
    until: int | None = None,
    checkpoint: CheckpointFile | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    name: str = "training",
    progress: str | None = None,
    supplement: Supplement | None = None,
    perturber: Perturber | None = None,
) -> tuple[Epoch, ...]:
    """Train ``model`` in place and leave it with the weights of its best epoch on dev.

    Among equally accurate epochs the earliest is kept. Texts that join an epoch make it longer in
    steps, and not in learning rates: each epoch has its part of the schedule.

    Args:
        model: A Hugging Face sequence classifier, on the device to train on.
        rows: Tokenised training texts.
        objective: Called as ``objective(model, inputs, rows)`` with what the model is called with
            and the rows' numbers, an int64 array ``(batch,)``; gives the batch's mean loss, a
            scalar. Its parameters are trained beside the model's.
        dev_rows: Tokenised dev texts.
        dev_labels: int64 ``(dev rows,)``.
        optimization: Epochs, batch size, learning rate and so on.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text; students read either side alike.
        seed: Fixes order and dropout; torch's global generator is left as it was.
        until: The epoch to stop after, with the learning rates of ``optimization.epochs`` all the
            same; ``None``: the last.
        checkpoint: Where training goes on from, if the file is there, and where its state is put
            after every epoch.
        callbacks: transformers' ``TrainerCallback`` objects; see
            :class:`~rosearch.distill.training.callbacks.Callbacks`.
        name: What callbacks call the run.
        progress: Text before the progress bar; ``None`` for no bar.
        supplement: More texts for some epochs; see
            :class:`~rosearch.distill.training.hooks.Supplement`.
        perturber: Stands between batches and their gradients in every step.

    Returns:
        All epochs up to now, those before the checkpoint included.

    Raises:
        DataError: The checkpoint is another training's, or further than ``until``.
        EvaluationError: The loss is not finite, memory is not enough, or a callback ended training
            before the first epoch.
        ValueError: ``until`` is not an epoch of the plan.
    """
    last = optimization.epochs if until is None else until
    if not 1 <= last <= optimization.epochs:
        raise ValueError(
            f"Cannot stop after epoch {until!r}: expected one from 1 to {optimization.epochs}, the "
            f"planned number of epochs."
        )
    try:
        return _Fit(
            model,
            rows,
            objective,
            (dev_rows, dev_labels),
            optimization,
            pad_id=pad_id,
            pad_left=pad_left,
            seed=seed,
            supplement=supplement,
            perturber=perturber,
        ).run(last, checkpoint, callbacks, name=name, progress=progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, EvaluationError) or not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
    raise EvaluationError(
        f"Memory is not enough for the weights and their optimizer, or for the dev examples "
        f"({reason}). Use a smaller student."
    )


class _Fit:
    """One training; what :func:`fit` was given, and what has come of it."""

    def __init__(
        self,
        model: nn.Module,
        rows: Sequence[Encoding],
        objective: nn.Module,
        dev: tuple[Sequence[Encoding], np.ndarray],
        optimization: Optimization,
        *,
        pad_id: int,
        pad_left: bool,
        seed: int,
        supplement: Supplement | None,
        perturber: Perturber | None,
    ) -> None:
        self.model = model
        self.rows = rows
        self.supplement = supplement
        self.perturber = perturber
        self.objective = objective.to(next(model.parameters()).device)
        self.dev_rows, self.dev_labels = dev
        self.optimization = optimization
        self.padding: dict[str, Any] = {"pad_id": pad_id, "pad_left": pad_left}
        self.seed = seed
        self.lengths = np.array([len(row.ids) for row in rows])
        self.updates = Updates(model, objective, optimization)
        self.gradients = Gradients(
            model,
            objective,
            rows,
            optimization,
            clear=self.updates.clear,
            pad_id=pad_id,
            pad_left=pad_left,
            perturber=perturber,
        )
        self.history: list[Epoch] = []
        self.best: dict[str, torch.Tensor] = {}
        self.step = 0
        self.complete = True
        self.steps = self._steps_up_to(optimization.epochs)

    def run(
        self,
        last: int,
        file: CheckpointFile | None,
        callbacks: Sequence[TrainerCallback],
        *,
        name: str,
        progress: str | None,
    ) -> tuple[Epoch, ...]:
        """Train up to an epoch."""
        found = file.read() if file is not None else None
        if found is not None:
            self._restore(found, last)
        told = Callbacks(
            callbacks,
            model=self.model,
            optimizer=self.updates.optimizer,
            optimization=self.optimization,
            steps=self.steps,
            seed=self.seed,
            name=name,
        )
        bar = tqdm(
            total=self.steps,
            initial=self.step,
            desc=progress,
            disable=progress is None,
            delay=2,
            unit="step",
            leave=False,
        )
        with bar, isolated_rng(self.seed):
            told.begin(self.history, self.step)
            try:
                while len(self.history) < last and not (told.stop or self._patience_is_over()):
                    epoch = self._epoch(len(self.history) + 1, told, bar)
                    # An epoch that a callback ended early cannot be gone on from exactly.
                    if file is not None and self.complete:
                        file.write(self._checkpoint())
                    told.epoch_end(epoch, self.updates.rate)
                    bar.set_postfix(dev=f"{epoch.accuracy:.3f}")
            finally:
                told.end()
        if not self.history:
            raise EvaluationError(
                "A callback asked for the end of training before the first epoch, so nothing was "
                "learnt. Expected should_training_stop only after a step."
            )
        self.model.load_state_dict(self.best)
        self.model.eval()
        return tuple(self.history)

    def _epoch(self, number: int, told: Callbacks, bar: Any) -> Epoch:
        start = time.perf_counter()
        extra = self._extra(number, bar)
        batches = self._batches(number, extra)
        before = self._steps_up_to(number - 1)
        planned = self._steps_up_to(number) - before
        bar.total += len(batches) - planned
        # Each epoch is seeded anew, so that none depends on whether training stopped before it.
        torch.manual_seed(child_seed(self.seed, "dropout", number))
        self.model.train()
        self.objective.train()
        told.epoch_begin()
        # The sum stays on the device, so that a GPU need not be asked for it.
        total = torch.zeros((), device=next(self.model.parameters()).device)
        every = 1 if total.device.type == "cpu" else _CHECKED
        seen = steps = 0
        with self.gradients.attached():
            for batch in batches:
                place = before + steps * planned / len(batches)
                progress = place / self.steps
                total += self.gradients.of(batch, progress=progress) * len(batch)
                seen += len(batch)
                if (self.step + 1) % every == 0:
                    self._require_finite(total, number)
                self.updates.step(self.optimization.rate(place, self.steps))
                self.step += 1
                steps += 1
                bar.update()
                told.step(self.step, number - 1 + steps / len(batches))
                if told.stop:
                    break
        self.complete = steps == len(batches)
        self._require_finite(total, number)
        epoch = Epoch(
            number,
            float(total) / max(1, seen),
            self._accuracy(),
            time.perf_counter() - start,
            steps=steps,
            changed_texts=len(extra.rows),
            augmentation_seconds=extra.augmentation_seconds,
            attack_seconds=extra.attack_seconds,
            teacher_seconds=extra.teacher_seconds,
            counted=extra.counted and self._is_full(before / self.steps),
        )
        self.history.append(epoch)
        if best_epoch(self.history) is epoch:
            self._keep()
        return epoch

    def _is_full(self, progress: float) -> bool:
        return self.perturber is None or self.perturber.is_full(progress)

    def _extra(self, number: int, bar: Any) -> Extra:
        if self.supplement is None:
            return Extra()
        # A bar that is not shown has no text.
        named = getattr(bar, "desc", "").removesuffix(": ")
        extra = self.supplement.begin(number, lambda work: bar.set_description(f"{named}, {work}"))
        bar.set_description(named)
        self.gradients.rows = [*self.rows, *extra.rows]
        return extra

    def _batches(self, number: int, extra: Extra | None = None) -> list[np.ndarray]:
        lengths = self.lengths
        if extra is not None and extra.rows:
            lengths = np.concatenate([lengths, [len(row.ids) for row in extra.rows]])
        return bucketed_batches(
            lengths,
            batch_size=self.optimization.batch_size,
            batch_tokens=self.optimization.batch_tokens,
            rng=generator(self.seed, "order", number),
        )

    def _steps_up_to(self, last: int) -> int:
        """Planned steps, in which texts that join for an epoch do not count."""
        if self.optimization.batch_tokens is None:
            return last * -(-len(self.lengths) // self.optimization.batch_size)
        return sum(len(self._batches(number)) for number in range(1, last + 1))

    def _require_finite(self, total: torch.Tensor, number: int) -> None:
        value = float(total)
        if not np.isfinite(value):
            raise EvaluationError(
                f"The training loss of epoch {number} is {value} by step {self.step + 1}. Lower "
                f"learning_rate (now {self.optimization.learning_rate:g}) or check the inputs."
            )

    def _accuracy(self) -> float:
        predicted = predict(self.model, self.dev_rows, **self.padding).argmax(axis=1)
        return float((predicted == self.dev_labels).mean())

    def _keep(self) -> None:
        state = self.model.state_dict()
        if not self.best:
            self.best = {name: value.clone() for name, value in state.items()}
            return
        for name, value in state.items():
            self.best[name].copy_(value)

    def _patience_is_over(self) -> bool:
        patience = self.optimization.patience
        # Before the first epoch that counts, robust training has only begun.
        counted = [epoch for epoch in self.history if epoch.counted]
        if patience is None or not counted:
            return False
        return counted[-1].number - best_epoch(counted).number >= patience

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            history=tuple(self.history),
            micro_batch_size=self.gradients.micro_batch_size,
            model=self.model.state_dict(),
            best=self.best,
            objective=self.objective.state_dict(),
            updates=self.updates.state(),
            supplement={} if self.supplement is None else self.supplement.state(),
        )

    def _restore(self, found: Checkpoint, last: int) -> None:
        done = len(found.history)
        if done > last:
            raise DataError(
                f"The checkpoint has {done} epochs behind it, and {last} were asked for. Ask for "
                f"{done} or more, or delete it to begin anew."
            )
        self.history = list(found.history)
        self.step = sum(epoch.steps for epoch in self.history)
        self.gradients.micro_batch_size = found.micro_batch_size
        device = next(self.model.parameters()).device
        self.best = {name: value.to(device) for name, value in found.best.items()}
        self.model.load_state_dict(found.model)
        self.objective.load_state_dict(found.objective)
        self.updates.load(dict(found.updates))
        if self.supplement is not None:
            self.supplement.load(found.supplement)


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside, and put them back as they were.

    Initialisation and dropout draw from them and take no generator as an argument.
    """
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
