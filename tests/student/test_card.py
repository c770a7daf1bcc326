"""Model cards: what stands in them, and what the Hub reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from rosearch.space import templates
from rosearch.student import (
    AttackRates,
    StudentConfig,
    StudentForSequenceClassification,
    StudentRecord,
)

RECORD = StudentRecord(
    teacher={"name": "some/bert", "hub_name": "some/bert", "parameters": 10**6, "accuracy": 0.9},
    training={"texts": 3000, "dev_texts": 500, "seed": 7, "settings": {"epochs": 5}},
    accuracy={"dev": 0.85, "test": 0.8},
    attacks=(
        AttackRates("pwws", "test", 200, 0.8, 0.6, 0.53, 0.66, "weak", 0.4, {"max_changed": 0.25}),
    ),
    repeats={"runs": 3, "mean": {"accuracy": 0.81}, "std": {"accuracy": 0.02}},
    versions={"rosearch": "0.1", "torch": "2.13"},
)


@pytest.fixture
def student(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    genome = templates.text_cnn(width=16, embedding_width=8)
    config = StudentConfig(genome, vocab_size=len(tokenizer), max_position_embeddings=24)
    made = StudentForSequenceClassification(config)
    made.tokenizer = tokenizer
    return made


def test_says_how_it_was_made_and_how_good_it_is(student: Any, tmp_path: Path) -> None:
    student.record = RECORD
    student.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    size = student.num_parameters()
    for part in (
        f"{size:,} parameters, {10**6 / size:.1f} times fewer than its teacher",
        "Distilled from some/bert (1,000,000 parameters, 90.0% right on dev) on 3,000 texts",
        "Seed 7; rosearch 0.1, torch 2.13.",
        "| accuracy | test | 80.0% | | |",
        "| under pwws | 200 of test | 60.0% | 53.0% to 66.0% | weak: 40.0% |",
        "Trained again, with other seeds (3): accuracy 81.0% ± 2.0%.",
        '"max_changed": 0.25',
        f"```\n{student.config.architecture}\n```",
        "![The architecture](genome.png)",
    ):
        assert part in card
    assert (tmp_path / "genome.png").read_bytes().startswith(b"\x89PNG")


def test_the_hub_reads_its_metadata(student: Any, tmp_path: Path) -> None:
    student.record = RECORD
    student.save_pretrained(tmp_path, picture=False)
    text = (tmp_path / "README.md").read_text()
    data = ModelCard(text).data
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert data.base_model == "some/bert"
    assert data.license is None
    assert "\n# license: " in text.split("---")[1]
    rates = {result.metric_name: result.metric_value for result in data.eval_results}
    assert rates["Accuracy under pwws of 200 texts"] == 0.6
    assert [result.dataset_name for result in data.eval_results] == ["dev", "test", "test"]
    assert "genome.png" not in text


def test_leaves_out_what_is_not_known(student: Any, tmp_path: Path) -> None:
    student.save_pretrained(tmp_path, picture=False)
    card = (tmp_path / "README.md").read_text()
    assert "How it was made" not in card
    assert "How good it is" not in card
    assert ModelCard(card).data.eval_results is None
    student.record = StudentRecord(teacher={"name": "folder", "hub_name": None, "parameters": 9})
    student.save_pretrained(tmp_path, picture=False)
    assert ModelCard((tmp_path / "README.md").read_text()).data.base_model is None
