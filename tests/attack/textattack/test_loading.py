"""Importing TextAttack and running its attacks leaves the process as it was."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rosearch.attack.testing import hashing_classifier
from rosearch.attack.textattack import TextAttackAttack, wrapper
from tests.attack.textattack.attacks import build, genetic

ROOT = Path(__file__).parents[3]
UNDISTURBED = """
import json, logging, logging.handlers, os, random, sys, warnings
import numpy as np, torch
stream = open(sys.argv[1], "w")
handler = logging.StreamHandler(stream)
memory = logging.handlers.MemoryHandler(100, target=handler)
logging.getLogger().setLevel("ERROR")
logging.getLogger().addHandler(memory)
logging.getLogger("mine").setLevel("DEBUG")
logging.getLogger("mine").addHandler(handler)
logging.getLogger("textattack.shared.utils.install").setLevel("CRITICAL")
warnings.filterwarnings("error", message="mine")
os.environ["MINE"] = "1"
import rosearch, rosearch.attack.textattack as interop
import nltk, transformers
from rosearch.attack.testing import hashing_classifier

def state():
    logs = [logging.root, *map(logging.getLogger, ("mine", "textattack", "flair", "transformers",
        "textattack.shared.utils.install"))]
    return {
        "environ": sorted(os.environ.items()),
        "filters": [str(f) for f in warnings.filters],
        "loggers": [[l.level, len(l.handlers), l.propagate, l.disabled] for l in logs],
        "random": hash(random.getstate()),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "download": nltk.download.__module__ if hasattr(nltk.download, "__module__") else "method",
        "stanza": "stanza" in sys.modules,
        "levels": logging.root.manager.disable,
        "out": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    }

before = state()
assert "textattack" not in sys.modules
attack = interop.TextAttackAttack("PWWSRen2019")
assert "textattack" in sys.modules
data = rosearch.TextDataset(["A fine film.", "A dull film, and a long one."], [0, 1])
labels = hashing_classifier(list(data.texts)).argmax(axis=1).tolist()
data = rosearch.TextDataset(list(data.texts), labels, classes=("a", "b"))
report = rosearch.RobustnessEvaluator(attack, data, progress=False).evaluate(hashing_classifier)
assert report.attacked == 2, report
interop.wrapper(hashing_classifier)(["a"])
after = state()
assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
logging.getLogger("mine").warning("still here")
print("fine")
"""


@pytest.mark.slow
@pytest.mark.textattack
def test_importing_and_attacking_leaves_the_process_as_it_was(
    textattack: Any, wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ROSEARCH_WORDNET", str(wordnet_folder))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    log = tmp_path / "log"
    out = subprocess.run(
        [sys.executable, "-c", UNDISTURBED, str(log)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout == "fine\n"
    assert out.stderr == ""
    assert log.read_text() == 2 * "still here\n"  # through its own handler and the root's
    # TextAttack is not told that its own downloads were made.
    assert not list(home.glob(".cache/textattack/post_install_check_?"))


@pytest.mark.slow
@pytest.mark.textattack
def test_unpickling_in_a_new_process_imports_quietly(
    textattack: Any, wordnet_folder: Path, tmp_path: Path
) -> None:
    payload = tmp_path / "attack.pickle"
    attack = TextAttackAttack(build(genetic, wrapper(hashing_classifier)), name="mine")
    payload.write_bytes(pickle.dumps(attack))
    code = (
        "import pickle, sys, rosearch.attack; from pathlib import Path; "
        "attack = pickle.loads(Path(sys.argv[1]).read_bytes()); "
        "assert 'textattack' not in sys.modules; attack._loaded(); print(attack.name)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(payload)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (out.stdout, out.stderr) == ("mine\n", "")
