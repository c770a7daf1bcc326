"""The main job: from a teacher and text to a small student that stays right under attack.

    python examples/quickstart.py           # what make demo runs
    python examples/quickstart.py --teacher bert-base-uncased --dataset rotten_tomatoes

The second command takes any model and data set of the Hugging Face Hub. Without arguments it uses a
MiniLM encoder and movie-review sentences from the package registry. It fine-tunes the teacher
(once, then cached), distils and attacks four hand-designed students, searches encodings, bounds and
architectures, and compares everything on unseen test sentences. Run it again to continue.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import materials  # beside this file
from comparison import Comparison, Row, aligned, markdown

import rosearch as rs
from rosearch.attack import WordReplacements
from rosearch.classifiers import accuracy
from rosearch.distill import WorstCase
from rosearch.errors import MissingResourceError, RosearchError, StudyMismatchError
from rosearch.quiet import quiet_transformers

SPELLING = rs.TextEncoding("spelling", {"dictionary": "english", "typo_rate": 0.5})
"""Restores misspelt words."""
CLASSES = rs.TextEncoding("word_classes", {"strength": 0.05})
"""Merges words that attacks exchange; at 0.1 students are as fit on dev and less accurate."""
LOOKED_UP = 2000
"""Training sentences whose words have replacements."""
ACCURACY_DROP = 0.06
"""Of the teacher's accuracy on dev, the most that a student may lose; it may be more on test."""


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

    say("teacher")
    teacher, source, seconds = load_teacher(options, train, dev)
    teacher.logits(train)  # now, so that no student's seconds include it
    size = f"{teacher.parameters / 1e6:.1f} M parameters"
    print(f"  {size}, {teacher.accuracy(dev):.1%} on dev")

    pipeline = rs.Pipeline(
        distiller(options, teacher, train, dev),
        attacker,
        students=out / "students",
        keep_all=True,  # until they have been tested
    )
    plain = {name: make() for name, make in rs.templates.SMALL.items()}
    # Of two layers, which train in half the time.
    plain["transformer"] = rs.templates.transformer(layers=2, width=96)
    bag_of_words, *others = plain.values()
    fitted, *scored = robust_templates()
    # What the first makes for others with its encodings is there when the second is trained.
    first = [bag_of_words, fitted, *others, *scored]
    evolver = rs.Evolver(
        # Small enough that most candidates meet the limit on compression below, and that each
        # trains in half a minute.
        space(
            nodes=(0, 6),
            widths=(64, 96, 128, 160),
            embedding_widths=(64, 96, 128),
            flops=(None, 17e6),
            teacher=teacher,
        ),
        pipeline,
        # Without limits a constant answer could win: it is right for half of the sentences, and no
        # attack ever changes it. Accuracy is over ten times as many sentences as robustness, and
        # counts more.
        rs.Fitness(
            {"robustness": 1.0, "accuracy": 4.0},
            constraints={
                "accuracy": (teacher.accuracy(dev) - ACCURACY_DROP, None),
                "worst_class": (0.1, None),
                "compression": (4.6, None),
            },
        ),
        storage=f"sqlite:///{(out / 'search.db').resolve()}",
        study="quickstart",
        population=8,
        initial_genomes=first,
        seed=options.seed,
        overlap=4,  # up to four at a time; the search is the same on one core and on four
    )
    say(f"on dev: {len(first)} hand-designed students, {options.candidates} searched ones")
    count = len(first) + options.candidates
    search = evolver.run(count, progress=False, callbacks=[print_trial])  # lines, not a bar

    attacks = " and ".join(options.attacks)
    say(f"test: {options.test_examples} examples under {attacks}, fewer for the teacher")
    tested = Comparison(out / "test", test)
    test_teacher(tested, options, teacher, train, seconds)
    trained = {trial.key: trial for trial in search.trials}
    for name, genome in plain.items():
        test_student(tested, options, name, trained[genome.key], pipeline)
    test_student(tested, options, "best found", search.best, pipeline)

    save_best(out, search.best, tested.rows[-1])
    write_results(out, options, source, search, tested)
    # All have been tested; the best has its own folder.
    shutil.rmtree(out / "students", ignore_errors=True)


def distiller(
    options: argparse.Namespace, teacher: rs.Teacher, train: rs.TextDataset, dev: rs.TextDataset
) -> rs.Distiller:
    """Distillation in which token scores are fitted against the worst that the attacks can do."""
    return rs.Distiller(
        teacher,
        train,
        dev,
        epochs=options.epochs,
        batch_size=32,
        learning_rate=2e-3,
        perturbation=WorstCase(
            # Of some texts: each encoding is met once, and looking words up takes longest then.
            WordReplacements(options.attacks, max_texts=LOOKED_UP),
            weight=0.2,
            joint=True,
        ),
        progress=False,  # bars of students that train at a time would overwrite each other
    )


def space(**choices: Any) -> rs.SearchSpace:
    """Students with or without encodings of their texts and token scores beside their graph."""
    encodings = {
        part.name: {name: [value] for name, value in part.parameters.items()}
        for part in (SPELLING, CLASSES)
    }
    bounds = (0.5, 1.0, 2.0, None)
    return rs.SearchSpace(encodings=encodings, bounds=bounds, scopes=True, **choices)


def print_trial(_: Any, trial: Any) -> None:
    """One candidate of the search, for people."""
    metrics = trial.user_attrs.get("metrics")
    if metrics is None:
        print(f"  {trial.number:3d}  failed: {trial.user_attrs.get('failure')}", flush=True)
        return
    rates = {
        "accuracy": metrics["accuracy"],
        "under attack": metrics["accuracy_under_attack"],
        "worst class": metrics["worst_class_under_attack"],
    }
    shown = "  ".join(f"{name} {rate:.1%}" for name, rate in rates.items())
    print(f"  {trial.number:3d}  {shown}  {metrics['seconds']:.0f} s", flush=True)


def robust_templates() -> list[rs.Genome]:
    """Hand-designed graphs beside token scores, behind both encodings."""
    encodings = (SPELLING, CLASSES)
    made = (rs.templates.bag_of_words, rs.templates.text_cnn)
    return [replace(make(encodings=encodings, bound=1.0), scopes=True) for make in made]


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """What ``line`` says, or the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    hub = parser.add_argument_group("other material than the default")
    hub.add_argument("--teacher", help="model on the Hub, or a folder; fine-tuned if it must be")
    hub.add_argument("--dataset", help="data set on the Hub, NAME or NAME:CONFIGURATION")
    hub.add_argument("--text-column", default="text", help="column of the texts; two with a comma")
    hub.add_argument("--label-column", default="label", help="column of the labels")
    size = parser.add_argument_group("size of the job")
    size.add_argument("--train", type=int, default=5000, help="training sentences")
    size.add_argument("--dev", type=int, default=1000, help="dev sentences")
    size.add_argument("--test", type=int, default=1000, help="test sentences")
    size.add_argument("--candidates", type=int, default=14, help="students to search")
    size.add_argument("--epochs", type=int, default=2, help="epochs of a student")
    size.add_argument(
        "--examples", type=int, default=100, help="dev sentences attacked a candidate"
    )
    size.add_argument("--test-examples", type=int, default=200, help="test sentences attacked")
    size.add_argument("--teacher-examples", type=int, default=30, help="of them for the teacher")
    parser.add_argument(
        "--attacks", nargs="+", default=["pwws", "deepwordbug"], help="names of attacks"
    )
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
    settings: dict[str, Any] = {"learning_rate": 1e-4, "epochs": 1}
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


def save_best(out: Path, best: Any, row: Row) -> None:
    """Save the best student and its test in ``out/best``, unless the folder holds it."""
    target = out / "best"
    mark = json.dumps([best.key, best.seed])
    noted = target / "candidate.json"
    if noted.exists() and noted.read_text(encoding="utf-8") == mark:
        return
    scratch = out / ".best"
    shutil.rmtree(scratch, ignore_errors=True)
    student = best.student
    record = student.record.measured(row.accuracy, "test")
    student.record = record.attacked(row.report, "test")  # for the model card
    with quiet_transformers():
        student.save_pretrained(scratch)
    (scratch / "candidate.json").write_text(mark, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)


def judge(test: rs.TextDataset, options: argparse.Namespace, **more: Any) -> Any:
    """The attacks of the test."""
    settings = {"examples": options.test_examples, "progress": False, **more}
    return rs.RobustnessEvaluator(options.attacks, test, **settings)


def test_teacher(
    tested: Comparison,
    options: argparse.Namespace,
    teacher: rs.Teacher,
    train: rs.TextDataset,
    seconds: float,
) -> None:
    """The teacher, and the same behind restored spelling, which takes no training."""
    settings: dict[str, Any] = dict(SPELLING.parameters)
    spelling = rs.encodings.get("spelling").fit(train, tokenizer=teacher.tokenizer, **settings)
    attacker = judge(
        tested.test, options, examples=min(options.teacher_examples, options.test_examples)
    )
    metrics = {"parameters": teacher.parameters, "compression": 1.0, "seconds": seconds}

    def right(victim: rs.Teacher) -> float:
        return victim.accuracy(tested.test, progress=False)

    def add(name: str, victim: rs.Teacher) -> None:
        tested.add(name, victim.fingerprint, attacker, lambda: victim, right, metrics)

    add("teacher", teacher)
    add("teacher, spelling", rs.Teacher(teacher.model, teacher.tokenizer, encoding=spelling))


def test_student(
    tested: Comparison,
    options: argparse.Namespace,
    name: str,
    trial: rs.TrialRecord,
    pipeline: rs.Pipeline,
) -> None:
    """A student of the search, certified where it has token scores."""
    tested.add(
        name,
        [trial.key, trial.seed, pipeline.settings],
        judge(tested.test, options, certify=trial.genome.bound is not None),
        lambda: trial.student,
        lambda student: accuracy(student, tested.test),
        trial.metrics,
    )


def write_results(
    out: Path,
    options: argparse.Namespace,
    source: str,
    search: rs.SearchResult,
    tested: Comparison,
) -> None:
    """Print the table, and write it, the report and the front."""
    best = search.best
    lines = tested.table(options.attacks)
    print(f"\n{aligned(lines)}\n")
    remark = ""
    if best.score is None or not best.score.feasible:
        remark = "No candidate met the limits; this one violates them least. "
    elif best.number < len(search.trials) - options.candidates:
        remark = "It is one of the hand-designed students that the search began with. "
    print(f"Best found: candidate {best.number}. {remark}")
    attacks = ", ".join(options.attacks)
    summary = f"""# Quickstart

{markdown(lines)}

Per cent. Accuracy is over all test sentences; under attack (right before and after), with its 95 %
Wilson interval, the worst class and the certified share are over the attacked ones, the same for
all but the teacher. Attacks: {attacks}. Certified: no combination of the attacks' word
substitutions changes the answer. Seconds are those of fine-tuning for the teacher, of distillation
and attack on dev for the students.

With so few sentences, differences smaller than the intervals are noise, and the winner of a search
is in part a lucky one: before you believe in it, train it again with other seeds and attack more,
also by attacks that nothing was tuned on.

The best found is candidate {best.number}. {remark}

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
    written = [out / "summary.md", out / "search.db", out / "best"]
    try:
        written += [write_report(out, search, tested), draw_front(out, search)]
    except MissingResourceError as error:  # a small installation
        print(f"no report: {error}")
    print(f"written: {', '.join(map(str, written))}")
    print(f"next: rosearch attack {out / 'best'} --recipe textfooler --data YOUR_TEXTS.csv")
    print("      docs/start.md explains what was done; make demo DEMO_ARGS=--help has the settings")


def write_report(out: Path, search: rs.SearchResult, tested: Comparison) -> Path:
    """Everything about the search and the test, as a page."""
    names = {row.name: "best" if row.name == "best found" else row.name for row in tested.rows}
    return rs.write_report(
        search,
        out / "report.html",
        reports={names[row.name]: row.report for row in tested.rows},
        compared={row.name: row.metrics for row in tested.rows if names[row.name] != "best"},
        student=out / "best",
        majority=tested.test.majority_share,
        title="Quickstart",
    )


def draw_front(out: Path, search: rs.SearchResult) -> Path:
    """Accuracy and accuracy under attack of all candidates."""
    path = out / "front.svg"
    figure: Any = search.plot_front().figure
    figure.savefig(path)
    return path


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
