"""What the attack engine costs on top of the forward passes it asks for.

The limit is the bare forward passes over the same distinct rows, sorted by length, at the best
batch size found in the same run. Prints one table; cpu_ratio is of processor instead of wall time,
which other work on the machine disturbs less. Without arguments a 3-layer BERT of width 160 with
random weights attacks made-up sentences; with a folder and a file it takes the real thing:

    python benchmarks/attack_engine.py --real
    python benchmarks/attack_engine.py --model FOLDER --data FILE.tsv

The first takes the quickstart's dev sentences and its transformer student, distilled here first. In
the second, FOLDER is read by AutoTokenizer, and by AutoModelForSequenceClassification if it holds a
classifier with weights, and FILE.tsv has a label and a text on each line, a tab between.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rosearch as rs
from rosearch.attack import ModelVictim
from rosearch.tokens import TokenizedText, predict

_SUBJECTS = "film movie plot cast story script actor music ending director camera scene".split()
_WORDS = (
    "awful dull stupid boring weak clumsy tedious horrible bad silly".split(),
    "great good wonderful funny charming clever lovely moving superb bright".split(),
)
_FRAMES = (
    "the {s} was really {a} and the {t} of this {u} felt quite {b} to me in the end .",
    "a {a} {s} , with a {b} {t} that people will remember long after the {u} is over",
    "i found this {s} {a} ; its {t} is {b} , even though the {u} works hard enough !",
)


def sentences(count: int) -> rs.TextDataset:
    """Made-up movie reviews."""
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for k in range(count):
        s, t, u = rng.choice(_SUBJECTS, 3, replace=False)
        a, b = rng.choice(_WORDS[k % 2], 2, replace=False)
        texts.append(str(rng.choice(_FRAMES)).format(s=s, t=t, u=u, a=a, b=b))
        labels.append(k % 2)
    return rs.TextDataset(texts, labels)


def read(path: Path) -> rs.TextDataset:
    """A label and a text on each line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t", 1) for line in lines if "\t" in line]
    return rs.TextDataset([text for _, text in rows], [int(label) for label, _ in rows])


def word_tokenizer(data: rs.TextDataset, *, size: int = 0) -> Any:
    """A WordPiece tokenizer that knows the data's words, and letters for the rest.

    Args:
        data: The texts.
        size: Fewest tokens, reached by tokens that no text has.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for text in data.texts for word in str(text).lower().split()})
    letters = "abcdefghijklmnopqrstuvwxyz0123456789'-.,;!"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*special, *words, *letters, *("##" + x for x in letters)])
    pieces |= dict.fromkeys(f"[unused{k}]" for k in range(size - len(pieces)))
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=128
    )


def classifier(folder: Path | None, tokenizer: Any, classes: int) -> torch.nn.Module:
    """The classifier in ``folder``, or a student-sized one with random weights."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig
    from transformers import BertForSequenceClassification as Bert

    if folder is not None:
        architectures = AutoConfig.from_pretrained(folder).architectures or [""]
        if architectures[0].endswith("ForSequenceClassification"):
            found: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(folder)
            return found
    torch.manual_seed(0)
    model: torch.nn.Module = Bert(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=160,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=640,
            num_labels=classes,
            pad_token_id=tokenizer.pad_token_id,
            # Large, so that random weights do not give one answer to everything.
            initializer_range=0.15,
        )
    )
    return model


class Recorder(ModelVictim):
    """Keeps the rows it computes."""

    rows: list[TokenizedText]

    def compute(self, keys: Any) -> np.ndarray:
        """As the base does it."""
        self.rows = [*getattr(self, "rows", ()), *keys]
        return super().compute(keys)


def quickstart_material() -> tuple[rs.TextDataset, torch.nn.Module]:
    """The quickstart's dev sentences, and the transformer student of its teacher."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import quickstart

    options = quickstart.arguments([])
    train, dev, _ = quickstart.splits(options)
    teacher, *_ = quickstart.load_teacher(options, train, dev)
    distiller = rs.Distiller(teacher, train, dev, epochs=options.epochs)
    return dev, distiller.distill(rs.templates.transformer(), seed=0).student


def clock() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def bare_forward(
    model: torch.nn.Module,
    rows: list[TokenizedText],
    pad_id: int,
    budgets: list[int],
    repeats: int,
) -> tuple[np.ndarray, int]:
    """Least seconds over the same rows at the best batch size, and that size."""
    times: dict[int, np.ndarray] = {}

    def measure(budget: int) -> None:
        begun = clock()
        predict(model, rows, pad_id=pad_id, token_budget=budget)
        seconds = clock() - begun
        times[budget] = np.minimum(seconds, times.get(budget, seconds))

    for budget in budgets:
        measure(budget)
    best = min(times, key=lambda budget: times[budget][0])
    for _ in range(repeats - 1):
        measure(best)
    return times[best], best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--attacks", nargs="+", default=["pwws", "deepwordbug"])
    parser.add_argument("--real", action="store_true", help="the quickstart's student and data")
    parser.add_argument("--model", type=Path, help="folder with a tokenizer, maybe a classifier")
    parser.add_argument("--data", type=Path, help="text file: label, tab, text")
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    parser.add_argument("--repeats", type=int, default=3, help="the least time counts")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    data = read(options.data) if options.data else sentences(max(400, options.examples))
    tokenizer: Any
    if options.real:
        data, model = quickstart_material()
        tokenizer = model.tokenizer
    elif options.model:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(options.model)
        model = classifier(options.model, tokenizer, len(data.classes))
    else:
        tokenizer = word_tokenizer(data)
        model = classifier(None, tokenizer, len(data.classes))
    model.eval().to(options.device)
    # Every example counts: the labels are what the model says.
    chosen = rs.RobustnessEvaluator(options.attacks, data, examples=options.examples).indices
    data = data.select(chosen)
    answers = ModelVictim(model, tokenizer).probabilities(data.texts).argmax(axis=1)
    data = rs.TextDataset(data.texts, answers.tolist(), classes=data.classes)

    columns = (
        "attack engine_s bare_s ratio cpu_ratio budget queries rows broken in_flight_1_s "
        "same_verdicts"
    )
    table = [columns.split()]
    for name in options.attacks:
        outcomes, seconds = [], []
        for in_flight in (256, 1):
            evaluator = rs.RobustnessEvaluator(
                name, data, examples=None, in_flight=in_flight, progress=False
            )
            runs = []
            for _ in range(options.repeats):
                victim = Recorder(model, tokenizer)
                begun = clock()
                report = evaluator.evaluate(victim)
                runs.append(clock() - begun)
            seconds.append(np.min(runs, axis=0))
            outcomes.append([r.status for r in report.examples])
            if in_flight == 256:
                first, rows, pad_id = report, victim.rows, victim.tokens.pad_id
        bare, budget = bare_forward(model, rows, pad_id, options.budgets, options.repeats)
        table.append(
            [
                name,
                f"{seconds[0][0]:.2f}",
                f"{bare[0]:.2f}",
                f"{seconds[0][0] / bare[0]:.2f}",
                f"{seconds[0][1] / bare[1]:.2f}",
                str(budget),
                str(first.queries),
                str(first.forward_rows),
                f"{first.succeeded}/{first.attacked}",
                f"{seconds[1][0]:.2f}",
                "yes" if outcomes[0] == outcomes[1] else "NO",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
