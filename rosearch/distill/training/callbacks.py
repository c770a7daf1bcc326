"""transformers' callbacks, called as its Trainer calls them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from rosearch.distill.training.checkpoints import Epoch
from rosearch.distill.training.settings import Optimization

if TYPE_CHECKING:
    from transformers import TrainerCallback


@dataclass
class LoopArguments:
    """What callbacks read of ``transformers.TrainingArguments``, by the same names.

    The real class needs the package accelerate and sets up devices for the whole process.
    """

    run_name: str
    output_dir: str
    num_train_epochs: int
    learning_rate: float
    weight_decay: float
    max_grad_norm: float
    warmup_ratio: float
    lr_scheduler_type: str
    per_device_train_batch_size: int
    bf16: bool
    seed: int
    logging_strategy: str = "epoch"
    eval_strategy: str = "epoch"
    load_best_model_at_end: bool = True
    metric_for_best_model: str = "eval_accuracy"
    greater_is_better: bool = True
    project: str = "rosearch"

    @property
    def logging_dir(self) -> str:
        """Folder for logs."""
        return self.output_dir

    def to_dict(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """All settings by name; they are plain values as they are."""
        return asdict(self)

    def to_json_string(self) -> str:
        """All settings as JSON."""
        return json.dumps(asdict(self), indent=2)


class Callbacks:
    """Tells transformers' callbacks how training goes.

    They are called in order with ``(args, state, control, model=, processing_class=, optimizer=)``
    at the beginning and end of training and of each epoch, after each step, after each evaluation
    on dev, and to log. What they keep for themselves, such as the counter of transformers'
    ``EarlyStoppingCallback``, is in no checkpoint; for an early stop that outlives one, set
    ``patience``. Of what they answer, ``control.should_training_stop`` counts; ``args`` is a
    :class:`LoopArguments`.

    Args:
        callbacks: The callbacks.
        model: The student.
        optimizer: Its optimizer.
        optimization: The settings.
        steps: Steps of all epochs together, those for changed texts left out.
        seed: The training's.
        name: Of the run.
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
        from transformers import TrainerCallback, TrainerControl, TrainerState

        self._callbacks = tuple(callbacks)
        self.reads_steps = any(
            type(callback).on_step_end is not TrainerCallback.on_step_end for callback in callbacks
        )
        """Whether a callback looks at the student after each step."""
        self._given = {
            "model": model,
            "processing_class": getattr(model, "tokenizer", None),
            "optimizer": optimizer,
            "lr_scheduler": None,
            "train_dataloader": None,
            "eval_dataloader": None,
        }
        self._args = LoopArguments(
            run_name=name,
            output_dir=f"runs/{name}",
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
        """Whether a callback has asked for the end of training."""
        return bool(self._control.should_training_stop)

    def begin(self, history: Sequence[Epoch], step: int) -> None:
        """Training begins, or goes on after the epochs of ``history``."""
        self._state.global_step = step
        for epoch in history:
            self._best(epoch)
        self._call("on_train_begin")

    def epoch_begin(self) -> None:
        """An epoch begins."""
        self._call("on_epoch_begin")

    def step(self, number: int, epochs: float) -> None:
        """A step was done.

        Args:
            number: Steps done in all epochs, from 1.
            epochs: Epochs done, with the share of this one.
        """
        state = self._state
        state.global_step = number
        state.epoch = epochs
        self._call("on_step_end")

    def epoch_end(self, epoch: Epoch, rate: float) -> None:
        """An epoch has ended and dev was evaluated.

        Args:
            epoch: What the epoch did.
            rate: The learning rate of its last step.
        """
        state = self._state
        state.epoch = float(epoch.number)
        self._call("on_epoch_end")
        metrics = {"eval_accuracy": epoch.accuracy, "epoch": state.epoch}
        logs = {"loss": epoch.loss, "learning_rate": rate, "seconds": epoch.seconds, **metrics}
        state.log_history.append({**logs, "step": state.global_step})
        self._call("on_log", logs=logs)
        self._call("on_evaluate", metrics=metrics)
        # After the callbacks: transformers' EarlyStoppingCallback compares with the best before.
        self._best(epoch)

    def end(self) -> None:
        """Training has ended; also called where it failed."""
        self._call("on_train_end")

    def _best(self, epoch: Epoch) -> None:
        if self._state.best_metric is None or epoch.accuracy > self._state.best_metric:
            self._state.best_metric = epoch.accuracy
            self._state.best_global_step = self._state.global_step

    def _call(self, event: str, **given: Any) -> None:
        for callback in self._callbacks:
            answer = getattr(callback, event)(
                self._args, self._state, self._control, **self._given, **given
            )
            # As in transformers, a callback that changes nothing may return nothing.
            self._control = self._control if answer is None else answer
