"""What each encoding of texts stops, and what it costs: a matrix of encodings and attacks.

    python benchmarks/encoding_matrix.py teachers             # fine-tunes the two teachers
    python benchmarks/encoding_matrix.py teacher movies news  # attacks them, behind spelling too
    python benchmarks/encoding_matrix.py run movies --seed 0  # goes on where it was
    python benchmarks/encoding_matrix.py run news --seed 0
    python benchmarks/encoding_matrix.py typos --seed 0       # all single typos, any words
    python benchmarks/encoding_matrix.py export               # the committed file

Students are trained plainly, on the teacher's answers to the original texts; only what they read
differs. Attacks see the raw text, encoding included. TextFooler, TextBugger and the genetic attack
run without a sentence encoder and a language model, so they may change more than their recipes
allow. They need word vectors: without TextAttack's, run
``python -m rosearch.attack.resources.counterfitting MODEL`` first. Nothing is chosen on test texts:
``--dev`` attacks dev texts, for choosing.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import material  # noqa: F401 - makes the examples importable
import numpy as np
from encoding_tables import FILE, results
from materials import bbc_news, minilm, movie_reviews

import rosearch as rs
from rosearch.attack import WordExchanges, WordReplacements
from rosearch.attack.word_swaps.substitutions import NearestNeighbours, WordNetSynonyms
from rosearch.classifiers import accuracy
from rosearch.distill import UnigramNoise, WordPerturbation, WorstCase
from rosearch.encode import worst_case
from rosearch.space import TextEncoding
from rosearch.tokens import predict, tokenize

OUT = Path("runs/encodings")
NEIGHBOURS = 12
"""Nearest words that classes over all sources merge, besides synonyms."""
TRAINING: dict[str, dict[str, Any]] = {
    "movies": {"epochs": 8, "learning_rate": 1e-3, "dropout": 0.3},
    "news": {"epochs": 12, "learning_rate": 2e-3},
}
"""Chosen on dev texts, like the strengths and the rate of typos below."""
WEIGHT = {"movies": 0.35, "news": 0.2}
"""Weight of the worst case of token scores, likewise."""
SCOPES = {"movies": True, "news": False}
"""Whether token scores depend on scopes, likewise."""
ATTACKED = {"movies": 500, "news": 400}
EDITS: dict[str, Any] = {"encoder": False, "neighbours": 0}
"""What of TextBugger edits words."""
GENETIC = 50
"""Texts under the genetic attack, which takes longest."""
MAIN = ("pwws", "deepwordbug")
ATTACKS = ("both", "textfooler", "textbugger", "edits", "pruthi", "genetic")
NEAREST = "nearest"
"""TextFooler and TextBugger together, which exchange nearest words, where it is asked for."""


class Row(NamedTuple):
    """A genome but for its graph, and how it is trained."""

    encodings: tuple[TextEncoding, ...]

    all_sources: bool = False
    """Whether classes know, and token scores are fitted against, more than WordNet's synonyms."""

    fitted_to_all: bool = False
    """Whether token scores alone are: merging what all sources exchange costs accuracy."""

    edits: bool = False
    """Whether token scores are fitted against TextBugger's edits too."""

    graph: str = "text_cnn"
    """Name of the template."""

    bound: float | None = None
    """How far the graph moves a sum of token scores; 0: token scores alone; None: no scores."""

    weight: float | None = None
    """Weight of the worst case of token scores; None: the data set's."""

    joint: bool = False
    """Whether the sum goes on learning with the graph."""

    perturbed: bool = False
    """Whether training is by WordPerturbation, against the attacks of the main column."""

    noise: bool = False
    """Whether three copies of each text with unigram noise are trained on too, for fewer epochs."""


def classes(strength: float) -> TextEncoding:
    """Word classes of a strength."""
    return TextEncoding("word_classes", {"strength": strength})


SPELLING = TextEncoding("spelling", {"dictionary": "english", "typo_rate": 0.5})
STRENGTHS = (0.05, 0.1, 0.25, 0.28, 0.3)
WEIGHTS = (0.1, 0.25, 0.45, 0.55)
BOUNDS = (0.0, 0.1, 0.3, 1.0, 3.0)
MERGED = (0.02, 0.05, 0.1, 0.15)
"""Strengths of word classes beside bounds."""
ROWS: dict[str, Row] = {
    "none": Row(()),
    "spelling": Row((SPELLING,)),
    "spelling, noise": Row((SPELLING,), noise=True),
    **{f"classes {x}": Row((classes(x),)) for x in STRENGTHS},
    **{f"spelling, classes {x}": Row((SPELLING, classes(x))) for x in STRENGTHS},
    "classes 0.28, all sources": Row((classes(0.28),), all_sources=True),
    "spelling, classes 0.28, all sources": Row((SPELLING, classes(0.28)), all_sources=True),
    "spelling, synonym encoding": Row((SPELLING, TextEncoding("synonym_encoding"))),
    "spelling, frequent synonyms": Row(
        (SPELLING, TextEncoding("frequent_synonyms", {"chained": True}))
    ),
    "typo clusters": Row((TextEncoding("typo_clusters"),)),
    **{f"spelling, bound {x:g}": Row((SPELLING,), bound=x) for x in BOUNDS},
    **{f"spelling, bound 0, weight {x:g}": Row((SPELLING,), bound=0.0, weight=x) for x in WEIGHTS},
    **{
        f"spelling, classes {x:g}, bound {y:g}": Row((SPELLING, classes(x)), bound=y)
        for x in MERGED
        for y in (*BOUNDS, 0.5)
    },
    **{
        f"spelling, classes {x:g}, bound {y:g}, joint": Row(
            (SPELLING, classes(x)), bound=y, joint=True
        )
        for x in MERGED
        for y in (0.3, 0.5, 1.0)
    },
    "spelling, bound 0, all sources": Row((SPELLING,), all_sources=True, bound=0.0),
    **{
        f"spelling, classes {y:g}, bound {bound:g}, weight {x:g}, fitted to all sources": Row(
            (SPELLING, classes(y)), fitted_to_all=True, bound=bound, weight=x
        )
        for y in (0.02, 0.04, 0.05, 0.1)
        for bound in (0.0, 0.1, 0.15, 0.2)
        for x in (0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5)
    },
    **{
        f"spelling, classes 0.1, bound {bound:g}, weight {x:g}, fitted to all sources, edits": Row(
            (SPELLING, classes(0.1)), fitted_to_all=True, edits=True, bound=bound, weight=x
        )
        for bound in (0.0, 0.2)
        for x in (0.2, 0.35)
    },
    **{
        f"spelling, classes {y:g}, bound {b:g}, weight {x:g}, joint, fitted to all sources": Row(
            (SPELLING, classes(y)), fitted_to_all=True, bound=b, weight=x, joint=True
        )
        for y in (0.05, 0.1)
        for b in (0.2, 0.3, 0.5)
        for x in (0.35, 0.5)
    },
    **{
        f"spelling, classes 0.1, bound 0.5, joint, {name}": Row(
            (SPELLING, classes(0.1)), bound=0.5, joint=True, graph=graph
        )
        for name, graph in (("BiGRU", "bigru"), ("transformer", "transformer"))
    },
    "spelling, classes 0.1, bound 0.5, word perturbation": Row(
        (SPELLING, classes(0.1)), bound=0.5, perturbed=True
    ),
    "word perturbation": Row((), perturbed=True),
}

# The worst case is exact only where each word is read by itself.
WHOLE = {
    "spelling": TextEncoding(
        "spelling", {**SPELLING.parameters, "joins": False, "neighbours": False}
    ),
    "typo clusters": TextEncoding("typo_clusters", {"gamma": 0.1, "unknown": "unk"}),
}


def splits(data: str) -> tuple[rs.TextDataset, rs.TextDataset, rs.TextDataset]:
    """Train, dev and test of a data set."""
    if data == "movies":
        train, dev, test = movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    else:
        train, dev, test = bbc_news().split(1400, 307, 400, seed=0)
    return train, dev, test


def genome(row: Row, data: str) -> rs.Genome:
    """A TextCNN at 4.6 to 6.5 times compression, or token scores alone."""
    scopes = row.bound is not None and SCOPES[data]
    if row.bound == 0:
        return rs.templates.additive(encodings=row.encodings, scopes=scopes)
    made = getattr(rs.templates, row.graph)(encodings=row.encodings, bound=row.bound)
    return replace(made, scopes=scopes)


def distiller(data: str, teacher: rs.Teacher, row: Row, **training: Any) -> rs.Distiller:
    """Plain distillation, but for token scores, which are fitted against their worst case."""
    train, dev, _ = splits(data)
    nearest = [NearestNeighbours(NEIGHBOURS)]
    against: list[Any] = list(MAIN)
    if row.all_sources or row.fitted_to_all:
        against += nearest
    if row.edits:
        against.append(rs.attacks.get("textbugger")(**EDITS))
    perturbed = WordPerturbation(WordReplacements(list(MAIN)), weight=0.8, ramp=0.4, learnt=0.0)
    weight = row.weight or WEIGHT[data]
    worst = WorstCase(WordReplacements(against), weight=weight, joint=row.joint)
    noisy = {"augmentation": UnigramNoise(copies=3), "epochs": 3} if row.noise else {}
    return rs.Distiller(
        teacher,
        train,
        dev,
        batch_size=32,
        **{**(training or TRAINING[data]), **noisy},
        exchanges=WordExchanges([WordNetSynonyms(), *nearest]) if row.all_sources else None,
        perturbation=perturbed if row.perturbed else worst,
        progress=False,
    )


def attackers(
    texts: rs.TextDataset, count: int, *, certify: bool, names: Sequence[str] = ATTACKS
) -> dict[str, rs.RobustnessEvaluator]:
    """The attacks that encodings are made for together, and the others one by one."""
    options: dict[str, dict[str, Any]] = {
        "textfooler": {"encoder": False},
        "textbugger": {"encoder": False},
        "edits": EDITS,
    }
    found = {}

    def made(name: str) -> Any:
        if name == "both":
            return MAIN
        if name == NEAREST:
            return [made("textfooler"), made("textbugger")]
        recipe = "textbugger" if name == "edits" else name
        return rs.attacks.get(recipe)(**options.get(name, {}))

    for name in names:  # only these are made: some need resources
        found[name] = rs.RobustnessEvaluator(
            made(name),
            texts,
            examples=min(GENETIC, count) if name == "genetic" else count,
            progress=False,
            certify=certify and name == "both",
        )
    return found


def under_attack(evaluator: rs.RobustnessEvaluator, *victim: Any, **more: Any) -> dict[str, Any]:
    """Accuracy under the attacks of one evaluator, its interval, and the worst class."""
    start = time.process_time()
    report = evaluator.evaluate(*victim, **more)
    low, high = report.accuracy_under_attack_interval
    found = {
        "examples": len(report.examples),
        "under": report.accuracy_under_attack_bounds.low,
        "low": low,
        "high": high,
        "worst_class": report.worst_class(evaluator.classes),
        "queries": report.mean_queries,
        "processor_seconds": time.process_time() - start,
    }
    for name, one in report.attacks.items() if len(report.attacks) > 1 else ():
        found[name] = one.accuracy_under_attack_bounds.low
        if one.certified is not None:
            found[f"{name} certified"] = one.certified
    return found


def run(options: argparse.Namespace) -> None:
    """Train and attack the students of one data set and seed; each result is a file."""
    data: str = options.data
    teacher = rs.Teacher.from_pretrained(OUT / f"teacher-{data}")
    _, dev, test = splits(data)
    texts = dev if options.dev else test
    count = options.examples or ATTACKED[data]
    distillers: dict[Any, rs.Distiller] = {}
    for name in options.rows or ROWS:
        row = ROWS[name]
        scored = row.bound is not None
        made = attackers(texts, count, certify=scored, names=options.attacks)
        part = "dev" if options.dev else "test"
        slug = name.replace(", ", "-").replace(" ", "-")
        path = OUT / f"{data}-{part}-{slug}-{options.seed}.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if all(attack in found for attack in made):
            continue
        training = row._replace(encodings=(), bound=None)
        if training not in distillers:  # which keep what students of one encoding share
            distillers[training] = distiller(data, teacher, row)
        one = distillers[training]
        student_genome = genome(row, data)
        encoding = one.encoding(student_genome)
        result = one.distill(student_genome, seed=options.seed)
        found |= {
            "data": data,
            "row": name,
            "seed": options.seed,
            "accuracy": accuracy(result.student, texts),
            "dev_accuracy": result.accuracy,
            "constant": texts.majority_share,
            "compression": teacher.parameters / result.student.num_parameters(),
            "training_seconds": result.seconds,
            "encoding": None if encoding is None else encoding.fingerprint,
        }
        for attack, evaluator in made.items():
            if attack not in found:
                found[attack] = under_attack(evaluator, result.student)
                path.write_text(json.dumps(found, indent=1))
        print(line(found), flush=True)


def typos(options: argparse.Namespace) -> None:
    """Robust accuracy of movie students under all single typos in any number of words."""
    teacher = rs.Teacher.from_pretrained(OUT / "teacher-movies")
    _, _, test = splits("movies")
    texts = test.select(range(options.examples))
    for name, part in WHOLE.items():
        path = OUT / f"typos-{name.replace(' ', '-')}-{options.seed}.json"
        if path.exists():
            continue
        row = Row((part,))
        one, student_genome = distiller("movies", teacher, row), genome(row, "movies")
        encoding = one.encoding(student_genome)
        assert encoding is not None
        student = one.distill(student_genome, seed=options.seed).student

        def scores(canonical: Sequence[Any], student: Any = student) -> Any:
            rows = tokenize(teacher.tokenizer, list(canonical), max_length=teacher.max_length)
            return predict(student, rows, pad_id=teacher.pad_id)

        found = worst_case(scores, texts.texts, texts.labels.tolist(), encoding)
        typo_results = {
            "data": "typos",
            "row": name,
            "seed": options.seed,
            "accuracy": accuracy(student, test),
            "examples": len(texts),
            "low": found.lower,
            "high": found.upper,
            "decided": found.exact,
            "median_combinations": float(np.median(found.combinations)),
        }
        path.write_text(json.dumps(typo_results, indent=1))
        print(typo_results, flush=True)


def teacher_rows(options: argparse.Namespace) -> None:
    """Attack the teachers as they are, and behind spelling without any training."""
    for data in options.data:
        teacher = rs.Teacher.from_pretrained(OUT / f"teacher-{data}")
        train, _, test = splits(data)
        evaluator = rs.RobustnessEvaluator(MAIN, test, examples=options.examples, progress=False)
        spelling = rs.encodings.get("spelling").fit(train, tokenizer=teacher.tokenizer)
        for name, encoding in (("none", None), ("spelling", spelling)):
            path = OUT / f"{data}-teacher-{name}.json"
            if not path.exists():
                whole = rs.Teacher(teacher.model, teacher.tokenizer, encoding=encoding)
                found = {
                    "data": data,
                    "row": name,
                    "accuracy": whole.accuracy(test, progress=False),
                    "both": under_attack(evaluator, whole),
                }
                path.write_text(json.dumps(found, indent=1))
            print(line(json.loads(path.read_text())), flush=True)


def line(found: Mapping[str, Any]) -> str:
    """One result in a line, per cent."""
    shown = f"{found['data']} {found['row']:34} {found.get('seed', '')} acc {found['accuracy']:.1%}"
    for name, value in found.items():
        if isinstance(value, Mapping):
            shown += f" | {name} {value['under']:.1%} (worst {value['worst_class']:.1%})"
            shown += "".join(f" {main} {value[main]:.1%}" for main in MAIN if main in value)
    return shown


def fine_tune(_: argparse.Namespace) -> None:
    """Fine-tune the teachers that are missing."""
    for data, epochs in (("movies", 3), ("news", 4)):
        folder = OUT / f"teacher-{data}"
        if not folder.exists():
            train, dev = splits(data)[:2]
            rs.Teacher.fine_tune(minilm(), train, dev, save_to=folder, epochs=epochs)


def export(_: argparse.Namespace) -> None:
    """Write all results into the committed file, beside those of other machines."""
    paths = sorted(path for path in OUT.glob("*.json") if "-dev-" not in path.name)
    found = merged(results(), [json.loads(path.read_text()) for path in paths])
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def merged(
    committed: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Results, of which those of this machine replace others of the same row and seed."""
    by_row = {(one["data"], one["row"], one.get("seed")): one for one in (*committed, *own)}
    return list(by_row.values())


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser("teachers", help="fine-tune the teachers")
    step.set_defaults(do=fine_tune)
    step = steps.add_parser("teacher", help="attack the teachers")
    step.add_argument("data", nargs="+", choices=TRAINING)
    step.add_argument("--examples", type=int, default=100)
    step.set_defaults(do=teacher_rows)
    step = steps.add_parser("run", help="train and attack students")
    step.add_argument("data", choices=TRAINING)
    step.add_argument("--seed", type=int, default=0)
    step.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW")
    step.add_argument("--examples", type=int)
    step.add_argument("--dev", action="store_true", help="attack dev texts")
    step.add_argument("--attacks", nargs="+", choices=(*ATTACKS, NEAREST), default=ATTACKS)
    step.set_defaults(do=run)
    step = steps.add_parser("typos", help="all single typos in any number of words")
    step.add_argument("--seed", type=int, default=0)
    step.add_argument("--examples", type=int, default=200)
    step.set_defaults(do=typos)
    step = steps.add_parser("export", help="write the committed file")
    step.set_defaults(do=export)
    return parser.parse_args(words)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    options = arguments()
    options.do(options)
    sys.exit(0)
