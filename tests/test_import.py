"""What ``import rosearch`` does and does not do, each in a process of its own.

Where it must load all of transformers, the process starts with PyTorch loaded.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rosearch
from tests.fresh_python import FreshPython

SOURCE = Path(rosearch.__file__)


def start(code: str, python: FreshPython | None = None) -> subprocess.CompletedProcess[str]:
    root = SOURCE.parents[1]
    if python:
        return python.run("-c", code, folder=root)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)


def run(code: str, python: FreshPython | None = None) -> Any:
    """The last line that ``code`` prints, as JSON."""
    out = start(code, python)
    assert out.returncode == 0, out.stderr
    assert "Warning" not in out.stderr
    return json.loads(out.stdout.splitlines()[-1])


def type_checking_names() -> dict[str, str]:
    """Name to module, as type checkers see it."""
    tree = ast.parse(SOURCE.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        names |= {alias.asname or alias.name: statement.module for alias in statement.names}
    return names


def test_lazy_names_agree_with_what_type_checkers_see():
    lazy = rosearch._OBJECTS | {
        name: module.rpartition(".")[0] for name, module in rosearch._MODULES.items()
    }
    assert type_checking_names() == lazy
    assert {*lazy, "__version__"} == set(rosearch.__all__)


@pytest.mark.parametrize("name", rosearch.__all__)
def test_every_public_name_loads(name):
    value = getattr(rosearch, name)
    assert value is not None
    if name in rosearch._MODULES:
        assert value is sys.modules[rosearch._MODULES[name]]
    assert name in dir(rosearch)


def test_workers_start_without_models():
    # Which take longer to import than all else together.
    code = "import json, sys, rosearch.evolve.workers.child_processes\n"
    loaded = run(
        code + "print(json.dumps([m for m in sys.modules if m.startswith('transformers')]))"
    )
    assert loaded == []


def test_star_import_and_unknown_names():
    names: dict = {}
    exec("from rosearch import *", names)
    assert set(rosearch.__all__) <= set(names)
    with pytest.raises(AttributeError, match="module 'rosearch' has no attribute 'Genom'"):
        _ = rosearch.Genom


def test_import_loads_nothing_heavy_and_changes_nothing():
    # A library that is imported has not been asked to do anything yet.
    found = run("""
import json, os, random, socket, sys, threading
def refuse(*args, **kwargs):
    raise RuntimeError("a socket at import")
socket.socket.connect = refuse
import logging
environment, state = dict(os.environ), random.getstate()
handlers = list(logging.root.handlers)
import rosearch
print(json.dumps({
    "heavy": sorted({m.partition(".")[0] for m in sys.modules} & {
        "torch", "numpy", "optuna", "transformers", "tokenizers", "textattack", "nltk", "ray",
        "dask", "triton", "matplotlib", "networkx", "scipy", "tqdm", "datasets", "tempfile"}),
    "own": sorted(m for m in sys.modules if m.startswith("rosearch")),
    "environment": environment == dict(os.environ),
    "random": state == random.getstate(),
    "logging": handlers == logging.root.handlers,
    "threads": threading.active_count(),
}))
""")
    assert found == {
        "heavy": [],
        "own": ["rosearch", "rosearch._autoregister", "rosearch.version"],
        "environment": True,
        "random": True,
        "logging": True,
        "threads": 1,
    }


def test_help_loads_nothing_heavy():
    found = run("""
import json, sys
from rosearch.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules} & {
    "torch", "numpy", "optuna", "transformers", "jinja2", "jsonargparse", "sqlalchemy"})))
""")
    assert found == []


def test_loading_everything_leaves_optional_packages_alone():
    found = run("""
import json, os, random, sys
import numpy, torch
environment = dict(os.environ)
states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
import rosearch
for name in rosearch.__all__:
    getattr(rosearch, name)
print(json.dumps({
    "optional": sorted({m.partition(".")[0] for m in sys.modules} & {
        "textattack", "flair", "ray", "dask", "matplotlib", "datasets", "nltk", "pytest", "sklearn",
        "pandas"}),
    "environment": environment == dict(os.environ),
    "states": states == (random.getstate(), numpy.random.get_state()[1].tolist(),
                         torch.get_rng_state().tolist()),
    "gpu": torch.cuda.is_initialized(),
}))
""")
    assert found == {"optional": [], "environment": True, "states": True, "gpu": False}


def test_import_takes_less_than_a_tenth_of_a_second():
    # Within one process, so that starting Python does not count; the best of a few, as other
    # processes may hold the machine.
    code = "import time, json; t = time.perf_counter(); import rosearch;"
    seconds = min(
        float(run(f"{code} print(json.dumps(time.perf_counter() - t))")) for _ in range(4)
    )
    assert seconds < 0.1


LOADS = """
import json, sys, warnings
warnings.simplefilter("error", RuntimeWarning)
{imports}
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
import rosearch.student as student
config = AutoConfig.for_model(student.StudentConfig.model_type)
print(json.dumps([
    type(config) is student.StudentConfig,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)].__name__,
    any(type(f).__module__ == "rosearch._autoregister" for f in sys.meta_path),
]))
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import transformers; import rosearch",
        "from transformers import AutoModelForSequenceClassification; import rosearch",
        "import rosearch; from transformers import AutoConfig",
        "import rosearch; from transformers import pipeline",
        "import rosearch; import transformers.models.auto.modeling_auto",
        "import rosearch.student",
    ],
)
def test_auto_classes_know_students_in_any_order_of_imports(imports, fresh_python):
    # Taken from sys.modules: the test itself must not import it.
    knows = LOADS.format(imports=imports).replace(
        "import rosearch.student as student", "student = sys.modules['rosearch.student']"
    )
    assert run(knows, fresh_python) == [True, "StudentForSequenceClassification", False]


def test_auto_classes_are_waited_for_without_loading_them(fresh_python):
    code = """
import json, sys
import rosearch, transformers, transformers.utils
print(json.dumps({
    "student": "rosearch.student" in sys.modules,
    "patched": [n for n, m in list(sys.modules.items()) if n.startswith("transformers")
                and m.__spec__ and "exec_module" in vars(m.__spec__.loader)],
}))
"""
    assert run(code, fresh_python) == {"student": False, "patched": []}


def test_a_broken_installation_warns_and_leaves_transformers_usable(fresh_python):
    code = """
import sys, rosearch
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "rosearch.student":
            raise ImportError("no such luck")
sys.meta_path.insert(0, Broken())
from transformers import AutoConfig
print(AutoConfig.for_model("bert").model_type)
"""
    out = start(code, fresh_python)
    assert out.stdout.strip() == "bert", out.stderr
    assert "no such luck" in out.stderr
    assert "RuntimeWarning" in out.stderr


def test_an_import_that_fails_again_and_again_warns_once(fresh_python):
    code = """
import sys, warnings, rosearch
from rosearch import _autoregister
[finder] = [f for f in sys.meta_path if isinstance(f, _autoregister._Finder)]
finder._attempts = 2
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "rosearch.student":
            raise ImportError("Could not import module 'PreTrainedModel'. Is everything installed?")
sys.meta_path.insert(0, Broken())
from transformers import AutoConfig
assert finder in sys.meta_path
import transformers.models.bart.modeling_bart, transformers.models.t5.modeling_t5
assert finder not in sys.meta_path
print(AutoConfig.for_model("bert").model_type)
"""
    out = start(code, fresh_python)
    assert out.stdout.strip() == "bert", out.stderr
    assert out.stderr.count("cannot load rosearch's students") == 1, out.stderr


def test_version_is_the_installed_one():
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("rosearch")
    except PackageNotFoundError:
        pytest.skip("run from a source tree, not installed")
    assert installed == rosearch.__version__


def test_two_threads_may_import_at_once():
    code = """
import json, sys, threading, rosearch
import transformers  # its own first import is not safe in threads, with rosearch or without
names = ["AutoModelForSequenceClassification", "AutoTokenizer", "AutoConfig"]
threads = [
    threading.Thread(target=lambda name=name: getattr(transformers, name))
    for name in names
]
[thread.start() for thread in threads]
[thread.join(timeout=60) for thread in threads]
transformers.BertConfig  # whatever is imported next
print(json.dumps("rosearch.student" in sys.modules and not any(t.is_alive() for t in threads)))
"""
    assert run(code)  # all of it, PyTorch too
