"""A student's folder for onnxruntime, run where PyTorch, transformers and rosearch are not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import rosearch as rs
from rosearch.encode import Chain, EncodedTokenizer
from rosearch.errors import ArgumentError
from rosearch.space import templates
from rosearch.student import StudentConfig, StudentForSequenceClassification, export_folder

TEXTS = ["a dull fillm .", "m0vie with a cl ever end and a longer text than the student reads", "é"]

RUNNER = """
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        hidden = "rosearch torch transformers networkx typing_extensions rapidfuzz".split()
        if name.partition(".")[0] in [*hidden, "confusable_homoglyphs", "psutil"]:
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Blocked())
script, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script)
"""


def make(tokenizer: Any, encoding: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    config = StudentConfig(
        templates.text_cnn(width=16, embedding_width=8),
        vocab_size=len(tokenizer), max_position_embeddings=12, id2label={0: "weak", 1: "strong"},
    )  # fmt: skip
    student = StudentForSequenceClassification(config).eval()
    student.tokenizer = EncodedTokenizer.wrap(tokenizer, encoding) if encoding else tokenizer
    return student


@pytest.mark.parametrize("encoded", [False, True])
def test_runs_with_few_packages(encoded: bool, tokenizer: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoding = None
    if encoded:
        train = rs.TextDataset(["a dull film .", "movie with a clever end"] * 2, [0, 1] * 2)
        kinds = [rs.encodings.get(name) for name in ("spelling", "frequent_synonyms")]

        class Exchanges:
            settings = {"name": "one"}

            def count(self, texts: Any) -> dict[tuple[str, str], float]:
                return {("movie", "film"): 1.0}

        encoding = Chain([kind.fit(train, exchanges=Exchanges()) for kind in kinds])
    student = make(tokenizer, encoding)
    folder = export_folder(student, tmp_path / "onnx")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(folder / "run.py"), *TEXTS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    batch = student.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        expected = student(**batch).logits
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    names = [student.config.id2label[k] for k in expected.argmax(dim=1).tolist()]
    assert [row[0] for row in rows] == names
    found = torch.tensor([json.loads(row[1]) for row in rows])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (folder / "encoding.py").exists() == encoded
    alone = [sys.executable, "-c", RUNNER, str(folder / "run.py")]
    unused = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert unused.returncode == 1
    assert 'python run.py "a text"' in unused.stderr
    card = (folder / "README.md").read_text()
    assert f"tokenizers numpy{' regex' if encoded else ''}\npython run.py" in card
    assert "trust_remote_code" not in card


def test_needs_a_tokenizer_and_encodings_of_this_package(tokenizer: Any, tmp_path: Path) -> None:
    class Own(rs.Encoding):
        """The word."""

        def word(self, word: str) -> str:
            return word

    with pytest.raises(ArgumentError, match=r"got one of .*test_onnx_folder"):
        export_folder(make(tokenizer, Own()), tmp_path)
    student = make(tokenizer, None)
    student.tokenizer = None
    with pytest.raises(ArgumentError, match="must have a tokenizer"):
        export_folder(student, tmp_path)
    assert list(tmp_path.iterdir()) == []
