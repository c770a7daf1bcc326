"""The command line: ``rosearch attack``, ``rosearch report``, ``rosearch resources``."""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rosearch
from rosearch.errors import DataError, MissingResourceError, RosearchError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LONGEST_CELL = 10_000_000
"""Characters of one cell; the csv module's own limit is below what documents have."""


def main(line: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        line: Arguments; those of the process by default.

    Returns:
        The exit status: 0, or 1 where the error stream says what went wrong.
    """
    options = _parser().parse_args(line)
    try:
        options.run(options)
    except (RosearchError, OSError, ValueError, ImportError) as error:
        sys.stderr.write(f"rosearch {options.command}: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rosearch", description="Attack classifiers and report on searches of students."
    )
    parser.add_argument("--version", action="version", version=f"rosearch {rosearch.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    attack = commands.add_parser(
        "attack",
        help="attack a classifier and say what is left of its accuracy",
        description="Attack a Hugging Face sequence classifier, or a student of rosearch.",
    )
    attack.add_argument("model", metavar="MODEL", help="folder, or name on the Hugging Face Hub")
    attack.add_argument(
        "--data", required=True, metavar="FILE|NAME",
        help="a .csv, .tsv or .jsonl file, or a data set of the Hub: NAME or NAME:CONFIGURATION",
    )  # fmt: skip
    attack.add_argument(
        "--recipe", required=True, nargs="+", metavar="NAME", help="one registered attack or more"
    )
    attack.add_argument("--examples", type=int, default=200, metavar="N", help="default: 200")
    attack.add_argument(
        "--attacked-side", type=int, default=1, choices=(0, 1), metavar="0|1",
        help="of pairs, which text is attacked, the first or the second; default: 1, the second",
    )  # fmt: skip
    attack.add_argument(
        "--query-budget", type=int, metavar="N", help="most queries an example; default: no limit"
    )
    attack.add_argument("--seed", type=int, default=0, help="of the choice of examples; default: 0")
    attack.add_argument(
        "--text", default="text", metavar="COLUMN[,COLUMN]",
        help="column of the texts, two for pairs; default: text",
    )  # fmt: skip
    attack.add_argument("--label", default="label", metavar="COLUMN", help="default: label")
    attack.add_argument("--split", default="test", help="of a data set of the Hub; default: test")
    attack.add_argument(
        "--device", metavar="NAME",
        help="where the model runs, such as cpu or cuda:0; default: the GPU where there is one",
    )  # fmt: skip
    attack.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    attack.add_argument("--html", type=Path, metavar="FILE", help="write a page for people there")
    attack.set_defaults(run=_attack)

    report = commands.add_parser(
        "report",
        help="write the report of a study into one HTML file",
        description="Write front, history, best student, statistics and costs of a study.",
    )
    report.add_argument("storage", metavar="STORAGE", help="URL of the storage, or an SQLite file")
    report.add_argument(
        "study", metavar="STUDY", nargs="?", help="name; may be left out where there is one only"
    )
    report.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE")
    report.add_argument(
        "--robustness", action="append", default=[], metavar="NAME=FILE",
        help="a report that `rosearch attack --json` wrote; the best student's is named best",
    )  # fmt: skip
    report.add_argument("--student", metavar="FOLDER", help="where the best student is saved")
    report.add_argument(
        "--majority", default="0.5", metavar="SHARE",
        help="share of the most frequent class: statistics leave out students that are no better; "
        "none keeps all; default: 0.5",
    )  # fmt: skip
    report.add_argument(
        "--accuracy-examples", type=int, default=200, metavar="N",
        help="examples that accuracy was measured on, to tell who is no better; default: 200",
    )  # fmt: skip
    report.add_argument("--title", help="heading; default: the study's name")
    report.set_defaults(run=_report)

    resources = commands.add_parser(
        "resources", help="list the resources of attacks: installed, not found, how to get them"
    )
    resources.set_defaults(run=_resources)
    for command in (attack, report):
        command.add_argument(
            "--import", dest="imports", action="append", default=[], metavar="MODULE",
            help="import a module first, which registers attacks, operators or fitness terms",
        )  # fmt: skip
    return parser


def _attack(options: argparse.Namespace) -> None:
    _import(options.imports)
    for file in (options.json, options.html):
        if file and not file.resolve().parent.is_dir():  # now, not when the attack is done
            raise ValueError(f"The folder of {file} is not there. Make it, or name another file.")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from rosearch.quiet import quiet_transformers

    with quiet_transformers():
        model: Any = AutoModelForSequenceClassification.from_pretrained(options.model).eval()
        _move(model, options.device)
        tokenizer: Any = AutoTokenizer.from_pretrained(options.model)
    names = {int(k): str(v) for k, v in model.config.id2label.items()}
    data = _data(options, [names[k] for k in sorted(names)])
    evaluator = rosearch.RobustnessEvaluator(
        options.recipe,
        data,
        examples=options.examples,
        seed=options.seed,
        attacked_side=options.attacked_side,
        query_budget=options.query_budget,
    )
    report = evaluator.evaluate(model, tokenizer)
    for name, one in (*report.attacks.items(), ("all together", report)):
        if one is not report or len(report.attacks) != 1:
            sys.stdout.write(f"{name}: {one}\n")
    if options.json:
        options.json.write_text(report.to_json(), encoding="utf-8")
    if options.html:
        options.html.write_text(_page(options.model, report.to_html()), encoding="utf-8")


def _move(model: Any, device: str | None) -> None:
    from rosearch import tokens as encoding

    place = device or str(encoding.default_device())
    try:
        model.to(place)
    except (RuntimeError, AssertionError) as error:  # PyTorch's for names and for what is not there
        raise ValueError(
            f"Expected --device cpu, cuda or cuda:0; {place} cannot be used: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _report(options: argparse.Namespace) -> None:
    _import(options.imports)
    majority = _share(options.majority)
    reports = {}
    for given in options.robustness:
        name, equals, file = given.partition("=")
        if not (name and equals and file):
            raise ValueError(f"Expected --robustness NAME=FILE, such as best=best.json: {given!r}")
        reports[name] = rosearch.RobustnessReport.from_json(Path(file).read_text(encoding="utf-8"))
    search = rosearch.load_search(options.storage, options.study)
    path = rosearch.write_report(
        search,
        options.out,
        reports=reports,
        student=options.student,
        title=options.title,
        majority=majority,
        accuracy_examples=options.accuracy_examples,
    )
    sys.stdout.write(f"{search}\nwritten: {path}\n")


def _share(given: str) -> float | None:
    if given == "none":
        return None
    with contextlib.suppress(ValueError):
        if 0 < float(given) < 1:
            return float(given)
    raise ValueError(f"Expected --majority SHARE, from 0 to 1, or none; got {given!r}.")


def _resources(_: argparse.Namespace) -> None:
    from rosearch.attack.resources import status

    sys.stdout.write(f"{status()}\n")


def _import(modules: Sequence[str]) -> None:
    """Import what the user names, modules of the working folder too."""
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for module in modules:
        importlib.import_module(module)


def _page(model: str, body: str) -> str:
    from html import escape

    title = f"{escape(model)} under attack"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title></head><body><h1>{title}</h1>{body}</body></html>"
    )


def _data(options: argparse.Namespace, classes: Sequence[str]) -> rosearch.TextDataset:
    columns = tuple(options.text.split(","))
    if len(columns) > 2:
        raise DataError(f"Expected one column of texts, or two for pairs; got {options.text!r}.")
    path = Path(options.data)
    if path.suffix.lower() in {*_SEPARATORS, ".jsonl"}:
        return _from_file(path, columns, options.label, classes)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingResourceError(
            f"{options.data!r} is no .csv, .tsv or .jsonl file, and data sets of the Hub need the "
            f"package datasets: pip install 'rosearch[hub]'"
        ) from error
    name, _, configuration = options.data.partition(":")
    split = load_dataset(name, configuration or None, split=options.split)
    text = columns[0] if len(columns) == 1 else (columns[0], columns[1])
    return rosearch.TextDataset.from_hf(split, text=text, label=options.label)


def _from_file(
    path: Path, columns: tuple[str, ...], label: str, classes: Sequence[str]
) -> rosearch.TextDataset:
    """Labelled texts of a file; a label is a class index or one of the model's class names."""
    texts: list[Any] = []
    labels: list[tuple[str, Any]] = []
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        for column in (*columns, label):
            if column in row and row[column] is None:
                raise DataError(f"{where} has no value in the column {column!r}.")
            if column not in row:
                raise DataError(
                    f"{where} has no column {column!r}, only {', '.join(map(str, row))}. Name the "
                    f"columns with --text and --label."
                )
        values = [row[column] for column in columns]
        texts.append(values[0] if len(values) == 1 else tuple(values))
        labels.append((where, row[label]))
    if not texts:
        raise DataError(f"{path} has no examples.")
    return rosearch.TextDataset(texts, _labels(labels, classes), classes=classes)


def _labels(given: Sequence[tuple[str, Any]], classes: Sequence[str]) -> list[int]:
    """Class indices from values and where they stand.

    A number of JSON is an index. Text is read as names if all of it are names, so that a column
    means the same in every row where names are numbers, such as those of star ratings.
    """
    names = {name: k for k, name in enumerate(classes)}
    texts = [str(v).strip() for _, v in given]
    is_number = [isinstance(v, int) and not isinstance(v, bool) for _, v in given]
    named = all(text in names for text, number in zip(texts, is_number, strict=True) if not number)
    labels = []
    for (where, _), text, number in zip(given, texts, is_number, strict=True):
        if text in names and not number and (named or not text.isdecimal()):
            labels.append(names[text])
        elif text.isdecimal():
            labels.append(int(text))
        else:
            raise DataError(
                f"{where}: the label {text!r} is neither a class index nor one of the model's "
                f"classes, {', '.join(classes)}."
            )
    return labels


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with the number of its last line."""
    separator = _SEPARATORS.get(path.suffix.lower())
    with path.open(encoding="utf-8-sig", newline="") as file:
        if separator is not None:
            csv.field_size_limit(_LONGEST_CELL)
            # Texts of a .tsv hold no tabs, and quotes in them are quotes.
            reader = (
                csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                if separator == "\t"
                else csv.DictReader(file, delimiter=separator)
            )
            try:
                for row in reader:
                    yield reader.line_num, row
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
            return
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number} is no JSON: {error}.") from error
            if not isinstance(found, dict):
                raise DataError(f"{path}, line {number}: expected a JSON object.")
            yield number, found
