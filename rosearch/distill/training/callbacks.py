"""Calls transformers' callbacks as transformers' own Trainer does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from torch import nn

from rosearch.distill.training.checkpoints import Epoch
from rosearch.distill.training.settings import Optimization

if TYPE_CHECKING:
    from transformers import TrainerCallback


class LoopArguments(SimpleNamespace):
    """The attributes of ``transformers.TrainingArguments`` that callbacks read.

    The real class needs the package accelerate and sets up devices for the whole process.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return all settings by name; they are plain values."""
        return dict(vars(self))

    to_sanitized_dict = to_dict

    def to_json_string(self) -> str:
        """Return all settings as JSON."""
        return json.dumps(self.to_dict(), indent=2)


class Callbacks:
    """Reports the progress of a training to transformers' callbacks.

    They are called in order with ``(args, state, control, model=, processing_class=, optimizer=)``
    at the beginning and end of training and of each epoch, after each step, after each evaluation
    on dev, and to log. Their own state, such as the counter of ``EarlyStoppingCallback``, is not
    part of checkpoints; use ``patience`` for an early stop that resumes. Of ``control``, only
    ``should_training_stop`` has an effect; ``args`` is a :class:`LoopArguments`.

    Args:
        callbacks: The callbacks.
        model: The student.
        optimizer: Its optimizer.
        optimization: The settings.
        steps: Steps of all epochs together, without those for perturbed texts.
        seed: Seed of the training.
        name: Name of the run.
    """

    def __init__(
        self,
        callbacks: Sequence[TrainerCallback],
        *,
        model: nn.Module,
        optimizer: Any,
        optimization: Optimization,
        steps: int,
        seed: int,
        name: str,
    ) -> None:
        from transformers import TrainerControl, TrainerState

        self._callbacks = tuple(callbacks)
        self._given = {
            "model": model,
            "processing_class": getattr(model, "tokenizer", None),
            "optimizer": optimizer,
        }
        self._args = LoopArguments(
            run_name=name,
            output_dir=f"runs/{name}",
            logging_dir=f"runs/{name}",
            logging_strategy="epoch",
            eval_strategy="epoch",
            load_best_model_at_end=True,
            metric_for_best_model="eval_accuracy",
            greater_is_better=True,
            project="rosearch",
            num_train_epochs=optimization.epochs,
            learning_rate=optimization.learning_rate,
            weight_decay=optimization.weight_decay,
            max_grad_norm=optimization.clip,
            warmup_ratio=optimization.warmup,
            lr_scheduler_type=optimization.schedule,
            per_device_train_batch_size=optimization.batch_size,
            bf16=optimization.precision == "bfloat16",
            seed=seed,
        )
        self._state = TrainerState(
            epoch=0.0, max_steps=steps, num_train_epochs=optimization.epochs, logging_steps=1
        )
        self._control = TrainerControl()

    @property
    def stop(self) -> bool:
        """Whether a callback has asked to stop training."""
        return bool(self._control.should_training_stop)

    def begin(self, history: Sequence[Epoch], step: int) -> None:
        """Report that training begins, or resumes after ``history`` and so many steps."""
        self._state.global_step = step
        for epoch in history:
            self._best(epoch)
        self.call("on_train_begin")

    def step(self, number: int, epochs: float) -> None:
        """Report a step.

        Args:
            number: Steps done in all epochs, from 1.
            epochs: Epochs done, as a fraction.
        """
        self._state.global_step = number
        self._state.epoch = epochs
        self.call("on_step_end")

    def epoch_end(self, epoch: Epoch, rate: float) -> None:
        """Report that an epoch has ended and dev was evaluated.

        Args:
            epoch: Record of the epoch.
            rate: Learning rate of its last step.
        """
        state = self._state
        state.epoch = float(epoch.number)
        self.call("on_epoch_end")
        metrics = {"eval_accuracy": epoch.accuracy, "epoch": state.epoch}
        logs = {"loss": epoch.loss, "learning_rate": rate, "seconds": epoch.seconds, **metrics}
        state.log_history.append({**logs, "step": state.global_step})
        self.call("on_log", logs=logs)
        self.call("on_evaluate", metrics=metrics)
        # Last, because transformers' EarlyStoppingCallback compares with the best before.
        self._best(epoch)

    def _best(self, epoch: Epoch) -> None:
        if self._state.best_metric is None or epoch.accuracy > self._state.best_metric:
            self._state.best_metric = epoch.accuracy
            self._state.best_global_step = self._state.global_step

    def call(self, event: str, **given: Any) -> None:
        """Call a method of all callbacks.

        Args:
            event: Name of the method, such as ``"on_epoch_begin"``.
            given: Keyword arguments of this event.
        """
        for callback in self._callbacks:
            answer = getattr(callback, event)(
                self._args, self._state, self._control, **self._given, **given
            )
            # As in transformers, a callback that changes nothing may return nothing.
            self._control = self._control if answer is None else answer
