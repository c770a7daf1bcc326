"""transformers' own callbacks, and one that records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback

from rosearch.data import TextDataset
from rosearch.distill.training.checkpoints import CheckpointFile
from rosearch.errors import EvaluationError
from tests.distill.loop import same, student, train


class Recorder(TrainerCallback):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.logs: list[dict[str, float]] = []
        self.metrics: list[dict[str, float]] = []
        self.seen: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.events.append("train begin")
        self.seen = {"args": args, "state": state, **given}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.events.append("epoch begin")

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.events.append("step")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.events.append("epoch end")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        self.logs.append(dict(logs))

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any
    ) -> None:
        self.metrics.append(dict(metrics))

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.events.append("train end")


class StopAt(TrainerCallback):
    """Asks for the end at a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        control.should_training_stop = state.global_step >= self.at
        return control


def test_callbacks_get_events_logs_and_metrics(tokenizer: Any, dataset: TextDataset) -> None:
    recorder, model, plain = Recorder(), student(), student()
    history = train(model, tokenizer, dataset, callbacks=[recorder], epochs=2)
    train(plain, tokenizer, dataset, epochs=2)
    assert same(model, plain)
    epoch = ["epoch begin", *["step"] * 4, "epoch end"]
    assert recorder.events == ["train begin", *epoch, *epoch, "train end"]
    for log, metrics, done in zip(recorder.logs, recorder.metrics, history, strict=True):
        assert log["loss"] == done.loss
        assert log["eval_accuracy"] == metrics["eval_accuracy"] == done.accuracy
        assert log["epoch"] == done.number
    assert recorder.logs[0]["learning_rate"] > recorder.logs[1]["learning_rate"] > 0
    assert recorder.seen["model"] is model
    assert recorder.seen["args"].learning_rate == 1e-2
    state = recorder.seen["state"]
    assert (state.global_step, state.max_steps, state.epoch) == (8, 8, 2.0)
    assert state.best_metric == max(done.accuracy for done in history)


def test_the_end_of_training_is_reported_after_a_failure(
    tokenizer: Any, dataset: TextDataset
) -> None:
    recorder = Recorder()
    with pytest.raises(EvaluationError):
        train(student(), tokenizer, dataset, callbacks=[recorder], learning_rate=1e38)
    assert recorder.events[-1] == "train end"


def test_a_callback_ends_training(tokenizer: Any, dataset: TextDataset, tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "state", {})
    history = train(student(), tokenizer, dataset, callbacks=[StopAt(6)], checkpoint=file)
    assert len(history) == 2
    found = file.read()
    assert found is not None
    assert len(found.history) == 1  # the second epoch was not whole
    straight, gone_on = student(), student()
    train(straight, tokenizer, dataset)
    train(gone_on, tokenizer, dataset, checkpoint=file)
    assert same(straight, gone_on)


class StopAtOnce(TrainerCallback):
    """Asks for the end before anything was done."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        control.should_training_stop = True


def test_a_callback_that_stops_before_the_first_epoch(
    tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    recorder, file = Recorder(), CheckpointFile(tmp_path / "state", {})
    with pytest.raises(EvaluationError, match="should_training_stop before the first epoch"):
        train(student(), tokenizer, dataset, callbacks=[StopAtOnce(), recorder])
    assert recorder.events == ["train begin", "train end"]
    # Where there are epochs already, the best of them is kept.
    first, again = student(), student()
    train(first, tokenizer, dataset, checkpoint=file, until=1)
    assert len(train(again, tokenizer, dataset, checkpoint=file, callbacks=[StopAtOnce()])) == 1
    assert same(first, again)


def test_transformers_early_stop(tokenizer: Any, dataset: TextDataset) -> None:
    still = {"learning_rate": 1e-9, "epochs": 9}
    patience = EarlyStoppingCallback(early_stopping_patience=2)
    history = train(student(), tokenizer, dataset, callbacks=[patience], **still)
    assert len(history) == len(train(student(), tokenizer, dataset, patience=2, **still)) == 3


def test_tensorboard(tokenizer: Any, dataset: TextDataset) -> None:
    from transformers.integrations import TensorBoardCallback

    class Writer:
        """Stands in for tensorboard's SummaryWriter."""

        def __init__(self) -> None:
            self.texts: dict[str, str] = {}
            self.scalars: list[tuple[str, float, int]] = []
            self.closed = 0

        def add_text(self, name: str, text: str, *rest: Any) -> None:
            self.texts[name] = text

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.scalars.append((name, value, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            self.closed += 1

    pytest.importorskip("tensorboard")
    writer: Any = Writer()
    history = train(
        student(), tokenizer, dataset, callbacks=[TensorBoardCallback(writer)], epochs=2
    )
    assert '"learning_rate": 0.01' in writer.texts["args"]
    assert '"model_type": "rosearch' in writer.texts["model_config"]
    assert writer.closed == 1
    for done, step in zip(history, (4, 8), strict=True):
        assert ("train/loss", done.loss, step) in writer.scalars
        assert ("eval/accuracy", done.accuracy, step) in writer.scalars


def test_tensorboard_writes_files(
    tokenizer: Any, dataset: TextDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from transformers.integrations import TensorBoardCallback

    class FolderForEach(TensorBoardCallback):
        """Forgets the folder with the student."""

        def on_train_end(self, *args: Any, **given: Any) -> None:
            super().on_train_end(*args, **given)
            self.logging_dir = None

    monkeypatch.chdir(tmp_path)
    callback = FolderForEach()
    for name in ("a", "b"):
        train(student(), tokenizer, dataset, callbacks=[callback], epochs=1, name=name)
        assert list((tmp_path / "runs" / name).rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("ended", [False, True])
def test_weights_and_biases(
    *, ended: bool, tokenizer: Any, dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    from transformers import integrations

    logged: list[dict[str, float]] = []
    wandb: Any = types.ModuleType("wandb")
    wandb.run = None
    wandb.config = types.SimpleNamespace(update=lambda *a, **k: None)
    started: list[str] = []

    def init(**settings: Any) -> None:
        started.append(settings["name"])
        wandb.run = types.SimpleNamespace(
            _label=lambda **k: None, config=wandb.config, url="", summary={}
        )

    wandb.init = init
    wandb.log = lambda values, **k: logged.append(values)
    wandb.define_metric = lambda *a, **k: None
    wandb.watch = lambda *a, **k: None
    wandb.finish = lambda: setattr(wandb, "run", None)
    wandb.__version__ = "0"
    parts = types.ModuleType("wandb.sdk.lib.config_util")
    monkeypatch.setattr(parts, "ConfigError", Exception, raising=False)
    for name in ("wandb", "wandb.sdk", "wandb.sdk.lib"):
        monkeypatch.setitem(sys.modules, name, wandb)
    monkeypatch.setitem(sys.modules, "wandb.sdk.lib.config_util", parts)
    monkeypatch.setattr(
        "transformers.integrations.integration_utils.is_wandb_available", lambda: True
    )

    class RunForEach(integrations.WandbCallback):
        """Ends the run with the student."""

        def on_train_end(self, *args: Any, **given: Any) -> None:
            super().on_train_end(*args, **given)
            self._wandb.finish()
            self._initialized = False

    callback = RunForEach() if ended else integrations.WandbCallback()
    history = [
        done
        for name in ("a", "b")
        for done in train(
            student(), tokenizer, dataset, callbacks=[callback], epochs=2, name=name
        )
    ]  # fmt: skip
    assert started == (["a", "b"] if ended else ["a"])
    values = [entry["train/loss"] for entry in logged if "train/loss" in entry]
    assert values == [done.loss for done in history]
