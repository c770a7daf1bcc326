"""The code in the documentation compiles and uses names that exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rosearch

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")] if path.exists())
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 2
            yield pytest.param(match[1], id=f"{page.name}:{line}")


def missing_names(code: str) -> list[str]:
    """What ``code`` takes from rosearch and rosearch does not have."""
    tree = ast.parse(code)
    aliases = {"rs": rosearch, "rosearch": rosearch}
    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rosearch"):
            module = importlib.import_module(node.module)
            missing += [a.name for a in node.names if not hasattr(module, a.name)]
        if isinstance(node, ast.Attribute):
            owner = node.value
            known = aliases.get(owner.id) if isinstance(owner, ast.Name) else None
            if isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name):
                # One level deeper: rs.operators.register, rs.Teacher.from_pretrained.
                outer = aliases.get(owner.value.id)
                known = getattr(outer, owner.attr, None) if outer else None
            if known is not None and not hasattr(known, node.attr):
                missing.append(node.attr)
    return missing


def missing_arguments(code: str) -> list[str]:
    """Keyword arguments of calls ``rs.Name(...)`` that ``Name`` does not take."""
    missing = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        path = ast.unparse(node.func).split(".")
        if path[0] not in ("rs", "rosearch"):
            continue
        target: object = rosearch
        for part in path[1:]:
            target = getattr(target, part, None)
        if not callable(target):
            continue
        parameters = inspect.signature(target).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            continue
        missing += [
            f"{'.'.join(path)}({keyword.arg}=)"
            for keyword in node.keywords
            if keyword.arg and keyword.arg not in parameters
        ]
    return missing


@pytest.mark.parametrize("code", list(blocks()))
def test_code_compiles_and_its_names_exist(code):
    compile(code, "block", "exec")
    assert missing_names(code) == []
    assert missing_arguments(code) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_code_has_lost_its_fence(page):
    prose = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert (
        re.findall(r"^(?:from \w+ )?(?:import |\w+ = |    \w+=|rs\.\w).*", prose, re.MULTILINE)
        == []
    )


def test_the_check_finds_what_is_wrong():
    assert missing_names("import rosearch as rs\nrs.Nothing(1)\nrs.errors.Nothing") == [
        "Nothing",
        "Nothing",
    ]
    assert missing_names("from rosearch.errors import Nothing") == ["Nothing"]
    assert missing_arguments("rs.TextDataset([], [], names=1)") == ["rs.TextDataset(names=)"]
    assert len(list(blocks())) >= 3


def public_objects() -> Iterator[tuple[str, object]]:
    for name in rosearch.__all__:
        value = getattr(rosearch, name)
        yield name, value
        if inspect.isclass(value):
            for method, function in inspect.getmembers(value):
                own = str(getattr(function, "__module__", "")).startswith("rosearch")
                if not method.startswith("_") and callable(function) and own:
                    yield f"{name}.{method}", function


def test_everything_public_has_a_docstring():
    assert [name for name, value in public_objects() if not inspect.getdoc(value)] == []


DIRECTIVE = re.compile(r"^\.\. auto(class|data|function|module):: ([\w.]+)$", re.MULTILINE)


def reference() -> Iterator[Any]:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    inline = re.findall(r"`(rosearch(?:\.\w+)+)`", page)
    for kind, path in [*DIRECTIVE.findall(page), *(("name", path) for path in inline)]:
        yield pytest.param(kind, path, id=path)


@pytest.mark.parametrize(("kind", "path"), list(reference()))
def test_names_of_the_reference_are_imported_as_they_are_written(kind, path):
    module, _, name = path.rpartition(".")
    if kind == "module":
        module, name = path, "*"
    scope: dict[str, Any] = {}
    exec(f"from {module} import {name}", scope)
    if kind == "module":
        assert any(inspect.isclass(v) or inspect.isfunction(v) for v in scope.values())
        return
    found = scope[name]
    assert {"class": inspect.isclass, "function": callable}.get(kind, bool)(found)
    parents = [module.rsplit(".", k)[0] for k in range(1, module.count(".") + 1)]
    shorter = [p for p in parents if getattr(importlib.import_module(p), name, None) is found]
    assert shorter == [], "the page should give the shorter name"


def test_the_reference_has_directives_of_each_kind():
    assert {param.values[0] for param in reference()} == {
        "class", "data", "function", "module", "name",
    }  # fmt: skip
    assert len(list(reference())) > 100


def test_every_public_class_is_in_the_reference():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in rosearch.__all__
        if name != "__version__" and not re.search(rf"rosearch\.(\w+\.)*{name}\b", page)
    ]
    assert missing == ["RosearchError"]  # with the module of errors


def test_the_page_on_attacks_runs_from_top_to_bottom(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    code = [block for block in FENCE.findall(page) if "textattack" not in block]
    assert len(code) >= 5
    exec(compile("\n".join(code), "attacks.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "error" not in printed
    assert "100.0%, attack success 0.0%" not in printed, "an example in which no attack succeeds"


def test_the_page_on_architectures_runs_from_top_to_bottom(capsys):
    page = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    code = FENCE.findall(page)
    assert len(code) >= 5
    exec(compile("\n".join(code), "architectures.md", "exec"), {"__name__": "page"})
    share, reasons = capsys.readouterr().out.splitlines()[-2:]
    assert 0.5 < float(share) < 1
    assert "expected a CUDA device" in reasons


def test_the_page_on_strategies_runs_from_top_to_bottom(capsys):
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    code = FENCE.findall(page)
    assert len(code) == 4
    values = {"__name__": "page"}
    try:
        exec(compile("\n".join(code), "strategies.md", "exec"), values)
        assert "templates fit" in capsys.readouterr().out
        assert values["search"].best.metrics["accuracy"] > 0.7
        assert len(code[2].splitlines()) < 30
        values["TestHillClimbing"]().test_proposals_are_in_the_space()
    finally:
        rosearch.strategies.unregister("hill_climbing")
