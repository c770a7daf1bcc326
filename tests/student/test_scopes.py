"""What names in source stand for."""

from __future__ import annotations

import ast

import pytest

from rosearch.student.scopes import Target, bound_names, imported


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os", {"os": Target("os")}),
        ("import os.path", {"os": Target("os.path")}),
        ("import numpy as np", {"np": Target("numpy")}),
        ("from a.b import c, d as e", {"c": Target("a.b", "c"), "e": Target("a.b", "d")}),
        ("from __future__ import annotations", {}),
        ("a = b", {}),
    ],
)
def test_imports(source: str, expected: dict[str, Target]) -> None:
    [statement] = ast.parse(source).body
    found = imported(statement)
    assert found == expected
    for name, target in found.items():
        start, item = target.statement(name)
        scope: dict[str, object] = {}
        if not start.startswith("from"):
            exec(f"{start} {item}", scope)
            assert name in scope


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a, *b = c", "a b"),
        ("a.b = c[d] = e", ""),
        ("for a in b: c = 1", "a c"),
        ("try: import a.b\nexcept c as d: from e import f as g", "a d g"),
        ("with a as (b, c): pass", "b c"),
        ("def a(b): c = 1", "a"),
        ("class a(b):\n  c = 1", "a"),
        ("[a for a in b if (c := a)]", "c"),
        ("lambda a: (b := a)", ""),
        ("match a:\n  case [b, *c]: pass\n  case {'d': d}: pass", "b c d"),
    ],
)
def test_names_that_a_scope_binds(source: str, names: str) -> None:
    assert bound_names(ast.parse(source).body) == set(names.split())
