"""Saving, loading and uploading of students, in float32 and bfloat16."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from transformers import AutoModelForSequenceClassification

import rosearch.operators as ops
from rosearch.errors import RegistryError
from rosearch.operators import EmbeddingOperator
from rosearch.space import Embedding, Genome, Node, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from tests.fresh_python import FreshPython

FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    settings = {"vocab_size": 200, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


@pytest.fixture
def uploaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What a hub without network was asked to store."""
    files: dict[str, bytes] = {}

    def create_repo(_: HfApi, repo_id: str, **__: Any) -> Any:
        return SimpleNamespace(repo_id=repo_id)

    def create_commit(_: HfApi, repo_id: str, operations: list[Any], **__: Any) -> None:
        assert repo_id == "someone/student"
        for operation in operations:
            files[operation.path_in_repo] = Path(operation.path_or_fileobj).read_bytes()

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "create_commit", create_commit)
    return files


class TestHub:
    @pytest.fixture
    def student(self, tokenizer: Any) -> StudentForSequenceClassification:
        student = make(templates.bigru(width=16, embedding_width=8))
        student.tokenizer = tokenizer
        return student

    def check(self, files: dict[str, bytes], student: Any, folder: Path) -> None:
        assert set(files) >= FILES
        for name, content in files.items():
            (folder / name).write_bytes(content)
        loaded = AutoModelForSequenceClassification.from_pretrained(folder)
        ids = torch.randint(1, 60, (2, 7))
        assert torch.equal(loaded(ids).logits, student(ids).logits)
        assert loaded.tokenizer("a good film") == student.tokenizer("a good film")

    def test_push(self, student: Any, uploaded: dict[str, bytes], tmp_path: Path) -> None:
        student.push_to_hub("someone/student")
        self.check(uploaded, student, tmp_path)

    def test_push_while_saving(
        self, student: Any, uploaded: dict[str, bytes], tmp_path: Path
    ) -> None:
        saved, fetched = tmp_path / "saved", tmp_path / "fetched"
        fetched.mkdir()
        student.save_pretrained(saved, push_to_hub=True, repo_id="someone/student")
        assert {p.name for p in saved.iterdir()} >= FILES
        self.check(uploaded, student, fetched)

    def test_load_by_name(self, student: Any, tmp_path: Path) -> None:
        """From the hub's local cache, as after a download."""
        snapshot = tmp_path / "models--someone--student" / "snapshots" / "abc"
        student.save_pretrained(snapshot)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc")
        loaded = StudentForSequenceClassification.from_pretrained(
            "someone/student", cache_dir=tmp_path
        )
        assert loaded.tokenizer("a good film") == student.tokenizer("a good film")
        student.tokenizer = None
        for path in snapshot.glob("tokenizer*"):
            path.unlink()
        loaded = StudentForSequenceClassification.from_pretrained(
            "someone/student", cache_dir=tmp_path
        )
        assert loaded.tokenizer is None


class TestPlugins:
    @pytest.mark.parametrize("gene", ["nodes", "embedding"])
    def test_missing_operator_raises(self, gene: str, tmp_path: Path) -> None:
        make(templates.text_cnn(width=16, embedding_width=8)).save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        part = config["genome"][gene]
        (part[0] if gene == "nodes" else part)["operator"] = "my_shift"
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(RegistryError, match="no operator named 'my_shift'") as error:
            AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert "import the module that registers it" in str(error.value)

    def test_loads_once_its_operator_is_imported(
        self, fresh_python: FreshPython, tmp_path: Path
    ) -> None:
        (tmp_path / "plugin.py").write_text(
            "import rosearch\n"
            "@rosearch.operators.register('half')\n"
            "class Half(rosearch.Operator):\n"
            "    '''Half of it.'''\n"
            "    def compute(self, hidden, mask):\n"
            "        return hidden / 2\n"
        )
        code = (
            "import sys, plugin, torch\n"
            "from rosearch import Genome, Node, StudentConfig, StudentForSequenceClassification\n"
            "genome = Genome(width=16, embedding_width=8, nodes=(Node('half'),))\n"
            "student = StudentForSequenceClassification(StudentConfig(genome, vocab_size=60))\n"
            "student.save_pretrained('saved')\n"
            "again = StudentForSequenceClassification.from_pretrained('saved')\n"
            "ids = torch.ones(1, 3, dtype=torch.long)\n"
            "print(torch.equal(again(ids).logits, student.eval()(ids).logits))"
        )
        out = fresh_python.run("-c", code, folder=tmp_path, check=True)
        assert out.stdout.strip() == "True"


def small_genomes() -> list[Any]:
    """Every template, operator and embedding in a small student."""
    size: dict[str, Any] = {"width": 48, "embedding_width": 8}
    found = {f"template {name}": make(**size) for name, make in templates.ALL.items()}
    found |= {name: Genome(**size, nodes=(Node(name),)) for name in ops.names()}
    found |= {
        name: Genome(**size, embedding=Embedding(name)) for name in ops.names(EmbeddingOperator)
    }
    return [pytest.param(genome, id=name) for name, genome in found.items()]


class TestHalfPrecision:
    @pytest.mark.parametrize("genome", small_genomes())
    def test_forward_and_backward(self, genome: Genome) -> None:
        single, half = make(genome), make(genome).to(torch.bfloat16)
        ids = torch.randint(1, 60, (4, 9))
        ids[1, 5:] = ids[2, :3] = 0
        labels = torch.tensor([0, 1, 1, 1])
        outs = [student(ids, labels=labels) for student in (single, half)]
        assert outs[1].logits.dtype == torch.bfloat16
        # bf16 has 8 bits of mantissa: about 0.4 % a rounding, and the logits are below 1 in size.
        torch.testing.assert_close(outs[1].logits.float(), outs[0].logits, rtol=0, atol=0.02)
        for out in outs:
            out.loss.backward()
        # Rounding may make a maximum choose another token, and the gradient goes where it points.
        maximum = genome.pooling == "max" or any(n.operator == "max_pooling" for n in genome.nodes)
        share = 0.5 if maximum else 0.1
        for (name, a), b in zip(single.named_parameters(), half.parameters(), strict=True):
            assert b.grad is not None, name
            assert b.grad.dtype == torch.bfloat16
            error = (b.grad.float() - a.grad).norm()
            assert error <= share * a.grad.norm() + 1e-3, name

    def test_saves_and_loads(self, tmp_path: Path) -> None:
        student = make(templates.transformer(layers=1, width=32, embedding_width=8))
        ids = torch.randint(1, 60, (2, 7))
        student.save_pretrained(tmp_path / "single")
        half = student.to(torch.bfloat16)
        half.save_pretrained(tmp_path / "half")
        load = AutoModelForSequenceClassification.from_pretrained
        for loaded in (
            load(tmp_path / "half", dtype="auto"),  # the default from transformers 5 on
            load(tmp_path / "single", dtype="bfloat16"),
            load(tmp_path / "single", dtype=torch.bfloat16),
        ):
            assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}
            assert torch.equal(loaded(ids).logits, half(ids).logits)
        assert load(tmp_path / "half", dtype=torch.float32).dtype == torch.float32
