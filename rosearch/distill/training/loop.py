"""The training loop of distillation and of the teacher's fine-tuning."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from rosearch.checks import whole_number
from rosearch.distill.training.batches import bucketed_batches
from rosearch.distill.training.callbacks import Callbacks
from rosearch.distill.training.checkpoints import Checkpoint, CheckpointFile, Epoch, best_epoch
from rosearch.distill.training.gradients import Gradients, out_of_memory
from rosearch.distill.training.hooks import Extra, TrainingHook
from rosearch.distill.training.optimizer import Updates
from rosearch.distill.training.settings import Optimization
from rosearch.errors import DataError, EvaluationError
from rosearch.progress import progress_bar
from rosearch.seeding import child_seed, generator
from rosearch.tokens import TokenizedText, predict

if TYPE_CHECKING:
    from transformers import TrainerCallback

_CHECK_EVERY = 50
"""Steps between checks of the loss on a GPU; each check waits for the GPU."""


def fit(
    model: nn.Module,
    rows: Sequence[TokenizedText],
    objective: nn.Module,
    dev_rows: Sequence[TokenizedText],
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
    hooks: Sequence[TrainingHook] = (),
) -> tuple[Epoch, ...]:
    """Train ``model`` in place and leave it with the weights of its best epoch on dev.

    Of equally accurate epochs the first is kept. Extra texts of hooks add steps to an epoch but do
    not change its share of the learning rate schedule.

    Args:
        model: A Hugging Face sequence classifier, on the device to train on.
        rows: Tokenised training texts.
        objective: Called as ``objective(model, inputs, rows)`` with the model's keyword arguments
            and int64 row numbers ``(batch,)``; returns the mean loss of the batch. Its parameters
            are trained too.
        dev_rows: Tokenised dev texts.
        dev_labels: int64 ``(dev rows,)``.
        optimization: Epochs, batch size, learning rate and so on.
        pad_id: Id of the padding token.
        pad_left: Whether padding precedes the text.
        seed: Seed of order and dropout; torch's global generator is not changed.
        until: Epoch to stop after, with the learning rates of ``optimization.epochs``. Default: the
            last.
        checkpoint: File to resume from, if it exists, and to update after every epoch.
        callbacks: transformers' ``TrainerCallback`` objects; see
            :class:`~rosearch.distill.training.callbacks.Callbacks`.
        name: Name of the run for callbacks.
        progress: Text of the progress bar; ``None`` shows none.
        hooks: Add texts or perturb steps; see
            :class:`~rosearch.distill.training.hooks.TrainingHook`.

    Returns:
        All epochs so far, including those before the checkpoint.

    Raises:
        ArgumentError: ``until`` is not an epoch of the schedule.
        DataError: The checkpoint belongs to another training, or is past ``until``.
        EvaluationError: The loss is not finite, memory is not enough, or a callback stopped the
            training before the first epoch.
    """
    epochs = optimization.epochs
    last = epochs if until is None else whole_number("epochs", until, 1, epochs)
    try:
        padding = {"pad_id": pad_id, "pad_left": pad_left}
        training = _Training(
            model, rows, objective, dev_rows, dev_labels, optimization, padding, seed, hooks
        )
        return training.run(last, checkpoint, callbacks, name=name, progress=progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, EvaluationError) or not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
    raise EvaluationError(
        f"Memory is not enough for the weights and their optimizer, or for the dev examples "
        f"({reason}). Use a smaller student."
    )


@dataclass
class _Training:
    """The state of one call of :func:`fit`."""

    model: nn.Module
    rows: Sequence[TokenizedText]
    objective: nn.Module
    dev_rows: Sequence[TokenizedText]
    dev_labels: np.ndarray
    optimization: Optimization
    padding: dict[str, Any]
    seed: int
    hooks: Sequence[TrainingHook]

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.objective.to(self.device)
        self.lengths = np.array([len(row.ids) for row in self.rows])
        self.updates = Updates(self.model, self.objective, self.optimization)
        self.gradients = Gradients(
            self.model,
            self.objective,
            self.rows,
            self.optimization,
            clear=self.updates.clear,
            hooks=self.hooks,
            **self.padding,
        )
        self.history: list[Epoch] = []
        self.best: dict[str, torch.Tensor] = {}
        self.step = 0
        self.complete = True
        self.steps = self._steps_up_to(self.optimization.epochs)

    def run(
        self,
        last: int,
        file: CheckpointFile | None,
        callbacks: Sequence[TrainerCallback],
        *,
        name: str,
        progress: str | None,
    ) -> tuple[Epoch, ...]:
        """Train up to the end of epoch ``last``."""
        found = file.read() if file is not None else None
        if found is not None:
            self._restore(found, last)
        events = Callbacks(
            callbacks,
            model=self.model,
            optimizer=self.updates.optimizer,
            optimization=self.optimization,
            steps=self.steps,
            seed=self.seed,
            name=name,
        )
        bar = progress_bar(
            total=self.steps,
            initial=self.step,
            desc=progress,
            show=progress is not None,
            unit="step",
            leave=False,
        )
        with bar, isolated_rng(self.seed):
            events.begin(self.history, self.step)
            try:
                while len(self.history) < last and not (events.stop or self._out_of_patience()):
                    epoch = self._epoch(len(self.history) + 1, events, bar)
                    # An epoch that a callback ended early cannot be resumed exactly.
                    if file is not None and self.complete:
                        file.write(self._checkpoint())
                    events.epoch_end(epoch, self.updates.rate)
                    bar.set_postfix(dev=f"{epoch.accuracy:.3f}")
            finally:
                events.call("on_train_end")
        if not self.history:
            raise EvaluationError(
                "A callback set should_training_stop before the first epoch, so there is no "
                "trained student. Set it after a step at the earliest."
            )
        self.model.load_state_dict(self.best)
        self.model.eval()
        return tuple(self.history)

    def _epoch(self, number: int, events: Callbacks, bar: Any) -> Epoch:
        start = time.perf_counter()
        extras = self._extras(number, bar)
        batches = self._batches(number)
        before = self._steps_up_to(number - 1)
        planned = self._steps_up_to(number) - before
        bar.total += len(batches) - planned
        # Each epoch has its own seed, so that resuming changes nothing.
        torch.manual_seed(child_seed(self.seed, "dropout", number))
        self.model.train()
        self.objective.train()
        events.call("on_epoch_begin")
        # The sum stays on the device, because reading it waits for a GPU.
        total = torch.zeros((), device=self.device)
        check_every = 1 if self.device.type == "cpu" else _CHECK_EVERY
        seen = steps = 0
        with self.gradients.compiling():
            for batch in batches:
                place = before + steps * planned / len(batches)
                total += self.gradients.accumulate(batch, progress=place / self.steps) * len(batch)
                seen += len(batch)
                if (self.step + 1) % check_every == 0:
                    self._require_finite(total, number)
                self.updates.step(self.optimization.rate(place, self.steps))
                self.step += 1
                steps += 1
                bar.update()
                events.step(self.step, number - 1 + steps / len(batches))
                if events.stop:
                    break
        self.complete = steps == len(batches)
        self._require_finite(total, number)
        epoch = Epoch(
            number,
            float(total) / max(1, seen),
            self._accuracy(),
            time.perf_counter() - start,
            steps=steps,
            perturbed_texts=sum(len(extra.rows) for extra in extras),
            augmentation_seconds=sum(extra.augmentation_seconds for extra in extras),
            attack_seconds=sum(extra.attack_seconds for extra in extras),
            teacher_seconds=sum(extra.teacher_seconds for extra in extras),
            counted=all(hook.counts(number, before / self.steps) for hook in self.hooks),
        )
        self.history.append(epoch)
        if best_epoch(self.history, self.dev_labels) is epoch:
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        return epoch

    def _extras(self, number: int, bar: Any) -> list[Extra]:
        # A hidden bar has no description.
        name = getattr(bar, "desc", "").removesuffix(": ")

        def describe(work: str) -> None:
            bar.set_description(f"{name}, {work}")

        extras = [hook.start_epoch(number, describe) for hook in self.hooks]
        bar.set_description(name)
        self.gradients.rows = [*self.rows, *(row for extra in extras for row in extra.rows)]
        return extras

    def _batches(self, number: int, *, planned: bool = False) -> list[np.ndarray]:
        """Return an epoch's batches, with extra texts unless ``planned``."""
        extra = [] if planned else [len(row.ids) for row in self.gradients.rows[len(self.rows) :]]
        return bucketed_batches(
            np.concatenate([self.lengths, np.array(extra, dtype=np.int64)]),
            batch_size=self.optimization.batch_size,
            batch_tokens=self.optimization.batch_tokens,
            rng=generator(self.seed, "order", number),
        )

    def _steps_up_to(self, last: int) -> int:
        """Return the steps of the first ``last`` epochs, without those for extra texts."""
        if self.optimization.batch_tokens is None:
            return last * -(-len(self.lengths) // self.optimization.batch_size)
        return sum(len(self._batches(number, planned=True)) for number in range(1, last + 1))

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

    def _out_of_patience(self) -> bool:
        patience = self.optimization.patience
        # Before the first epoch that counts, robust training is not in full effect.
        counted = [epoch for epoch in self.history if epoch.counted]
        if patience is None or not counted:
            return False
        return counted[-1].number - best_epoch(counted, self.dev_labels).number >= patience

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            history=tuple(self.history),
            micro_batch_size=self.gradients.micro_batch_size,
            tensors={
                "model": self.model.state_dict(),
                "best": self.best,
                "objective": self.objective.state_dict(),
                "updates": self.updates.state(),
                "hooks": dict(item for hook in self.hooks for item in hook.state().items()),
            },
        )

    def _restore(self, found: Checkpoint, last: int) -> None:
        done = len(found.history)
        if done > last:
            raise DataError(
                f"The checkpoint has {done} epochs, but training is to stop after {last}. Ask for "
                f"{done} or more, or delete the checkpoint to start again."
            )
        self.history = list(found.history)
        self.step = sum(epoch.steps for epoch in self.history)
        self.gradients.micro_batch_size = found.micro_batch_size
        parts = found.tensors
        self.best = {name: value.to(self.device) for name, value in parts["best"].items()}
        self.model.load_state_dict(parts["model"])
        self.objective.load_state_dict(parts["objective"])
        self.updates.load(parts["updates"])
        for hook in self.hooks:
            hook.load(parts["hooks"])


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the ``with`` block and restore them afterwards.

    Initialisation and dropout draw from them and take no generator as an argument.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
