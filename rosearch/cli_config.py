"""Configuration files: their schema follows from the signatures of the classes they describe."""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

import rosearch as rs
from rosearch.errors import ArgumentError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from rosearch.evolve.confirmation.result import Confirmation

_NONE = "none"
"""The text that stands for ``None``, which TOML lacks."""

_SECTIONS = {
    "data": "Labelled texts: .csv, .tsv, .json, .jsonl or .parquet files.",
    "teacher": "The classifier that students learn from (rosearch.Teacher).",
    "space": "Which architectures there are (rosearch.SearchSpace).",
    "pipeline": "How a candidate is evaluated (rosearch.Pipeline).",
    "pipeline.distiller": "How students are trained (rosearch.Distiller).",
    "pipeline.attacker": "How they are attacked (rosearch.RobustnessEvaluator).",
    "fitness": "What a good student is (rosearch.Fitness).",
    "search": "The search and where it is stored (rosearch.Evolver).",
    "search.run": "How long the search runs, and on how many processes (Evolver.run).",
    "confirm": "The evaluation of the best on unseen texts (rosearch.confirm).",
}

_START = {
    "data.train": "train.csv",
    "data.dev": "dev.csv",
    "data.test": "test.csv",
    "teacher.model": "teacher",
    "space.nodes": [0, 6],
    "space.widths": [64, 96, 128, 160],
    "pipeline.students": "students",
    "pipeline.distiller.epochs": 3,
    "pipeline.attacker.attacks": ["pwws"],
    "pipeline.attacker.examples": 100,
    "fitness.weights": {"robustness": 2.0, "accuracy": 1.0},
    "fitness.constraints": {"accuracy": [0.7, _NONE], "compression": [4.0, _NONE]},
    "search.storage": "sqlite:///search.db",
    "search.run.candidates": 32,
}
"""What a new file sets; its other settings are comments with their defaults."""


_HEAD = f"""\
# A search of students with rosearch, as TOML: run it with rosearch search FILE.
# Settings in comments show their defaults. "{_NONE}" stands for None: no value, no limit.
# Paths are relative to the folder in which the command runs."""


@dataclass(frozen=True)
class Texts:
    """The files with the texts.

    Args:
        train: What students are trained on.
        dev: What selects their best epoch, and what the search attacks.
        test: What no search sees, for ``rosearch confirm``.
        text: Column of the texts, or a list of two columns for pairs.
        label: Column of the labels: class indices, or names that the teacher's configuration has.
    """

    train: str
    dev: str
    test: str | None = None
    text: str | tuple[str, str] = "text"
    label: str = "label"


@dataclass(frozen=True)
class Goals:
    """What a search optimises.

    Args:
        weights: Weight of each fitness term, for a weighted sum.
        objectives: Terms that are kept apart, the most important first, in place of ``weights``.
        constraints: Minimum and maximum of a term, ``"none"`` for no bound.
    """

    weights: Mapping[str, float] | None = None
    objectives: Sequence[str] | None = None
    constraints: Mapping[str, tuple[float | None, float | None]] | None = None

    def fitness(self) -> rs.Fitness:
        """The fitness.

        Raises:
            ArgumentError: Not exactly one of ``weights`` and ``objectives`` is set.
        """
        if (self.weights is None) == (self.objectives is None):
            raise ArgumentError("[fitness] must set either weights or objectives.")
        if self.weights is not None:
            return rs.Fitness(self.weights, constraints=self.constraints)
        return rs.Fitness.pareto(self.objectives or (), constraints=self.constraints)


def schema() -> ArgumentParser:
    """The settings that a file may have, with types, defaults and help of the classes."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument(
        "--teacher.model", type=str, required=True, help="Its folder, or its name on the Hub."
    )
    described: tuple[tuple[str, Any, set[str | int]], ...] = (
        ("data", Texts, set()),
        ("teacher", rs.Teacher, {"model", "tokenizer", "encoding"}),
        ("space", rs.SearchSpace, {"teacher", "latencies"}),
        ("pipeline", rs.Pipeline, {"distiller", "attacker", "latencies"}),
        ("pipeline.distiller", rs.Distiller, {"teacher", "train", "dev", "nearest_words"}),
        ("pipeline.attacker", rs.RobustnessEvaluator, {"dataset"}),
        ("fitness", Goals, set()),
        ("search", rs.Evolver, {"space", "evaluate", "fitness", "initial_genomes"}),
    )
    for section, kind, given in described:
        parser.add_class_arguments(kind, section, skip={*given, "callbacks"}, instantiate=False)
    for section in ("search.run", "confirm"):
        parser.add_argument(
            f"--{section}.executor", type=int | None, help="Number of processes; none for this one."
        )
    parser.add_method_arguments(
        rs.Evolver, "run", "search.run", skip={"callbacks", "executor", "workers"}
    )
    skipped: set[str | int] = {"search", "pipeline", "genomes", "executor"}
    parser.add_function_arguments(rs.confirm, "confirm", skip=skipped)
    return parser


def template() -> str:
    """A new configuration file: every setting with its help."""
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    for action in schema()._actions:
        section, _, name = action.dest.rpartition(".")
        if section in sections and action.dest not in sections and name != "help":
            sections[section] += ["", *_comment(action.help or "")]
            value = _START.get(action.dest, action.default)
            given = "" if action.dest in _START else "# "
            sections[section].append(f"{given}{name} = {_toml(value)}")
    parts = [
        "\n".join([f"# {_SECTIONS[name]}", f"[{name}]", *lines]) for name, lines in sections.items()
    ]
    return "\n\n\n".join([_HEAD, *parts]) + "\n"


def _comment(text: str) -> list[str]:
    """Help as lines of a comment, without the marks of Sphinx."""
    plain = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
    return textwrap.wrap(" ".join(plain.split()), 96, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(_NONE if value is None else value)


_REFUSALS = argparse.ArgumentError, TypeError, ValueError


class Job:
    """What a configuration file describes; each object is made when it is first used.

    Paths in the file are relative to the working folder.

    Args:
        file: A TOML file.
        changes: Settings that replace those of the file, such as
            ``"pipeline.distiller.epochs=5"``; values are written as in TOML, and quotes of a text
            may be omitted.

    Raises:
        ArgumentError: The file is no TOML, a setting is unknown or missing, or has another type.
    """

    def __init__(self, file: Path, changes: Sequence[str] = ()) -> None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ArgumentError(f"{file} is no TOML file: {error}") from error
        own = copy.deepcopy(values)
        for change in changes:
            _set(values, change)
        parser = schema()
        try:
            config = parser.parse_object(_with_none(values))
        except _REFUSALS as error:
            source = str(file)
            if changes:
                with contextlib.suppress(*_REFUSALS):
                    parser.parse_object(_with_none(own))
                    source = " ".join(changes)  # without them all is well
            raise ArgumentError(f"{source}: {error}") from error
        self._config = parser.instantiate(config)

    @cached_property
    def teacher(self) -> rs.Teacher:
        """The teacher."""
        settings = _plain(self._config.teacher)
        return rs.Teacher.from_pretrained(settings.pop("model"), **settings)

    @cached_property
    def dev(self) -> rs.TextDataset:
        """The texts that the search attacks."""
        return self._texts("dev")

    @cached_property
    def distiller(self) -> rs.Distiller:
        """What trains the students."""
        settings = _plain(self._config.pipeline.distiller)
        return rs.Distiller(self.teacher, self._texts("train"), self.dev, **settings)

    def attacker(self, texts: rs.TextDataset) -> rs.RobustnessEvaluator:
        """What attacks students on ``texts``."""
        settings = _plain(self._config.pipeline.attacker)
        return rs.RobustnessEvaluator(settings.pop("attacks"), texts, **settings)

    def search(self) -> rs.SearchResult:
        """Run the search, or go on with it."""
        attacker = self.attacker(self.dev)  # first, since a misspelt attack costs no teacher then
        fitness = Goals(**_plain(self._config.fitness)).fitness()
        settings = _plain(self._config.pipeline, without=("distiller", "attacker"))
        pipeline = rs.Pipeline(self.distiller, attacker, **settings)
        space = rs.SearchSpace(**_plain(self._config.space), teacher=self.distiller)
        evolver = rs.Evolver(space, pipeline, fitness, **_plain(self._config.search, ("run",)))
        return evolver.run(**_plain(self._config.search.run))

    @property
    def candidates(self) -> int:
        """How many candidates the search is to have."""
        return int(self._config.search.run.candidates)

    def result(self) -> rs.SearchResult:
        """The search as it is stored.

        Raises:
            ArgumentError: The search is not stored.
        """
        storage = self._config.search.storage
        if storage is None:
            raise ArgumentError("[search] must set storage to find the search again.")
        return rs.load_search(storage, self._config.search.study)

    def confirm(self) -> Confirmation:
        """Evaluate the best of the stored search on unseen texts."""
        settings = _plain(self._config.pipeline, without=("distiller", "attacker", "students"))
        attacker = self.attacker(self._texts("test"))
        pipeline = rs.Pipeline(self.distiller, attacker, **{**settings, "rungs": ()})
        return rs.confirm(self.result(), pipeline, **_plain(self._config.confirm))

    @property
    def confirmed_on(self) -> str:
        """Texts and attacks of :meth:`confirm`, in words."""
        attacker = self.attacker(self._texts("test"))
        names = " and ".join(attack.name for attack in attacker.attacks)
        return f"accuracy on dev texts, {names} on {len(attacker.indices)} test texts"

    def _texts(self, name: str) -> rs.TextDataset:
        data: Namespace = self._config.data
        file = data[name]
        if file is None:
            raise ArgumentError(f"[data] must set {name}, a file with texts.")
        names = self.teacher.config.id2label
        classes = [str(names[k]) for k in sorted(names)]
        return rs.TextDataset.from_csv(file, text=data.text, label=data.label, classes=classes)


def _set(values: dict[str, Any], change: str) -> None:
    """Put ``"a.b=5"`` into nested settings."""
    path, equals, text = change.partition("=")
    *sections, name = path.strip().split(".")
    if not equals or not all((*sections, name)):
        raise ArgumentError(f"A setting must be KEY=VALUE, such as search.seed=3, got {change!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ArgumentError(f"{change!r} sets a part of {section!r}, which is no section.")
    values[name] = value


def _with_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_none(item) for item in value]
    return None if value == _NONE else value


def _plain(section: Namespace, without: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of a section as keyword arguments."""
    return {k: v for k, v in vars(section).items() if k not in without}
