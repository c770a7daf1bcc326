"""One module made of the parts of a package."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rosearch.student.bundling import Bundle

FILES = {
    "__init__": "from {p}.tools import double\n",
    "tools": """
        import math
        from collections.abc import Sequence

        def _check(x):
            return x > 0

        def double(x: float) -> float:
            assert _check(x)
            return 2 * x

        def unused(x): return math.sqrt(x)
        """,
    "slow": "def scale(x): return x * 3\n",
    "fast": "import some_package\ndef scale(x): return some_package.scale(x)\n",
    "learning": "import some_package\nclass Data: pass\n",
    "table": "def squares():\n    'Squares.'\n    return dict((k, k * k) for k in range(3))\n",
    "base": """
        from __future__ import annotations
        from {p}.learning import Data

        FACTOR = 10
        '''Of everything.'''

        def _check(x):
            return isinstance(x, int)

        class Base:
            def __init__(self, start=FACTOR):
                self.start = start
                self.fit = lambda: None

            def fit(self, data: Data) -> None:
                raise Data

            def used(self, value: Data, other: int) -> int:
                return other if _check(other) else 0

            def unused(self):
                return Data()
        """,
    "model": """
        from __future__ import annotations
        import {p} as package
        from collections.abc import Mapping
        from {p} import table, tools
        from {p}.base import Base, FACTOR as UNIT
        from {p}.fast import scale
        from {p}.table import squares

        class Model(Base, Mapping):
            FACTOR = 0

            def __getitem__(self, key): return key
            def __len__(self): return 3
            def __iter__(self): return iter(range(3))
            def keys(self): return "ABC"

            def run(self, FACTOR=1):
                from {p}.tools import _check as check
                _check = [scale for scale in (4,)]
                doubles = [package.double(x) for x in (1, 2) if check(x)]
                return (
                    self.used(None, UNIT), FACTOR, _check, scale(2), doubles,
                    tools.double(8), table.squares(), squares(), self.FACTOR,
                )

        def answer():
            return Model().run()
        """,
}


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Any]:
    name = f"bundled_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    for file, text in FILES.items():
        lines = text.replace("{p}", name).splitlines()
        indent = 8 if text.startswith("\n") else 0
        (folder / f"{file}.py").write_text("\n".join(line[indent:] for line in lines))
    (tmp_path / "some_package.py").write_text("def scale(x): return x * 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    def module(file: str) -> Any:
        return import_module(f"{name}.{file}")

    yield module
    for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[loaded]


def bundle(make: Callable[..., Any]) -> Bundle:
    instead = {make("fast").__name__: make("slow").__name__}
    squares = make("table").squares
    roots = {make("model").Model: "Network", make("model").answer: "answer"}
    return Bundle(roots, instead=instead, values=(squares,), without=("fit",))


def test_computes_the_same(make: Any) -> None:
    scope: dict[str, Any] = {"__name__": "made"}
    exec(bundle(make).text, scope)
    expected = make("model").answer()
    assert (
        scope["answer"]() == expected == (10, 1, [4], 6, [2, 4], 16, *[{0: 0, 1: 1, 2: 4}] * 2, 0)
    )
    assert scope["Network"]().keys() == "ABC"  # which Mapping has too


def test_holds_nothing_else(make: Any) -> None:
    made = bundle(make)
    assert made.packages == {"collections"}
    defined = {
        node.name
        for node in ast.walk(ast.parse(made.text))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    assert defined.isdisjoint({"unused", "fit", "Data", "Model"})
    assert "some_package" not in made.text
    assert "self.fit" not in made.text
    assert "range(3))" not in made.text.split("def squares")[1].split("def ")[0]


def test_keeps_docstrings_and_known_annotations(make: Any) -> None:
    text = bundle(make).text
    assert "'Squares.'" in text or '"""Squares."""' in text
    assert "Of everything." in text
    assert "def used(self, value, other: int) -> int:" in text
    assert "def double(x: float) -> float:" in text


def test_is_the_same_each_time(make: Any) -> None:
    assert bundle(make).text == bundle(make).text


def test_source_that_is_not_installed(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("model")
    monkeypatch.setattr(type(model.__spec__.loader), "get_source", lambda *_: None)
    with pytest.raises(OSError, match=r"source of .*model is not installed"):
        Bundle({model.Model: "Network"})
