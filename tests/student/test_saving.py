"""A student's folder: permissions, model card, and a tokenizer that allows what it can read."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

import rosearch as rs
from rosearch.caching import change_json
from rosearch.encode import EncodedTokenizer
from rosearch.operators.base import registry
from rosearch.space import Genome, Node, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from tests.fresh_python import FreshPython

LONG = " ".join(["a dull film with a clever ending ."] * 9)


def make(tokenizer: Any, *, positions: int = 24, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    genome = config.pop("genome", templates.text_cnn(width=16, embedding_width=8))
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": positions}
    student = StudentForSequenceClassification(StudentConfig(genome, **sizes, **config)).eval()
    student.tokenizer = tokenizer
    return student


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


class TestTokenizer:
    @pytest.mark.parametrize("limit", [30, 512, 10**30])
    @pytest.mark.parametrize("encoded", [False, True])
    def test_truncates_to_what_the_student_reads(
        self, limit: int, encoded: bool, tokenizer: Any, tmp_path: Path
    ) -> None:
        given = rs.student.tokenizer_files.generic(tokenizer)
        if encoded:
            train = rs.TextDataset(["a good film", "a bad film"], [1, 0])
            given = EncodedTokenizer.wrap(given, rs.encodings.get("typo_clusters")().fit(train))
        given.model_max_length = limit
        student = make(given)
        student.save_pretrained(tmp_path)
        assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 24
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert given.model_max_length == limit
        short = student.tokenizer(LONG, truncation=True, return_tensors="pt")
        assert short["input_ids"].shape == (1, 24)
        expected = student(**short).logits.softmax(dim=1).max().item()
        for model, reader in ((tmp_path, None), (loaded, loaded.tokenizer)):
            classify = pipeline("text-classification", model=model, tokenizer=reader)
            assert classify(LONG, truncation=True)[0]["score"] == pytest.approx(expected, abs=1e-4)

    def test_a_smaller_limit_stays(self, tokenizer: Any, tmp_path: Path) -> None:
        student = make(tokenizer, positions=100)
        assert student.tokenizer is tokenizer
        student.save_pretrained(tmp_path)
        assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 64

    def test_changes_of_it_are_saved(self, tokenizer: Any, tmp_path: Path) -> None:
        student = make(tokenizer)
        student.tokenizer.model_max_length = 10
        student.save_pretrained(tmp_path)
        assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 10
        assert tokenizer.model_max_length == 64

    def test_copies_and_pickles_keep_it(self, tokenizer: Any) -> None:
        student = make(tokenizer)
        again = pickle.loads(pickle.dumps(student))
        assert again.tokenizer.model_max_length == student.tokenizer.model_max_length == 24
        again.tokenizer = None
        assert again.tokenizer is None

    def test_a_fine_tuned_teacher_saves_its_limit(
        self, tokenizer: Any, tiny_bert: Any, dataset: Any, tmp_path: Path
    ) -> None:
        unlimited = rs.student.tokenizer_files.generic(tokenizer)
        unlimited.model_max_length = 10**30
        for part in (tiny_bert(), unlimited):
            part.save_pretrained(tmp_path / "base")
        rs.Teacher.fine_tune(
            tmp_path / "base", dataset, dataset, save_to=tmp_path / "tuned", epochs=1,
            progress=False, cache_dir=tmp_path / "cache",
        )  # fmt: skip
        assert AutoTokenizer.from_pretrained(tmp_path / "tuned").model_max_length == 64


class TestTooLong:
    @pytest.mark.parametrize("training", [False, True])
    def test_says_how_to_truncate(self, training: bool, tokenizer: Any) -> None:
        student = make(tokenizer).train(training)
        ids = torch.randint(5, 20, (2, 25))
        with pytest.raises(
            rs.errors.ArgumentError, match=r"25 tokens.*at most 24.*truncation=True"
        ):
            student(ids)
        classify = pipeline("text-classification", model=student, tokenizer=student.tokenizer)
        with pytest.raises(rs.errors.ArgumentError, match="at most 24"):
            classify(LONG)

    def test_padding_does_not_count(self, tokenizer: Any) -> None:
        student = make(tokenizer)
        ids = torch.randint(5, 20, (2, 24))
        padded = torch.nn.functional.pad(ids, (0, 8))
        torch.testing.assert_close(student(padded).logits, student(ids).logits)


class TestPermissions:
    def test_are_those_of_the_umask(self, umask: None, tokenizer: Any, tmp_path: Path) -> None:
        private = tmp_path / "student" / "notes.txt"
        private.parent.mkdir()
        private.touch(0o600)
        make(tokenizer).save_pretrained(private.parent, max_shard_size="2KB")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in private.parent.iterdir()}
        assert modes.pop("notes.txt") == 0o600
        assert len(list(private.parent.glob("model-*.safetensors"))) > 1
        assert set(modes.values()) == {0o640}


class TestModelCard:
    def test_its_lines_load_the_student(
        self, tokenizer: Any, fresh_python: FreshPython, tmp_path: Path
    ) -> None:
        names = {0: "weak", 1: "strong"}
        make(tokenizer, id2label=names).save_pretrained(tmp_path)
        card = (tmp_path / "README.md").read_text()
        assert "weak, strong" in card
        code = (
            card.split("```python\n")[1]
            .split("```")[0]
            .replace("path/to/this/folder", str(tmp_path))
        )
        code += f"\nprint(classify({LONG!r})[0]['label'])"
        done = fresh_python.run("-c", code, folder=tmp_path)
        assert done.stdout.strip() in names.values(), done.stderr

    def test_names_packages_of_plug_ins(self, tokenizer: Any, tmp_path: Path) -> None:
        name = "keeps_everything"

        @rs.operators.register(name)
        class Keeps(rs.Operator):
            """The same."""

            def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                return hidden

        Keeps.__module__ = "some_plugin.operators"
        genome = Genome(width=16, embedding_width=8, nodes=(Node(name),))
        try:
            make(tokenizer, genome=genome).save_pretrained(tmp_path)
        finally:
            registry.unregister(name)
        assert "import rosearch\nimport some_plugin\n" in (tmp_path / "README.md").read_text()

    def test_without_tokenizer(self, tokenizer: Any, tmp_path: Path) -> None:
        student = make(tokenizer)
        student.tokenizer = None
        student.save_pretrained(tmp_path)
        card = (tmp_path / "README.md").read_text()
        assert "import rosearch\n" in card
        assert "AutoModelForSequenceClassification.from_pretrained(" in card

    def test_one_by_hand_stays(self, tokenizer: Any, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("# My student\n")
        make(tokenizer).save_pretrained(tmp_path)
        assert (tmp_path / "README.md").read_text() == "# My student\n"

    def test_follows_the_student(self, tokenizer: Any, tmp_path: Path) -> None:
        for positions in (24, 32):
            make(tokenizer, positions=positions).save_pretrained(tmp_path)
            assert f"up to {positions} tokens" in (tmp_path / "README.md").read_text()

    @pytest.mark.parametrize("there", [False, True])
    def test_on_the_hub(self, there: bool, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        files: dict[str, str] = {}

        def commit(_: HfApi, operations: list[Any], **__: Any) -> str:
            read = {op.path_in_repo: Path(op.path_or_fileobj).read_bytes() for op in operations}
            files.update({name: data.decode(errors="replace") for name, data in read.items()})
            return "done"

        name = SimpleNamespace(repo_id="someone/student")
        monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: name)
        monkeypatch.setattr(HfApi, "file_exists", lambda *_, **__: there)
        monkeypatch.setattr(HfApi, "create_commit", commit)
        assert make(tokenizer).push_to_hub("someone/student", tags=["english"]) == "done"
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= files.keys()
        assert ("README.md" in files) is not there
        if not there:
            assert 'model="someone/student"' in files["README.md"]
            assert ModelCard(files["README.md"]).data.tags == ["rosearch", "english"]


class TestWithoutImport:
    @pytest.mark.parametrize("has_code", [False, True])
    def test_every_error_says_what_to_do(
        self, has_code: bool, tokenizer: Any, fresh_python: FreshPython, tmp_path: Path
    ) -> None:
        make(tokenizer).save_pretrained(tmp_path)
        if not has_code:  # as with operators of other packages
            change_json(tmp_path / "config.json", auto_map=None)
        code = (
            "import sys, transformers as t\n"
            "for load in (\n"
            "    t.AutoConfig.from_pretrained,\n"
            "    t.AutoModelForSequenceClassification.from_pretrained,\n"
            "    lambda folder: t.pipeline('text-classification', model=folder),\n"
            "):\n"
            "    try:\n"
            "        load(sys.argv[1])\n"
            "    except ValueError as error:\n"
            "        print('\\nsaid:', *str(error).split())\n"
        )
        done = fresh_python.run("-c", code, tmp_path, check=True)
        said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
        assert len(said) == 3
        advice = "trust_remote_code=True" if has_code else "import rosearch before loading"
        assert all(advice in line for line in said)

    def test_folders_of_development_versions_load(self, tokenizer: Any, tmp_path: Path) -> None:
        make(tokenizer).save_pretrained(tmp_path)
        config = tmp_path / "config.json"
        config.write_text(config.read_text().replace(StudentConfig.model_type, "rosearch"))
        assert '"model_type": "rosearch"' in config.read_text()
        assert type(AutoConfig.from_pretrained(tmp_path)) is StudentConfig
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert type(loaded) is StudentForSequenceClassification
