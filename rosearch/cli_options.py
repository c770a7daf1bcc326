"""Options and arguments that several commands share, and how they show results."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

_STANDARD_OUTPUT = Path("-")


class WritableFile(click.Path):
    """A file to write; refused before the work if its folder does not exist."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"The folder of {path} does not exist.", param, ctx)
        return path


class Majority(click.ParamType):  # type: ignore[type-arg]
    """The share of the most frequent class, or ``none``."""

    name = "SHARE"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        share = click.FloatRange(0, 1, min_open=True, max_open=True)
        return None if value == "none" else share.convert(value, param, ctx)


def _import_modules(_ctx: click.Context, _param: click.Parameter, modules: Sequence[str]) -> None:
    """Import what the user names; modules in the working folder too."""
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for module in modules:
        importlib.import_module(module)


imports = click.option(
    "--import", multiple=True, metavar="MODULE", callback=_import_modules, expose_value=False,
    is_eager=True,
    help="Import a module first that registers attacks, operators or fitness terms. Repeatable.",
)  # fmt: skip

as_json = click.option(
    "--json", "json_file", type=WritableFile(allow_dash=True),
    help="Write the result as JSON to this file; - prints it in place of the text.",
)  # fmt: skip

majority = click.option(
    "--majority", default="0.5", type=Majority(),
    help="Share of the most frequent class; statistics leave out students that are not better. "
    "none keeps all.",
)  # fmt: skip


def show(text: str, data: Any, json_file: Path | None) -> None:
    """Print a result, and write it as JSON where the user asks for it.

    Args:
        text: The result for people.
        data: The result as plain data, or as JSON.
        json_file: What ``--json`` gave.
    """
    written = data if isinstance(data, str) else json.dumps(data, indent=2)
    if json_file == _STANDARD_OUTPUT:
        click.echo(written)
        return
    click.echo(text)
    if json_file is not None:
        json_file.write_text(f"{written}\n", encoding="utf-8")
