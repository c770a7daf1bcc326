"""The main job: from a teacher and text to a small student that is more robust to attacks.

    python examples/quickstart.py           # what make demo runs
    python examples/quickstart.py --teacher bert-base-uncased --dataset rotten_tomatoes

The second command takes any model and data set of the Hugging Face Hub. Without arguments it uses a
MiniLM encoder and movie-review sentences from the package registry. It fine-tunes the teacher
(once, then cached), distils and attacks four hand-designed students, searches, and compares
everything on unseen test sentences. Run it again to continue.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import materials  # beside this file

import rosearch as rs
from rosearch.classifiers import accuracy
from rosearch.errors import MissingResourceError, RosearchError, StudyMismatchError
from rosearch.quiet import quiet_transformers


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table, measured on the test examples."""

    name: str
    accuracy: float
    under_attack: float
    low: float
    high: float
    parameters: float
    compression: float
    seconds: float


def main() -> None:
    """Run the whole job with the settings of the command line."""
    options = arguments()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)

    say("data")
    train, dev, test = splits(options)
    print(f"  train {train}\n  dev   {dev}\n  test  {test}")

    # Made first, so that a misspelt attack costs no training.
    attacker = rs.RobustnessEvaluator(
        options.attacks, dev, examples=options.examples, progress=False
    )
    judge = rs.RobustnessEvaluator(options.attacks, test, examples=options.test_examples)

    say("teacher")
    teacher, source, seconds = load_teacher(options, train, dev)
    teacher.logits(train)  # now, so that no student's seconds include it
    size = f"{teacher.parameters / 1e6:.1f} M parameters"
    print(f"  {size}, {teacher.accuracy(dev):.1%} on dev")

    pipeline = rs.Pipeline(
        # The search has a bar; those of candidates at a time would overwrite each other.
        rs.Distiller(teacher, train, dev, epochs=options.epochs, progress=False),
        attacker,
        students=out / "students",
        keep_all=True,  # until they have been tested
    )
    hand_designed = {name: make() for name, make in rs.templates.SMALL.items()}
    evolver = rs.Evolver(
        # Small enough that most candidates meet the limit on compression below.
        rs.SearchSpace(nodes=(0, 6), widths=(64, 96, 128, 160), embedding_widths=(64, 96, 128)),
        pipeline,
        # Without a limit on accuracy a constant answer would win: it is right for half of the
        # sentences, and no attack ever changes it.
        rs.Fitness(
            {"robustness": 2.0, "accuracy": 1.0},
            constraints={
                "accuracy": (0.85 * teacher.accuracy(dev), None),
                "compression": (4.6, None),
            },
        ),
        storage=f"sqlite:///{(out / 'search.db').resolve()}",
        study="quickstart",
        population=8,
        initial_genomes=list(hand_designed.values()),
        seed=options.seed,
        overlap=4,  # up to four at a time; the search is the same on one core and on four
    )
    say(f"on dev: {len(hand_designed)} hand-designed students, {options.candidates} searched ones")
    search = evolver.run(candidates=len(hand_designed) + options.candidates)
    for trial in search.trials:
        print(f"  {line_of(trial)}")
    # The best of what was found; the hand-designed students were only where the search began.
    searched = search.trials[len(hand_designed) :]
    found = rs.SearchResult.from_trials("found", searched, evolver.fitness)

    say(f"test: {options.test_examples} sentences under {' and '.join(options.attacks)}")
    rows = [test_teacher(out, teacher, test, judge, seconds)]
    trained = {t.key: t for t in search.trials}
    for name, genome in hand_designed.items():
        rows.append(test_student(out, name, trained[genome.key], pipeline, test, judge))
    rows.append(test_student(out, "best found", found.best, pipeline, test, judge))

    save_best(out, found.best)
    write_summary(out, options, source, rows, found.best)
    # All have been tested; the best has its own folder.
    shutil.rmtree(out / "students", ignore_errors=True)


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """What ``line`` says, or the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    hub = parser.add_argument_group("other material than the default")
    hub.add_argument("--teacher", help="model on the Hub, or a folder; fine-tuned if it must be")
    hub.add_argument("--dataset", help="data set on the Hub, NAME or NAME:CONFIGURATION")
    hub.add_argument("--text-column", default="text", help="column of the texts; two with a comma")
    hub.add_argument("--label-column", default="label", help="column of the labels")
    size = parser.add_argument_group("size of the job")
    size.add_argument("--train", type=int, default=3000, help="training sentences")
    size.add_argument("--dev", type=int, default=500, help="dev sentences")
    size.add_argument("--test", type=int, default=1000, help="test sentences")
    size.add_argument("--candidates", type=int, default=12, help="architectures to search")
    size.add_argument("--epochs", type=int, default=3, help="epochs of a student")
    size.add_argument(
        "--examples", type=int, default=100, help="dev sentences attacked a candidate"
    )
    size.add_argument("--test-examples", type=int, default=100, help="test sentences attacked")
    parser.add_argument("--attacks", nargs="+", default=["pwws"], help="names of attacks")
    parser.add_argument("--seed", type=int, default=0, help="root of all randomness")
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="folder to write")
    options = parser.parse_args(line)
    if options.candidates < 1:
        parser.error(f"--candidates {options.candidates}: expected at least 1")
    return options


def splits(options: argparse.Namespace) -> tuple[rs.TextDataset, rs.TextDataset, rs.TextDataset]:
    """Train, dev and test."""
    if options.dataset is None:
        sizes = (options.train, options.dev, options.test)
        train, dev, test = materials.movie_reviews().split(*sizes, seed=0)
        return train, dev, test
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingResourceError(
            "Data from the Hub needs the package datasets: pip install datasets"
        ) from error
    name, _, configuration = options.dataset.partition(":")
    loaded = load_dataset(name, configuration or None)
    columns = tuple(options.text_column.split(","))
    text = columns[0] if len(columns) == 1 else columns
    # Test labels of many data sets are hidden; their validation split is what one tests on.
    held_out = next((s for s in ("validation", "test") if s in loaded), None)

    def part(split: str) -> rs.TextDataset:
        return rs.TextDataset.from_hf(loaded[split], text=text, label=options.label_column)

    whole = part("train")
    if held_out is None:
        rest = len(whole) - options.dev - options.test
        sizes = (min(options.train, rest), options.dev, options.test)
        train, dev, test = whole.split(*sizes, seed=0)
        return train, dev, test
    train, dev = whole.split(min(options.train, len(whole) - options.dev), options.dev, seed=0)
    test = part(held_out)
    (test,) = test.split(min(options.test, len(test)), seed=0)
    return train, dev, test


def load_teacher(
    options: argparse.Namespace, train: rs.TextDataset, dev: rs.TextDataset
) -> tuple[rs.Teacher, str, float]:
    """The teacher, where it is, and the seconds of its fine-tuning (0 where it came fine-tuned)."""
    source = options.teacher or materials.minilm()
    if options.teacher is not None and is_classifier(source, len(train.classes)):
        return rs.Teacher.from_pretrained(source), str(source), 0.0
    settings: dict[str, Any] = {"learning_rate": 1e-4, "epochs": 2}
    parts = f"{source} {train.fingerprint} {dev.fingerprint} {settings}"
    key = hashlib.sha256(parts.encode()).hexdigest()
    folder = materials.cache_folder() / f"teacher-{key[:12]}"
    if not folder.is_dir():
        start = time.perf_counter()
        tuned = rs.Teacher.fine_tune(source, train, dev, save_to=folder, **settings)
        (folder / "seconds").write_text(str(time.perf_counter() - start))
        return tuned, str(folder), time.perf_counter() - start
    noted = folder / "seconds"
    seconds = float(noted.read_text()) if noted.exists() else 0.0
    return rs.Teacher.from_pretrained(folder), str(folder), seconds


def is_classifier(name: Any, classes: int) -> bool:
    """Whether a model has been fine-tuned for as many classes."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(name)
    names = config.architectures or [""]
    return "ForSequenceClassification" in names[0] and config.num_labels == classes


def save_best(out: Path, best: Any) -> None:
    """Save the best student in ``out/best``, unless it is what the folder holds."""
    target = out / "best"
    mark = json.dumps([best.key, best.seed])
    noted = target / "candidate.json"
    if noted.exists() and noted.read_text(encoding="utf-8") == mark:
        return
    scratch = out / ".best"
    shutil.rmtree(scratch, ignore_errors=True)
    with quiet_transformers():
        best.student.save_pretrained(scratch)
    (scratch / "candidate.json").write_text(mark, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)


def test_teacher(
    out: Path, teacher: rs.Teacher, test: rs.TextDataset, judge: Any, seconds: float
) -> Row:
    """The teacher on the test examples."""

    def measure() -> Row:
        report = judge.evaluate(teacher.model, teacher.tokenizer)
        low, high = report.accuracy_under_attack_interval
        return Row(
            "teacher", teacher.accuracy(test), report.accuracy_under_attack, low, high,
            teacher.parameters, 1.0, seconds,
        )  # fmt: skip

    return remembered(out, [teacher.fingerprint, judge.settings], measure)


def test_student(
    out: Path, name: str, trial: Any, pipeline: rs.Pipeline, test: rs.TextDataset, judge: Any
) -> Row:
    """A student of the search on the test examples."""

    def measure() -> Row:
        student = trial.student
        report = judge.evaluate(student)
        low, high = report.accuracy_under_attack_interval
        return Row(
            name, accuracy(student, test), report.accuracy_under_attack,
            low, high, trial.metrics["parameters"], trial.metrics["compression"],
            trial.metrics["seconds"],
        )  # fmt: skip

    key = [trial.key, trial.seed, pipeline.settings, judge.settings]
    return dataclasses.replace(remembered(out, key, measure), name=name)


def remembered(out: Path, key: Any, measure: Any) -> Row:
    """What ``measure`` gave for ``key`` in an earlier run, or gives now."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = out / "test" / f"{digest}.json"
    if path.exists():
        return Row(**json.loads(path.read_text()))
    row: Row = measure()
    print(f"  {row.name}: {row.accuracy:.1%}, under attack {row.under_attack:.1%}", flush=True)
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(dataclasses.asdict(row)))
    scratch.replace(path)
    return row


def line_of(trial: Any) -> str:
    """One candidate of the search, for people."""
    if trial.failure is not None:
        return f"{trial.number:3d} failed: {trial.failure}"
    metrics = trial.metrics
    operators = [node.operator for node in trial.genome.nodes]
    return (
        f"{trial.number:3d}  accuracy {metrics['accuracy']:.1%}  under attack "
        f"{metrics['accuracy_under_attack']:.1%}  compression {metrics['compression']:.1f}  "
        f"{', '.join(operators) or 'bag of words'}"
    )


def write_summary(
    out: Path, options: argparse.Namespace, source: str, rows: list[Row], best: Any
) -> None:
    """Print the table, and write it with what it needs to be understood."""
    header = (
        "student", "accuracy", "under attack", "95 % interval", "parameters", "compression",
        "seconds",
    )  # fmt: skip
    cells = [
        (
            row.name,
            f"{row.accuracy:.1%}",
            f"{row.under_attack:.1%}",
            f"{row.low:.1%} to {row.high:.1%}",
            f"{row.parameters / 1e6:.2f} M",
            f"{row.compression:.1f}x",
            f"{row.seconds:.0f}",
        )
        for row in rows
    ]
    widths = [max(len(line[k]) for line in (header, *cells)) for k in range(len(header))]
    print()
    for line in (header, *cells):
        first, *rest = (cell.ljust(w) if k == 0 else cell.rjust(w)
                        for k, (cell, w) in enumerate(zip(line, widths, strict=True)))  # fmt: skip
        print("  ".join((first, *rest)))
    table = ["| " + " | ".join(line) + " |" for line in (header, *cells)]
    table.insert(1, "|---" + "|--:" * (len(header) - 1) + "|")
    attacks = ", ".join(options.attacks)
    feasible = best.score.feasible
    remark = "" if feasible else "No candidate met the limits; this one violates them least. "
    if remark:
        print(f"\n{remark}")
    summary = f"""# Quickstart

{chr(10).join(table)}

Accuracy is over all test sentences; accuracy under attack (right before and after) over
{options.test_examples} of them, with its 95 % Wilson interval. Attacks: {attacks}. Seconds are
those of fine-tuning for the teacher, of distillation and attack on dev for the students.

With so few sentences, differences smaller than the intervals are noise, and the winner of a search
is in part a lucky one: before you believe in it, train it again with other seeds and attack more.

{remark}The best found:

    {str(best.genome).replace(chr(10), chr(10) + "    ")}

Load it:

    import rosearch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    student = AutoModelForSequenceClassification.from_pretrained("{out / "best"}")
    tokenizer = AutoTokenizer.from_pretrained("{out / "best"}")

Of the searched students this one alone is kept; search.db has the genome and the seed of every
other. The teacher is {source}.

Settings: {json.dumps(vars(options), default=str)}
"""
    (out / "summary.md").write_text(summary, encoding="utf-8")
    print(f"\nwritten: {out / 'summary.md'}, {out / 'search.db'}, {out / 'best'}")


def say(what: str) -> None:
    """A heading with the time."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except StudyMismatchError as error:
        sys.exit(f"error: {error}\nHere a new one begins with another folder: --out FOLDER")
    except (RosearchError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; run it again to go on")
