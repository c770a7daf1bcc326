from __future__ import annotations

import math
from pathlib import Path

import pytest

from rosearch.errors import MissingResourceError
from rosearch.optional import package_folder, try_import


def test_returns_the_module() -> None:
    assert try_import("math", "a test", "plot") is math


def test_says_what_needs_it_and_how_to_get_it() -> None:
    with pytest.raises(MissingResourceError) as caught:
        try_import("no_such_package.part", "to_pandas()", "pandas", "to_dict() does without it.")
    message = str(caught.value)
    assert message.startswith("to_pandas() needs no_such_package (")
    assert "pip install 'rosearch[pandas]'. to_dict() does without it." in message
    assert isinstance(caught.value.__cause__, ImportError)


def test_folder_of_a_package() -> None:
    folder = package_folder("rosearch")
    assert folder == Path(__file__).parents[1] / "rosearch"
    assert package_folder("no_such_package") is None
