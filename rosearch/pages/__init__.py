"""What all HTML pages share: the template environment and the style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(package: str = "rosearch.pages") -> Environment:
    """Templates of a package, and those that all pages share; values are escaped.

    Args:
        package: Dotted name of the package; its templates are in its folder ``templates``.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("rosearch.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template_file(name: str, package: str = "rosearch.pages") -> Markup:
    """A style sheet or script among the templates of a package, for use inside a page."""
    text = resources.files(package).joinpath(f"templates/{name}").read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def table(caption: str, head: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A table; the first cell of each row is its heading. Values are escaped.

    Args:
        caption: Plain text.
        head: Headings of the columns.
        rows: The cells of each row.
    """
    macros: Any = environment().get_template("tables.html").module
    return Markup(macros.table(caption, head, rows))  # noqa: S704 - escaped by the template


def page(title: str, body: str) -> str:
    """A whole page in the common style.

    Args:
        title: Plain text.
        body: HTML, used as it is.
    """
    template = environment().get_template("page.html")
    return template.render(
        title=title,
        style=template_file("style.css"),
        body=Markup(body),  # noqa: S704 - the caller's HTML
    )
