"""A student's own code in its folder, loaded where neither rosearch nor its packages are."""

from __future__ import annotations

import json
import os
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import rosearch as rs
from rosearch import operators as ops
from rosearch.encode import Chain, EncodedTokenizer
from rosearch.space import Embedding, Genome, Node, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from rosearch.student.remote_code import CODE_FILE, student_code
from tests.fresh_python import FreshPython

TEXTS = [
    "a dull film with a clever ending .", "the m0vie is a cl ever filmm", "gooood endiing", "",
    "\u0430 d\u03c5ll \u00e9nding \U0001d41e\U0001d427\U0001d41d \u4e2d\u6587",
]  # fmt: skip

CHILD = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        hidden = "rosearch rapidfuzz confusable_homoglyphs optuna".split()
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Blocked())
import json, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folders, texts, found = *json.loads(sys.argv[1]), {}
for folder in folders:
    options = {"trust_remote_code": True}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()
    with torch.no_grad():
        found[folder] = [batch["input_ids"].tolist(), model(**batch).logits.tolist()]
print(json.dumps(found))
"""


class Exchanges:
    settings = {"name": "two words"}

    def count(self, texts: Any) -> dict[tuple[str, str], float]:
        return {("film", "movie"): 2.0, ("movie", "film"): 3.0}


def built_in(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if ops.get(name).__module__.startswith("rosearch.")]


def genomes() -> list[Genome]:
    nodes = tuple(Node(name, inputs=(number,)) for number, name in enumerate(built_in(ops.names())))
    sizes: dict[str, Any] = {"width": 16, "embedding_width": 8}
    embeddings = built_in(ops.names(ops.EmbeddingOperator))
    return [
        Genome(nodes=nodes, bound=1.0, scopes=True, **sizes),
        *(Genome(embedding=Embedding(name), **sizes) for name in embeddings),
    ]


def encodings() -> list[rs.Encoding]:
    train = rs.TextDataset([*TEXTS[:1] * 4, "the movie is a clever film"] * 3, [0, 1, 0, 1, 1] * 3)
    evidence = rs.encode.Evidence(train, exchanges=Exchanges())
    kinds = [rs.encodings.get(name) for name in rs.encodings.names()]
    return [kind.fit(evidence) for kind in kinds if kind.__module__.startswith("rosearch.")]


def make(genome: Genome, tokenizer: Any, encoding: rs.Encoding | None = None) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 24}
    cues = ((9, 1),) if genome.scopes else ()
    student = StudentForSequenceClassification(StudentConfig(genome, cues=cues, **sizes)).eval()
    plain = rs.student.tokenizer_files.generic(tokenizer)
    student.tokenizer = plain if encoding is None else EncodedTokenizer.wrap(plain, encoding)
    return student


def answers(student: Any) -> list[Any]:
    batch = student.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return [batch["input_ids"].tolist(), student(**batch).logits.tolist()]


def test_loads_without_rosearch_to_the_bit(
    tokenizer: Any, fresh_python: FreshPython, tmp_path: Path
) -> None:
    # As few students as have every operator and encoding.
    spellings, words = (
        [encoding for encoding in encodings() if encoding.level == level]
        for level in ("characters", "words")
    )
    chains = [Chain(list(filter(None, parts))) for parts in zip_longest(spellings, words)]
    pairs = zip_longest(genomes(), [None, *chains])
    cnn = templates.text_cnn(width=16, embedding_width=8)
    students = [make(genome or cnn, tokenizer, encoding) for genome, encoding in pairs]
    expected = {}
    for number, student in enumerate(students):
        folder = tmp_path / f"student{number}"
        student.save_pretrained(folder)
        expected[str(folder)] = answers(student)
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    asked = json.dumps([list(expected), TEXTS])
    done = fresh_python.run("-c", CHILD, asked, environment=environment, check=True)
    assert json.loads(done.stdout) == expected


def test_is_not_run_beside_rosearch(tokenizer: Any, tmp_path: Path) -> None:
    make(
        templates.text_cnn(width=16, embedding_width=8), tokenizer, encodings()[0]
    ).save_pretrained(tmp_path)
    (tmp_path / CODE_FILE).write_text("raise SystemExit")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is StudentForSequenceClassification
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is EncodedTokenizer


def test_saved_again(tokenizer: Any, tmp_path: Path) -> None:
    student = make(templates.text_cnn(width=16, embedding_width=8), tokenizer, encodings()[0])
    student.save_pretrained(tmp_path / "a")
    again = StudentForSequenceClassification.from_pretrained(tmp_path / "a")
    again.save_pretrained(tmp_path / "b")
    again.tokenizer = again.tokenizer.plain
    again.save_pretrained(tmp_path / "c")
    read = {
        (folder, name): json.loads((tmp_path / folder / name).read_text()).get("auto_map")
        for folder in "abc"
        for name in ("config.json", "tokenizer_config.json")
    }
    assert read["a", "config.json"] == read["b", "config.json"] == read["c", "config.json"]
    assert read["a", "tokenizer_config.json"] == read["b", "tokenizer_config.json"]
    assert read["c", "tokenizer_config.json"] is None
    codes = [(tmp_path / folder / CODE_FILE).read_text() for folder in "abc"]
    assert codes[0] == codes[1] != codes[2]


def test_needs_no_more_than_transformers_does() -> None:
    operators = [ops.get(name) for name in built_in(ops.registry.names())]
    parts = (*operators, *map(type, encodings()), EncodedTokenizer)
    text = student_code(parts)
    assert "needs PyTorch and transformers only" in text
    imported = {
        line.split()[1].partition(".")[0]
        for line in text.splitlines()
        if line.startswith(("import ", "from "))
    }
    others = imported - sys.stdlib_module_names
    assert others == {
        "networkx", "numpy", "regex", "tokenizers", "torch", "transformers",
    }  # fmt: skip


def test_parts_of_other_packages(tokenizer: Any, tmp_path: Path) -> None:
    student = make(templates.text_cnn(width=16, embedding_width=8), tokenizer)
    student.save_pretrained(tmp_path)
    assert "Without rosearch" in (tmp_path / "README.md").read_text()

    @rs.operators.register("plugged")
    class Plugged(rs.Operator):
        """The same."""

        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return hidden

    Plugged.__module__ = "some_plugin.operators"
    try:
        make(
            Genome(width=16, embedding_width=8, nodes=(Node("plugged"),)), tokenizer
        ).save_pretrained(tmp_path)
    finally:
        ops.registry.unregister("plugged")
    assert not (tmp_path / CODE_FILE).exists()
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())
    card = (tmp_path / "README.md").read_text()
    assert "trust_remote_code" not in card
    assert "some_plugin" in card


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_without_a_tokenizer(name: str, tokenizer: Any, tmp_path: Path) -> None:
    student = make(templates.text_cnn(width=16, embedding_width=8), tokenizer)
    student.tokenizer = None
    student.save_pretrained(tmp_path)
    assert (tmp_path / name).exists() == (name == "config.json")
