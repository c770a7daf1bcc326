"""The commands of a study, which a configuration file describes, and of what it leaves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

import rosearch
from rosearch.cli_options import as_json, imports, majority, show
from rosearch.errors import ArgumentError

_config = click.argument(
    "config", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="CONFIG"
)
_changes = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE",
    help="Replace a setting of the file, such as pipeline.distiller.epochs=5. Repeatable.",
)  # fmt: skip


@click.command()
@click.argument("file", default="rosearch.toml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@as_json
def init(file: Path, *, force: bool, json_file: Path | None) -> None:
    """Write a configuration file with every setting, its default and what it means."""
    from rosearch.cli_config import template

    if file.exists() and not force:
        raise click.UsageError(f"{file} exists; --force replaces it.")
    file.write_text(template(), encoding="utf-8")
    show(f"written: {file}\nrosearch search {file}", {"written": str(file)}, json_file)


@click.command()
@_config
@_changes
@as_json
@imports
def search(config: Path, changes: Sequence[str], *, json_file: Path | None) -> None:
    """Search students as CONFIG says, or go on with an interrupted search."""
    from rosearch.cli_config import Job

    job = Job(config, changes)
    found = job.search()
    best = found.best
    ended = sum(trial.state != "running" for trial in found.trials)
    lines = [str(found)]
    if best.weights is not None:
        lines.append(f"best student: {best.weights}")
    if ended < job.candidates:
        lines.append(f"{ended} of {job.candidates} candidates; the same command goes on")
    data = {
        "study": found.study,
        "ended": ended,
        "candidates": job.candidates,
        "best": _trial(best),
        "front": [_trial(trial) for trial in found.front],
    }
    show("\n".join(lines), data, json_file)


def _trial(trial: Any) -> dict[str, Any]:
    return {
        "number": trial.number,
        "seed": trial.seed,
        "metrics": dict(trial.metrics),
        "score": None if trial.score is None else trial.score.to_dict(),
        "student": trial.weights,
        "genome": trial.genome.to_dict(),
    }


@click.command()
@_config
@click.argument("genome")
@click.option("--to", "folder", required=True, metavar="FOLDER", help="Where to save the student.")
@click.option("--seed", default=0, help="Seed of the training.")
@_changes
@as_json
@imports
def distill(
    config: Path, genome: str, changes: Sequence[str], *, folder: str, seed: int,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Train one student as CONFIG says, attack it, and save it.

    GENOME is a JSON file, the number of a candidate of the search, or the name of a template such
    as TextCNN.
    """
    from rosearch.cli_config import Job
    from rosearch.quiet import quiet_transformers

    job = Job(config, changes)
    chosen = _genome(genome, job)
    attacker = job.attacker(job.dev)
    result = job.distiller.distill(chosen, seed=seed)
    report = attacker.evaluate(result.student)
    result.student.record = result.student.record.attacked(report, "dev")
    with quiet_transformers():
        result.student.save_pretrained(folder)
    data = {
        "accuracy": result.accuracy,
        "accuracy_under_attack": report.accuracy_under_attack_bounds.low,
        "genome": chosen.to_dict(),
        "seed": seed,
        "student": folder,
    }
    lines = [f"accuracy on dev {result.accuracy:.4g}", str(report), f"student: {folder}"]
    show("\n".join(lines), data, json_file)


def _genome(text: str, job: Any) -> rosearch.Genome:
    if text.isdigit():
        trials = job.result().trials
        if int(text) < len(trials):
            return trials[int(text)].genome  # type: ignore[no-any-return]
        raise click.BadParameter(f"the search has candidates 0 to {len(trials) - 1}, got {text}.")
    if Path(text).is_file():
        return rosearch.Genome.from_json(Path(text).read_text(encoding="utf-8"))
    templates = {name.lower(): make for name, make in rosearch.templates.ALL.items()}
    if text.lower() not in templates:
        raise click.BadParameter(
            f"must be a JSON file, the number of a candidate, or one of "
            f"{', '.join(rosearch.templates.ALL)}; got {text!r}.",
            param_hint="GENOME",
        )
    return templates[text.lower()]()


@click.command()
@_config
@_changes
@as_json
@imports
def confirm(config: Path, changes: Sequence[str], *, json_file: Path | None) -> None:
    """Train the best of a search again and attack them on the texts of data.test in CONFIG.

    The model cards of the students that the search has kept say what came of it.
    """
    from rosearch.cli_config import Job
    from rosearch.student.saving import write_record

    job = Job(config, changes)
    found = job.confirm()
    trials = {trial.number: trial for trial in job.result().trials}
    for candidate in found.candidates:
        trial = None if candidate.number is None else trials[candidate.number]
        if trial is not None and trial.weights is not None and Path(trial.weights).is_dir():
            student = trial.student
            student.record = student.record.repeated(candidate, job.confirmed_on)
            write_record(student, Path(trial.weights))
    data = [
        {
            "name": c.name,
            "number": c.number,
            "mean": c.mean,
            "std": c.std,
            "runs": [{"seed": run.seed, "metrics": dict(run.metrics)} for run in c.runs],
        }
        for c in found.candidates
    ]
    show(str(found), data, json_file)


@click.command()
@click.argument("storage")
@click.argument("study", required=False)
@majority
@click.option(
    "--accuracy-examples", "examples", default=200, type=click.IntRange(1),
    help="Examples that accuracy was measured on, for --majority.",
)  # fmt: skip
@as_json
@imports
def statistics(storage: str, study: str | None, *, json_file: Path | None, **settings: Any) -> None:
    """Print how architectures of a study relate to their accuracy and robustness.

    STORAGE is the URL of an Optuna storage, or an SQLite file. STUDY may be omitted if there is
    only one.
    """
    found = rosearch.statistics(rosearch.load_search(storage, study), **settings)
    show(str(found), found.to_json(indent=2), json_file)


@click.command()
@as_json
@imports
def recipes(json_file: Path | None) -> None:
    """List the attacks that --recipe and attacks = [...] can name."""
    told = {}
    for name in rosearch.attacks.names():
        described = inspect.getdoc(rosearch.attacks.get(name)) or ""
        told[name] = " ".join(described.partition("\n\n")[0].split())
    width = max(map(len, told))
    lines = [f"{name:{width}}  {text}" for name, text in told.items()]
    show("\n".join(lines), told, json_file)


@click.command()
@click.argument("student", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write model.onnx, the tokenizer and run.py to.",
)  # fmt: skip
@as_json
def export(student: Path, *, folder: Path, json_file: Path | None) -> None:
    """Write a saved STUDENT as an ONNX model, with all that it takes to run it.

    Tokenisation, and the encoding of texts if the student has one, are steps before the model;
    run.py in the folder takes them, on onnxruntime, tokenizers and numpy.
    """
    from transformers import AutoConfig

    from rosearch.quiet import quiet_transformers
    from rosearch.student import StudentConfig, StudentForSequenceClassification, export_folder

    with quiet_transformers():
        kind = AutoConfig.from_pretrained(student).model_type
        if kind != StudentConfig.model_type:
            raise ArgumentError(
                f"STUDENT must be the folder of a student of rosearch, and {student} holds a model "
                f"of the type {kind!r}."
            )
        loaded = StudentForSequenceClassification.from_pretrained(student).eval()
    export_folder(loaded, folder)
    names = sorted(str(path) for path in folder.iterdir())
    show("\n".join(f"written: {name}" for name in names), {"written": names}, json_file)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    For bash, add this line to ~/.bashrc: source <(rosearch completion bash)
    """
    root = click.get_current_context().find_root().command
    found: Any = get_completion_class(shell)
    click.echo(found(root, {}, "rosearch", "_ROSEARCH_COMPLETE").source())


commands: tuple[click.Command, ...] = (
    init, search, distill, confirm, statistics, recipes, export, completion,
)  # fmt: skip
