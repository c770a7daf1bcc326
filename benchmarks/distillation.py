"""Distillation against a transformers Trainer, TextBrewer and the limit: tokens per second.

Every side trains the same student from the same weights on the same sentences with the same batch
size, learning rate and epochs, and measures it on the same dev sentences after each epoch:

- Trainer: transformers' Trainer with the teacher in the loop, dynamic padding;
- TextBrewer: its GeneralDistiller, with dynamic padding;
- rosearch: the first candidate, which pays for the teacher's outputs, and every later one;
- the limit: forward and backward passes over batches without padding at the best batch size, no
  updates, no dev.

Prints one table. ``make peers`` installs what the first two need, into .venv-peers; where it is
missing they are left out:

    python benchmarks/distillation.py                  # after make demo, which makes the teacher
    python benchmarks/distillation.py --small          # a tiny teacher and seconds, to see it run
    python benchmarks/distillation.py --students transformer text_cnn --seeds 3
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from material import cached_teacher, materials

import rosearch as rs
from rosearch.classifiers import accuracy
from rosearch.distill import soft_label_loss
from rosearch.distill.training.loop import isolated_rng
from rosearch.tokens import TokenizedText, default_device, model_inputs, tokenize

RATE, TEMPERATURE = 1e-3, 2.0
SIDES = ("trainer", "textbrewer", "first", "rosearch", "bfloat16", "limit")


@dataclass(frozen=True)
class Run:
    """One training of one side."""

    side: str
    epochs: int
    seconds: float
    """All of it: dev, and for a first candidate the teacher's outputs."""

    curve: tuple[tuple[float, float], ...] = ()
    """Seconds since the start and dev accuracy after each epoch."""

    def seconds_to(self, target: float) -> float:
        """Until dev accuracy is at least ``target``; infinite where it never is."""
        return min((at for at, value in self.curve if value >= target), default=float("inf"))


@dataclass(frozen=True)
class Task:
    """What all sides share."""

    teacher: rs.Teacher
    train: rs.TextDataset
    dev: rs.TextDataset
    genome: rs.Genome
    epochs: int
    batch_size: int
    seed: int

    def distiller(self, **settings: Any) -> rs.Distiller:
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "progress": False}
        given["threads"] = torch.get_num_threads()  # as many as the other sides have
        return rs.Distiller(
            self.teacher, self.train, self.dev, learning_rate=RATE, temperature=TEMPERATURE,
            **given, **settings,
        )  # fmt: skip

    def student(self) -> Any:
        return self.distiller().student(self.genome, seed=self.seed)

    def rows(self) -> list[TokenizedText]:
        teacher = self.teacher
        return tokenize(teacher.tokenizer, self.train.texts, max_length=teacher.max_length)

    @property
    def steps(self) -> int:
        return self.epochs * -(-len(self.train) // self.batch_size)

    def features(self) -> list[dict[str, Any]]:
        return [
            {"input_ids": list(row.ids), "labels": int(label)}
            for row, label in zip(self.rows(), self.train.labels, strict=True)
        ]


def main(line: list[str] | None = None) -> None:
    options = arguments(line)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, device {default_device()}, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with material(options) as (teacher, train, dev):
        for kind in options.students:
            genome = getattr(rs.templates, kind)(
                width=options.width, embedding_width=options.embedding_width
            )
            runs: list[list[Run]] = []
            for seed in range(options.seeds):
                task = Task(teacher, train, dev, genome, options.epochs, options.batch_size, seed)
                runs.append(compare(task, options))
            report(kind, task, runs)


def arguments(line: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", type=Path, help="a fine-tuned classifier; default: the demo's")
    parser.add_argument("--students", nargs="+", default=["transformer"],
                        choices=["transformer", "text_cnn", "bigru", "bag_of_words"])  # fmt: skip
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--embedding-width", type=int, default=128)
    parser.add_argument("--train", type=int, default=3000, help="sentences to distil on")
    parser.add_argument("--dev", type=int, default=500, help="sentences to measure on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--without", nargs="+", default=[], choices=SIDES)
    parser.add_argument("--small", action="store_true", help="a tiny teacher, made here")
    options = parser.parse_args(line)
    if options.small:
        options.width = options.embedding_width = 16
        options.train, options.dev, options.epochs = 96, 32, 2
    return options


@contextmanager
def material(
    options: argparse.Namespace,
) -> Iterator[tuple[rs.Teacher, rs.TextDataset, rs.TextDataset]]:
    """Teacher, training and dev sentences; the teacher's outputs are in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        if options.small:
            data, model, tokenizer = made_up(options.train + options.dev)
            teacher = rs.Teacher(model, tokenizer, cache_dir=folder)
            train = data.select(range(options.train))
            dev = data.select(range(options.train, options.train + options.dev))
        else:
            teacher = rs.Teacher.from_pretrained(
                options.teacher or cached_teacher(), cache_dir=folder
            )
            train, dev, _ = materials.movie_reviews().split(0.7, 0.15, 0.15, seed=0)
            train = train.select(range(min(options.train, len(train))))
            dev = dev.select(range(min(options.dev, len(dev))))
        yield teacher, train, dev


def made_up(count: int) -> tuple[rs.TextDataset, Any, Any]:
    """Sentences of two classes, a random BERT and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *(f"w{k}" for k in range(1500))]
    backend = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    texts = [
        " ".join(f"w{w}" for w in rng.integers(k % 2, 750, size=4 + k % 20) * 2 + k % 2)
        for k in range(count)
    ]
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
    )  # fmt: skip
    with isolated_rng(0):
        model = BertForSequenceClassification(config).eval()
    return rs.TextDataset(texts, [k % 2 for k in range(count)]), model, tokenizer


def compare(task: Task, options: argparse.Namespace) -> list[Run]:
    """All sides, one after the other; a side that cannot run says why."""
    task.teacher.embedding  # noqa: B018 - computed once, and no side's time
    sides: list[Callable[[], Run]] = []
    for name, package, side in (
        ("trainer", "accelerate", by_trainer),
        ("textbrewer", "textbrewer", by_textbrewer),
    ):
        if name in options.without:
            continue
        if importlib.util.find_spec(package) is None:
            print(f"{name} is left out: the package {package} is not installed (make peers)")
            continue
        sides.append(lambda side=side: side(task))
    ours: dict[str, Callable[[], Run]] = {
        "first": lambda: by_rosearch(task, "rosearch, first candidate"),
        "rosearch": lambda: by_rosearch(task, "rosearch"),
        "bfloat16": lambda: by_rosearch(task, "rosearch, bfloat16", precision="bfloat16"),
        "limit": lambda: limit(task),
    }
    if task.seed > 0:
        del ours["first"]
    elif "first" in options.without:
        task.teacher.logits(task.train, progress=False)  # no side's time
    sides += [side for name, side in ours.items() if name not in options.without]
    runs = []
    for side in sides:
        gc.collect()
        runs.append(side())
        run = runs[-1]
        best = max((value for _, value in run.curve), default=float("nan"))
        print(f"  seed {task.seed}: {run.side}: {run.seconds:.1f} s, {best:.1%}", flush=True)
    return runs


def by_trainer(task: Task) -> Run:
    """Transformers' Trainer, its loss overridden, with the teacher in the loop."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    teacher = task.teacher.model

    class Distilling(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **settings: Any) -> Any:
            inputs.pop("labels", None)
            logits = model(**inputs).logits
            with torch.no_grad():
                target = teacher(**inputs).logits
            return soft_label_loss(logits, target, temperature=TEMPERATURE)

    with tempfile.TemporaryDirectory() as folder:
        student = task.student()
        trainer = Distilling(
            student,
            TrainingArguments(
                folder, num_train_epochs=task.epochs, learning_rate=RATE, weight_decay=0.01,
                per_device_train_batch_size=task.batch_size, warmup_steps=round(0.1 * task.steps),
                save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
                seed=task.seed, use_cpu=task.teacher.device.type == "cpu",
            ),
            train_dataset=task.features(),
            data_collator=DataCollatorWithPadding(task.teacher.tokenizer),
        )  # fmt: skip
        clock = Clock(student, task)
        trainer.add_callback(clock.callback())
        clock.start()
        trainer.train()
    return clock.run("Trainer, teacher in the loop")


def by_textbrewer(task: Task) -> Run:
    """TextBrewer's GeneralDistiller."""
    import logging

    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig
    from torch.utils.data import DataLoader
    from transformers import DataCollatorWithPadding, get_linear_schedule_with_warmup

    logging.getLogger("Distillation").setLevel("ERROR")
    student = task.student()
    device = task.teacher.device
    collate = DataCollatorWithPadding(task.teacher.tokenizer)
    loader = DataLoader(
        [{"input_ids": f["input_ids"]} for f in task.features()], batch_size=task.batch_size,
        shuffle=True, collate_fn=lambda batch: dict(collate(batch)),
        generator=torch.Generator().manual_seed(task.seed),
    )  # fmt: skip

    def adaptor(_: Any, out: Any) -> dict[str, Any]:
        return {"logits": (out.logits,)}

    clock = Clock(student, task)
    with tempfile.TemporaryDirectory() as folder, isolated_rng(task.seed):
        distiller = GeneralDistiller(
            TrainingConfig(output_dir=folder, device=device),
            DistillationConfig(
                temperature=TEMPERATURE, hard_label_weight=0, kd_loss_weight=TEMPERATURE**2
            ),
            task.teacher.model, student, adaptor, adaptor,
        )  # fmt: skip
        optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=0.01, fused=True)
        clock.start()
        with distiller:
            distiller.train(
                optimizer, loader, num_epochs=task.epochs, max_grad_norm=1.0,
                scheduler_class=get_linear_schedule_with_warmup,
                scheduler_args={
                    "num_warmup_steps": round(0.1 * task.steps), "num_training_steps": task.steps
                },
                callback=clock.tick,
            )  # fmt: skip
    return clock.run("TextBrewer, GeneralDistiller")


class Clock:
    """Measures dev accuracy after each epoch of somebody else's loop."""

    def __init__(self, student: Any, task: Task) -> None:
        self.student = student
        self.task = task
        self.curve: list[tuple[float, float]] = []

    def start(self) -> None:
        self.begun = time.perf_counter()

    def tick(self, **_: Any) -> None:
        value = accuracy(self.student, self.task.dev, self.task.teacher.tokenizer)
        self.curve.append((time.perf_counter() - self.begun, value))

    def callback(self) -> Any:
        from transformers import TrainerCallback

        class AtEnd(TrainerCallback):
            def on_epoch_end(_, *args: Any, **given: Any) -> None:  # noqa: N805
                self.tick()

        return AtEnd()

    def run(self, side: str) -> Run:
        seconds = time.perf_counter() - self.begun
        return Run(side, self.task.epochs, seconds, tuple(self.curve))


def by_rosearch(task: Task, side: str, **settings: Any) -> Run:
    """The Distiller; the teacher's outputs are computed by the first that needs them."""
    begun = time.perf_counter()
    result = task.distiller(**settings).distill(task.genome, seed=task.seed)
    seconds = time.perf_counter() - begun
    spans = [epoch.seconds for epoch in result.history]
    before = seconds - sum(spans)  # tokenising, the student's start, the teacher's outputs
    ends = before + np.cumsum(spans)
    points = [(float(at), e.accuracy) for at, e in zip(ends, result.history, strict=True)]
    return Run(side, task.epochs, seconds, tuple(points))


def limit(task: Task) -> Run:
    """Forward and backward over batches of equally long texts, at the best of some sizes."""
    student, rows = task.student().train(), task.rows()
    lengths = np.array([len(row.ids) for row in rows])
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    targets = torch.from_numpy(np.array(task.teacher.logits(task.train, progress=False)))
    device = next(student.parameters()).device
    targets = targets.to(device)

    def once(size: int) -> float:
        batches = [g[k : k + size] for g in groups for k in range(0, len(g), size)]
        inputs = [model_inputs(student, [rows[i] for i in b], pad_id=0) for b in batches]
        places = [torch.from_numpy(b).to(device) for b in batches]
        begun = time.perf_counter()
        for given, place in zip(inputs, places, strict=True):
            logits = student(**given).logits
            loss = soft_label_loss(logits, targets[place], temperature=TEMPERATURE)
            student.zero_grad(set_to_none=True)
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    with isolated_rng(task.seed):
        seconds = {size: min(once(size) for _ in range(2)) for size in (16, 32, 64, 128)}
    best = min(seconds, key=lambda size: seconds[size])
    return Run(f"limit, batches of {best}", 1, seconds[best])


def report(kind: str, task: Task, runs: list[list[Run]]) -> None:
    """One table: the seeds' means, and ratios to the first side of each."""
    tokens = sum(len(row.ids) for row in task.rows())
    names = [run.side for run in runs[0] if not run.side.startswith("limit")]
    by_name = {n: [r for seed in runs for r in seed if r.side == n] for n in names}
    floor = [run for seed in runs for run in seed if run.side.startswith("limit")]
    best = {n: float(np.mean([max(v for _, v in r.curve) for r in by_name[n]])) for n in names}
    fastest = min(floor, key=lambda run: run.seconds, default=None)
    top = tokens * fastest.epochs / fastest.seconds if fastest else float("nan")
    # What every side reaches with every seed.
    target = min(max(v for _, v in r.curve) for rs_ in by_name.values() for r in rs_)
    print(
        f"\n{kind}, width {task.genome.width}, embedding {task.genome.embedding_width}: "
        f"{len(task.train)} texts, {tokens} tokens, {task.epochs} epochs of batches of "
        f"{task.batch_size}, {len(runs)} seeds; dev accuracy to reach: {target:.1%}\n"
    )
    header = ("side", "seconds", "tokens/s", "share of limit", "dev", "s to reach it", "times")
    table = [header]
    first = float(np.mean([r.seconds for r in by_name[names[0]]]))
    for name in names:
        seconds = float(np.mean([r.seconds for r in by_name[name]]))
        reach = float(np.mean([r.seconds_to(target) for r in by_name[name]]))
        rate = tokens * task.epochs / seconds
        share = f"{rate / top:.2f}" if fastest else ""
        table.append((
            name, f"{seconds:.1f}", f"{rate:,.0f}", share, f"{best[name]:.1%}",
            f"{reach:.1f}", f"{first / seconds:.1f}",
        ))  # fmt: skip
    if fastest:
        table.append((fastest.side, "", f"{top:,.0f}", "1.00", "", "", ""))
    widths = [max(len(line[k]) for line in table) for k in range(len(header))]
    for line in table:
        cells = [c.ljust(w) if k == 0 else c.rjust(w)
                 for k, (c, w) in enumerate(zip(line, widths, strict=True))]  # fmt: skip
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
