"""Pages of the documentation whose code runs from top to bottom, and tables that must be true."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import rosearch as rs

DOCS = Path(__file__).parents[1] / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_of(page: str, language: str = "python") -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [code for kind, code in FENCE.findall(text) if kind == language]


def run(page: str, code: list[str]) -> dict[str, Any]:
    """What the page's code defines, as a module that pickle finds."""
    module = sys.modules["page"]
    exec(compile("\n".join(code), page, "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture(autouse=True)
def a_folder_and_a_module_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "page", ModuleType("page"))


def test_reproducibility(capsys):
    import optuna

    code = code_of("reproducibility.md")
    assert len(code) == 4
    values = run("reproducibility.md", code)
    printed = capsys.readouterr().out
    assert len(values["resumed"].trials) == 12
    assert "seed: 7 in the study, 8 now" in printed
    named = {"python", "rosearch", "torch", "transformers", "optuna", "numpy"}
    assert set(values["search"].versions) == named
    # The page says what is in the settings.
    assert {"space", "fitness", "strategy", "seed", "evaluate"} <= set(values["search"].settings)
    study = optuna.load_study(study_name="films", storage="sqlite:///study.db")
    assert all("torch" in trial.user_attrs["versions"] for trial in study.trials)


@pytest.fixture
def plugins(capsys):
    before = {registry.group: set(registry.names()) for registry in registries()}
    values = run("plugins.md", code_of("plugins.md"))
    yield values, capsys.readouterr().out
    for registry in registries():
        for name in set(registry.names()) - before[registry.group]:
            registry.unregister(name)


def registries():
    operators = importlib.import_module("rosearch.operators").registry
    return (
        operators, rs.encodings, rs.attacks, rs.distillation_losses, rs.fitness_terms,
        rs.strategies.registry,
    )  # fmt: skip


def test_plugins(plugins, trained_bert, tokenizer, dataset):
    values, printed = plugins
    genomes = [trial.genome for trial in values["search"].trials]
    assert {genome.embedding.operator for genome in genomes} == {
        "subword_embedding",
        "bounded_embedding",
    }
    assert re.search(r"[1-7] complete, [1-7] stopped, 0 failed", printed)
    assert "3 complete, 0 failed" in printed  # asked and told
    assert "4 complete, 0 failed" in printed
    score = values["fitness"].score({"accuracy": 0.8, "accuracy_under_attack": 0.2})
    assert score.values == (0.25,)
    teacher = rs.Teacher(trained_bert, tokenizer)
    dev = dataset[:40]
    genome = rs.templates.bag_of_words(width=16, embedding_width=16)
    result = values["train"](teacher, dataset[40:], dev, genome)
    assert result.student.config.architecture.key == genome.key


def test_the_encoding_of_the_page_passes_its_suite_and_helps(plugins, dataset, capsys):
    values, _ = plugins
    suite = values["TestNoRepeats"]()
    encoding = suite.fit(dataset)
    assert encoding("A boooring  movieee!!") == "A boring  movie!!"
    for name, test in inspect.getmembers(suite, inspect.ismethod):
        if list(inspect.signature(test).parameters) == ["encoding"] and "process" not in name:
            test(encoding)
    values["robustness"](lambda texts: [[len(t) % 2, 1 - len(t) % 2] for t in texts], dataset)


def test_the_input_of_the_page_passes_its_suite(plugins):
    suite = plugins[0]["TestBoundedEmbedding"]()
    ran = 0
    for name, test in inspect.getmembers(suite, inspect.ismethod):
        if name.startswith("test") and len(inspect.signature(test).parameters) == 0:
            test()
            ran += 1
    assert ran >= 5


def test_the_entry_points_of_the_page_are_those_that_are_read():
    (block,) = code_of("plugins.md", "toml")
    groups = re.findall(r'^\[project\.entry-points\."([\w.]+)"\]$', block, re.MULTILINE)
    assert sorted(groups) == sorted(registry.group for registry in registries())


def test_the_suites_of_the_table_are_all_there_are():
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    suites = importlib.import_module("rosearch.testing").__all__
    assert sorted(set(re.findall(r"\w+(?:Conformance|Suite)\b", text))) == sorted(suites)


class Columns(dict[str, Any]):
    """A split as the package datasets gives it, as far as rosearch looks at it."""

    @property
    def column_names(self) -> list[str]:
        return list(self)


@pytest.mark.slow
def test_start(
    dataset: rs.TextDataset, large_teacher: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = dict(zip(("train", "test"), dataset.split(160, 40, seed=0), strict=True))
    splits = {
        name: Columns(text=list(part.texts), label=part.labels.tolist())
        for name, part in parts.items()
    }
    load: Callable[[str], Any] = {"rotten_tomatoes": splits}.__getitem__
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
    code = "\n".join(code_of("start.md"))
    for shown, small in (
        ("textattack/bert-base-uncased-rotten-tomatoes", str(large_teacher)),
        ("examples=100", "examples=8"),
        ("candidates=16", "candidates=3"),
    ):
        assert shown in code
        code = code.replace(shown, small)
    values = run("start.md", [code])
    printed = capsys.readouterr().out
    assert "3 complete" in printed
    assert printed.count("under attack") >= 3
    assert Path("best/model.safetensors").is_file()
    assert not set(values["test"].texts) & {*values["train"].texts, *values["dev"].texts}


def test_the_start_names_every_example() -> None:
    text = (DOCS / "start.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (DOCS.parent / "examples").glob("*.py")}
    helpers = {"comparison.py", "materials.py", "searching.py"}
    assert set(re.findall(r"`(\w+\.py)`", text)) == scripts - helpers


def test_the_defaults_that_the_page_on_the_paper_names() -> None:
    def default(function: Any, argument: str) -> Any:
        return inspect.signature(function).parameters[argument].default

    text = (DOCS / "paper.md").read_text(encoding="utf-8")
    low, high = default(rs.SearchSpace, "nodes")
    inputs = default(rs.SearchSpace, "max_inputs")
    assert f"{low} to {high} nodes, at most {inputs} inputs" in text
    assert f"temperature {default(rs.Distiller, 'temperature'):.0f}" in text
    assert f"{default(rs.Evolver, 'population')} samples first" in text
    for owner, names in re.findall(r"`(\w+)\(((?:\w+=(?:, )?)+)\)`", text):
        for name in re.findall(r"\w+", names):
            assert name in inspect.signature(getattr(rs, owner)).parameters


def test_the_commands_of_the_page_on_performance_exist() -> None:
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"benchmarks/\w+\.py", text))
    assert len(scripts) > 8
    assert [name for name in sorted(scripts) if not (DOCS.parent / name).is_file()] == []
