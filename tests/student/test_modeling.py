"""Students as Hugging Face models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from rosearch.errors import DataError, GenomeError
from rosearch.space import Genome, Node, SearchSpace, templates
from rosearch.student import (
    StudentConfig,
    StudentForSequenceClassification,
)
from tests.fresh_python import FreshPython

SPACE = SearchSpace(nodes=(0, 5), widths=(16, 32), embedding_widths=(8, 16))


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    settings = {"vocab_size": 60, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


class TestForward:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_padding_never_changes_the_answer(self, seed: int) -> None:
        student = make(SPACE.sample(seed=seed))
        ids = torch.randint(1, 60, (1, 7))
        alone = student(ids).logits
        for before, behind in ((0, 5), (4, 0)):
            padded = torch.nn.functional.pad(ids, (before, behind))
            mask = (padded != 0).long()
            torch.testing.assert_close(
                student(padded, attention_mask=mask).logits, alone, rtol=1e-3, atol=1e-4
            )
            # Without a mask the padding token tells where the text ends.
            torch.testing.assert_close(student(padded).logits, alone, rtol=1e-3, atol=1e-4)

    @settings(max_examples=80, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_gradients_reach_every_parameter(self, seed: int) -> None:
        student = make(SPACE.sample(seed=seed), dropout=0.0)
        ids = torch.randint(1, 60, (8, 24))
        # Some rows are mostly padding, wider than any window.
        ids[torch.arange(24) >= torch.tensor([24, 24, 9, 9, 5, 5, 2, 1])[:, None]] = 0
        student(ids, labels=torch.arange(8) % 2).loss.backward()
        for name, parameter in student.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name

    @pytest.mark.parametrize(
        "labels", [torch.ones(8, 2), torch.zeros(8), torch.ones(8, 2, dtype=torch.long)]
    )
    def test_labels_that_are_no_class_indices_are_refused(self, labels: torch.Tensor) -> None:
        ids = torch.randint(1, 50, (8, 5))
        student = make(templates.bag_of_words(width=16, embedding_width=16))
        with pytest.raises(DataError, match="labels must be class indices"):
            student(ids, labels=labels)
        classes = torch.arange(8) % 2
        column = student.eval()(ids, labels=classes[:, None]).loss
        assert torch.equal(column, student(ids, labels=classes).loss)

    def test_loss_and_tuple(self) -> None:
        student = make(templates.bigru(width=16, embedding_width=8), num_labels=3)
        ids, labels = torch.randint(1, 60, (4, 6)), torch.tensor([0, 1, 2, 0])
        out = student(ids, labels=labels)
        assert out.logits.shape == (4, 3)
        expected = torch.nn.functional.cross_entropy(out.logits, labels)
        torch.testing.assert_close(out.loss, expected)
        loss, logits = student(ids, labels=labels, return_dict=False)
        assert torch.equal(loss, out.loss)
        assert torch.equal(logits, out.logits)

    def test_the_vocabulary_can_grow(self) -> None:
        student = make(templates.bag_of_words(width=16, embedding_width=8)).eval()
        ids = torch.randint(1, 60, (2, 6))
        before = student(ids).logits
        size = student.config.vocab_size
        student.resize_token_embeddings(size + 4)
        assert student.config.vocab_size == size + 4
        torch.testing.assert_close(student(ids).logits, before)
        assert student(torch.full((1, 3), size + 3)).logits.isfinite().all()

    def test_token_types_count(self) -> None:
        student = make(templates.bag_of_words(width=16, embedding_width=8))
        ids = torch.randint(1, 60, (1, 6))
        other = student(ids, token_type_ids=torch.ones_like(ids)).logits
        assert not torch.allclose(student(ids).logits, other)

    def test_a_residual_adds_the_merged_input(self) -> None:
        def states(residual: bool) -> torch.Tensor:
            node = Node("identity", residual=residual)
            student = make(Genome(width=16, embedding_width=8, nodes=(node,)))
            embedded = student.embedding(ids, ids.bool(), None)
            return student.nodes[0]([embedded], ids.bool()), embedded, student.nodes[0].norm

        ids = torch.randint(1, 60, (2, 5))
        with torch.no_grad():
            plain, embedded, norm = states(False)
            torch.testing.assert_close(plain, norm(embedded))
            added, embedded, norm = states(True)
            torch.testing.assert_close(added, embedded + norm(embedded))


class TestSaving:
    @pytest.mark.parametrize("name", templates.ALL)
    def test_round_trip(self, name: str, tmp_path: Path, tokenizer: Any) -> None:
        student = make(templates.ALL[name](), vocab_size=len(tokenizer), num_labels=3)
        student.tokenizer = tokenizer
        student.save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").exists()
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert type(loaded) is StudentForSequenceClassification
        ids = torch.randint(1, len(tokenizer), (2, 7))
        assert torch.equal(loaded(ids).logits, student(ids).logits)
        assert loaded.tokenizer("a good film").input_ids == tokenizer("a good film").input_ids
        assert loaded.config.architecture == templates.ALL[name]()

    def test_loads_in_a_new_process_after_import(
        self, fresh_python: FreshPython, tmp_path: Path
    ) -> None:
        make(templates.text_cnn(width=16, embedding_width=8)).save_pretrained(tmp_path)
        code = (
            "import rosearch, sys\n"
            "from transformers import AutoModelForSequenceClassification as Auto\n"
            "print(type(Auto.from_pretrained(sys.argv[1])).__name__)"
        )
        out = fresh_python.run("-c", code, tmp_path, check=True)
        assert out.stdout.strip() == "StudentForSequenceClassification"

    def test_configuration_is_readable(self, tmp_path: Path) -> None:
        make(templates.bigru(width=16, embedding_width=8)).save_pretrained(tmp_path)
        values = json.loads((tmp_path / "config.json").read_text())
        assert values["model_type"] == StudentConfig.model_type
        assert values["genome"]["nodes"][0]["operator"] == "bidirectional_gru"

    def test_bad_genome_in_a_configuration_is_refused(self) -> None:
        with pytest.raises(GenomeError, match="width must be a whole number from 1, got 0"):
            StudentConfig({"width": 0, "embedding_width": 8})
