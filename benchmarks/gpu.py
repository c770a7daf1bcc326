"""The one command for a machine with a GPU: right first, then how fast, in one table.

    python benchmarks/gpu.py                   # under eight minutes
    python benchmarks/gpu.py --folder FOLDER   # texts.tsv (label, tab, text) and wordnet/ in it
    python benchmarks/gpu.py --small           # the same path on any machine, in seconds

Needs torch, transformers, networkx and numpy, and Triton for its kernels. Where they are installed,
pytest runs the tests of the kernels, and Liger-Kernel and TextAttack are measured beside
rosearch. Without a folder texts are made up; without WordNet the attack is deepwordbug in place of
pwws. Victim and teacher are of BERT_BASE's shape with random weights, which serve for speed.

Each part prints its rows as it ends. What would begin after --minutes is left out, and named. A
part that fails gets a row that says why; the exit status is then 1.
Sides of one comparison run in turn, and the median of their times counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# Run as a script it finds the library beside it, installed or not.
sys.path.insert(0, str(Path(__file__).parents[1]))

import attack_engine
import kernel_cases
from measuring import DEVICE, batch, limits

import rosearch as rs
from rosearch import operators as ops
from rosearch.attack import ModelVictim
from rosearch.errors import MissingResourceError
from rosearch.operators import kernels
from rosearch.space import Genome, Node
from rosearch.student import StudentConfig, StudentForSequenceClassification

ROOT = Path(__file__).parents[1]

Row = tuple[str, str, str]
"""What was measured, the figure, and what it is a share of or compared with."""


@dataclass
class Run:
    """Settings of a run, and the rows so far."""

    options: argparse.Namespace
    begun: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)

    @property
    def small(self) -> bool:
        return bool(self.options.small)

    def part(self, name: str, work: Callable[[Run], Iterator[Row]]) -> None:
        """Do one part, or say why it was left out or failed."""
        minutes = (time.monotonic() - self.begun) / 60
        if minutes > self.options.minutes:
            self.add((name, "left out", f"{minutes:.1f} minutes had passed"))
            return
        print(f"\n{name}, after {minutes:.1f} minutes", flush=True)
        try:
            for row in work(self):
                self.add(row)
                if time.monotonic() - self.begun > 60 * (self.options.minutes + 1):
                    self.add((f"rest of {name}", "left out", "a minute past the limit"))
                    break
        except Exception as error:  # noqa: BLE001  # the other parts' rows are wanted all the same
            traceback.print_exc()
            reason = (str(error).strip().splitlines() or [""])[0]
            self.add((name, "FAILED", f"{type(error).__name__}: {reason:.200}"))

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print("  " + "  ".join(row), flush=True)


def median(*sides: Callable[[], Any], repeats: int) -> list[float]:
    """Median seconds of each side; the sides take turns."""
    times: list[list[float]] = [[] for _ in sides]
    for step in range(repeats + 3):
        for side, found in zip(sides, times, strict=True):
            seconds = _once(side)
            if step >= 3:  # the first calls compile kernels and fill caches
                found.append(seconds)
    return [statistics.median(found) for found in times]


def _once(function: Callable[[], Any]) -> float:
    if DEVICE.type != "cuda":
        begun = time.perf_counter()
        function()
        return time.perf_counter() - begun
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def with_kernels(name: str, function: Callable[[], Any]) -> Callable[[], Any]:
    """``function`` with one backend."""
    return kernels.use(name)(function)


def machine(run: Run) -> Iterator[Row]:  # noqa: ARG001  # parts are called alike
    """What it is and what it can do at most."""
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    yield "device", name, f"torch {torch.__version__}"
    asked = kernels.why_not(kernels.gated_activation, torch.zeros(1, 2, device=DEVICE))
    yield "kernels", "Triton" if not asked else "PyTorch", " ".join(asked)
    yield "copy", f"{limits()['bytes'] / 1e9:.0f} GB/s", "bytes read and written"
    yield "matrix product", f"{limits()['flops'] / 1e12:.2f} TFLOP/s", "float32, side 2048"


def kernel_tests(run: Run) -> Iterator[Row]:
    """Pytest on the kernels, or why not."""
    missing = [n for n in ("pytest", "hypothesis") if importlib.util.find_spec(n) is None]
    if missing or run.small:
        yield "tests", "left out", f"{missing[0]} is not installed" if missing else "--small"
        return
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--import-mode=importlib", "tests/operators/kernels"]
    if importlib.util.find_spec("xdist") is not None:  # most of the time goes into compilation
        command += ["-n", str(min(8, os.cpu_count() or 1))]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150
        )
    except subprocess.TimeoutExpired:
        yield "tests", "left out", "they took more than 150 seconds"
        return
    lines = done.stdout.strip().splitlines() or [done.stderr[-200:]]
    if done.returncode:
        print(done.stdout[-6000:])
    yield "tests", "passed" if done.returncode == 0 else "FAILED", lines[-1]


def kernel_speed(run: Run) -> Iterator[Row]:
    """Every kernel as a share of the copy bandwidth, beside its peers."""
    sizes = [((4, 16, 32), torch.float32, run.options.compile)]
    if not run.small:
        large = (512, 128, 768)  # 100 MB a tensor, more than a GPU's cache holds
        sizes = [(large, torch.bfloat16, run.options.compile), (large, torch.float32, False)]
        sizes.append(((64, 128, 256), torch.bfloat16, False))
    for shape, dtype, compiled in sizes:
        for case in kernel_cases.cases(shape, dtype):
            yield from _kernel_case(run, case, shape, dtype, compiled)


def _kernel_case(
    run: Run,
    case: kernel_cases.Case,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    with_compiled: bool,
) -> Iterator[Row]:
    compiled = None
    if with_compiled:
        torch._dynamo.reset()
        compiled = torch.compile(case.truth, dynamic=False)
    for way, moved in (
        (kernel_cases.forward, case.forward_bytes),
        (kernel_cases.forward_and_backward, case.forward_bytes + case.backward_bytes),
    ):
        ours = way(case.function, case)
        error = _difference(ours(), way(case.truth, case)) if moved == case.forward_bytes else None
        sides = {"eager": case.truth, "compile": compiled, "Liger-Kernel": case.peer}
        peers = {name: way(side, case) for name, side in sides.items() if side is not None}
        seconds = median(ours, *peers.values(), repeats=run.options.repeats)
        ratios = [f"{n} {s / seconds[0]:.2f}" for n, s in zip(peers, seconds[1:], strict=True)]
        label = f"{case.name} {'x'.join(map(str, shape))} {str(dtype)[6:]}"
        label += " forward" if error is not None else " both"
        share = moved / seconds[0] / limits()["bytes"]
        compared = "time of " + ", ".join(ratios) + " over ours"
        if error is not None:
            compared += f"; off by {error:.0e}"
        yield label, f"{seconds[0] * 1e6:.0f} us, {share:.0%} of copy", compared


def _difference(found: Any, run_truth: Callable[[], Any]) -> float:
    """Norm of the difference of all outputs over the norm of the truth."""
    truth = run_truth()
    pairs = zip(found, truth, strict=True) if isinstance(found, tuple) else [(found, truth)]
    return max(float((a - b).float().norm() / b.float().norm()) for a, b in pairs)


def operator_speed(run: Run) -> Iterator[Row]:
    """Forward and backward pass of every operator, kernels on and off."""
    shape = (4, 16, 32) if run.small else (64, 128, 256)
    hidden, mask = batch(shape)
    for name in ops.names():
        operator = ops.get(name)(shape[-1], **ops.complete(name, {})).to(DEVICE)

        def step(operator: Any = operator) -> None:
            leaf = hidden.detach().requires_grad_()
            operator(leaf, mask).square().mean().backward()

        on, off = median(
            with_kernels("auto", step), with_kernels("torch", step), repeats=run.options.repeats
        )
        yield f"{name} forward and backward", f"{on * 1e3:.3f} ms", f"{off / on:.2f} without Triton"


def twelve_nodes(width: int) -> Genome:
    """A graph of twelve nodes with several inputs each, convolutions and gates among them."""
    kinds = ("separable_convolution", "gated_linear_unit", "feed_forward", "attention")
    nodes = [
        Node(kinds[k % 4], inputs=tuple(sorted({k, max(0, k - 2), k // 2})), merge="mean")
        for k in range(12)
    ]
    return Genome(width=width, embedding_width=min(128, width), nodes=tuple(nodes))


def student_speed(run: Run) -> Iterator[Row]:
    """Training steps of a student of twelve nodes, kernels on and off."""
    texts, length, width = (4, 16, 32) if run.small else (256, 64, 256)
    for dtype in (torch.float32,) if DEVICE.type == "cpu" else (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        config = StudentConfig(twelve_nodes(width), vocab_size=30522)
        student = StudentForSequenceClassification(config).to(DEVICE, dtype)
        ids = torch.randint(1, 30522, (texts, length), device=DEVICE)
        mask = torch.ones_like(ids)
        labels = torch.randint(0, 2, (texts,), device=DEVICE)

        def step(model: Any = student, inputs: tuple[Any, ...] = (ids, mask, labels)) -> None:
            model.zero_grad(set_to_none=True)
            ids, mask, labels = inputs
            model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()

        on, off = median(
            with_kernels("auto", step), with_kernels("torch", step), repeats=run.options.repeats
        )
        rate = texts * length / on
        yield (
            f"student of 12 nodes, {str(dtype)[6:]}",
            f"{rate:.0f} tokens/s",
            (f"{off / on:.2f} times the speed without Triton; forward and backward"),
        )


def bert(data: rs.TextDataset, *, small: bool) -> tuple[torch.nn.Module, Any]:
    """A classifier of BERT_BASE's shape, or a tiny one, with random weights, and its tokenizer."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = attack_engine.word_tokenizer(data, size=1000 if small else 30522)
    size: dict[str, int] = {}
    if small:
        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        size["intermediate_size"] = 64
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        # Large, so that random weights do not give one answer to everything.
        initializer_range=0.1,
        **size,
    )
    return BertForSequenceClassification(config).eval().to(DEVICE), tokenizer


def texts_of(run: Run) -> rs.TextDataset:
    """The folder's texts, or made-up ones."""
    folder = run.options.folder
    found = attack_engine.read(folder / "texts.tsv") if folder else attack_engine.sentences(400)
    return found.select(range(min(len(found), 40 if run.small else 2000)))


def attack_speed(run: Run) -> Iterator[Row]:
    """Examples a second against one at a time."""
    data = texts_of(run)
    model, tokenizer = bert(data, small=run.small)
    # Every example counts: the labels are what the victim says.
    asked = ModelVictim(model, tokenizer).probabilities(data.texts)
    data = rs.TextDataset(data.texts, asked.argmax(1).tolist(), classes=data.classes)
    if run.options.folder and (run.options.folder / "wordnet").is_dir():
        os.environ["ROSEARCH_WORDNET"] = str(run.options.folder / "wordnet")
    recipe = "pwws"
    try:
        rs.RobustnessEvaluator(recipe, data, examples=1, progress=False).evaluate(model, tokenizer)
    except MissingResourceError as error:
        recipe = "deepwordbug"
        yield "pwws", "left out", str(error).split(".")[0]
    many, few = (4, 2) if run.small else (200, 8)
    rates = {}
    for name, count, settings in (
        ("one at a time", few, {"in_flight": 1}),
        ("rosearch", many, {}),
        ("rosearch, bfloat16 screen", many, {"precision": "bfloat16"}),
    ):
        evaluator = rs.RobustnessEvaluator(recipe, data, examples=count, progress=False, **settings)
        seconds = float("inf")
        for _ in range(2):  # what does not depend on the victim is looked up in the first
            begun = time.perf_counter()
            report = evaluator.evaluate(model, tokenizer)
            seconds = min(seconds, time.perf_counter() - begun)
        rates[name] = count / seconds
        compared = f"{report.forward_rows / seconds:.0f} forward rows/s"
        if name != "one at a time":
            compared += f"; {rates[name] / rates['one at a time']:.1f} times one at a time"
        yield f"{recipe} on BERT, {name}", f"{rates[name]:.2f} examples/s", compared
    if importlib.util.find_spec("textattack") is not None:
        import attack_throughput

        examples = rs.RobustnessEvaluator(recipe, data, examples=few).examples
        side = attack_throughput.textattack_side(model, tokenizer, examples, recipe, shipped=True)
        begun = time.perf_counter()
        side()
        rate = few / (time.perf_counter() - begun)
        ratio = f"rosearch is {rates['rosearch'] / rate:.1f} times as fast"
        yield f"{recipe} on BERT, TextAttack", f"{rate:.2f} examples/s", ratio


def distillation_speed(run: Run) -> Iterator[Row]:
    """The teacher's answers, then epochs of a student, kernels on and off."""
    data = texts_of(run)
    train, dev = data.split(0.8, 0.2, seed=0)
    with tempfile.TemporaryDirectory() as cache:
        teacher = rs.Teacher(*bert(data, small=run.small), device=DEVICE, cache_dir=cache)
        begun = time.perf_counter()
        teacher.logits(train, progress=False)
        seconds = time.perf_counter() - begun
        yield "teacher's answers", f"{len(train) / seconds:.0f} texts/s", "BERT's shape, float32"
        distiller = rs.Distiller(teacher, train, dev, epochs=1, progress=False, device=DEVICE)
        genome = twelve_nodes(32 if run.small else 128)
        for name in ("auto", "torch", "auto", "torch"):  # the first two compile and load
            with kernels.use(name):
                result = distiller.distill(genome, seed=0)
            rate = len(train) / result.seconds
            yield f"distilling 12 nodes, kernels {name}", f"{rate:.0f} texts/s", "1 epoch and dev"


PARTS = {
    "machine": machine,
    "tests": kernel_tests,
    "kernels": kernel_speed,
    "operators": operator_speed,
    "student": student_speed,
    "attack": attack_speed,
    "distillation": distillation_speed,
}


def main(line: list[str] | None = None) -> list[Row]:
    """Measure, print the table, return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="with texts.tsv, and wordnet/ where pwws is to")
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a try on any machine")
    parser.add_argument("--minutes", type=float, default=6.0, help="no part begins after them")
    parser.add_argument("--repeats", type=int, help="timed calls; default: 30, small: 1")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="torch.compile as a peer; default: on a GPU",
    )
    options = parser.parse_args(line)
    options.repeats = options.repeats or (1 if options.small else 30)
    if options.compile is None:
        options.compile = DEVICE.type == "cuda" and not options.small
    run = Run(options)
    for name in options.parts:
        run.part(name, PARTS[name])
    print()
    widths = [max(len(row[k]) for row in run.rows) for k in range(2)]
    for what, figure, compared in run.rows:
        print(f"{what.ljust(widths[0])}  {figure.rjust(widths[1])}  {compared}")
    return run.rows


if __name__ == "__main__":
    sys.exit(any(figure == "FAILED" for _, figure, _ in main()))
