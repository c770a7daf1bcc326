"""What a student's folder knows of its making and its rates."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import rosearch as rs
from rosearch.errors import DataError
from rosearch.space import templates
from rosearch.student import StudentConfig, StudentForSequenceClassification, StudentRecord
from rosearch.versions import versions


@pytest.fixture(scope="module")
def student(tokenizer: Any) -> StudentForSequenceClassification:
    torch.manual_seed(0)
    config = StudentConfig(
        templates.text_cnn(width=16, embedding_width=8),
        vocab_size=len(tokenizer), max_position_embeddings=24,
    )  # fmt: skip
    made = StudentForSequenceClassification(config).eval()
    made.tokenizer = tokenizer
    return made


@pytest.fixture(scope="module")
def report(student: Any, dataset: Any) -> rs.RobustnessReport:
    attacks = ["deepwordbug", "pruthi"]
    evaluator = rs.RobustnessEvaluator(
        attacks, dataset, examples=8, query_budget=10, progress=False
    )
    return evaluator.evaluate(student)


def test_rates_are_those_of_the_report(report: Any, dataset: Any) -> None:
    record = StudentRecord().attacked(report, "dev")
    names = [rates.attack for rates in record.attacks]
    assert names == ["deepwordbug", "pruthi", "all together"]
    for rates, part in zip(record.attacks, [*report.attacks.values(), report], strict=True):
        assert rates.accuracy_under_attack == part.accuracy_under_attack
        assert (rates.low, rates.high) == part.accuracy_under_attack_interval
        assert rates.worst_class_under_attack == part.worst_class()
        assert rates.worst_class in dataset.classes
    assert record.attacks[0].settings["name"] == "deepwordbug"
    assert record.attacks[0].settings["query_budget"] == 10
    assert record.attacks[2].settings == {}


def test_later_rates_take_the_place_of_earlier_ones_on_such_texts(report: Any) -> None:
    record = StudentRecord().attacked(report, "dev").attacked(report, "test")
    assert len(record.attacks) == 6
    assert len(record.attacked(report, "dev").attacks) == 6
    assert StudentRecord().measured(0.5, "dev").measured(0.6, "dev").accuracy == {"dev": 0.6}


def test_is_saved_and_loaded_with_the_student(student: Any, report: Any, tmp_path: Path) -> None:
    found = SimpleNamespace(mean={"accuracy": 0.5}, std={"accuracy": 0.1}, runs=(1, 2), failures=())
    student.record = StudentRecord().measured(0.5, "test").attacked(report, "dev").repeated(found)
    student.save_pretrained(tmp_path, picture=False)
    loaded = StudentForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.record == student.record
    assert loaded.record.repeats["runs"] == 2
    student.record = StudentRecord()
    student.save_pretrained(tmp_path, picture=False)
    assert StudentForSequenceClassification.from_pretrained(tmp_path).record == StudentRecord()


@pytest.mark.parametrize("text", ["", "[]", '{"attacks": [{}]}', '{"attacks": [], "other": 1}'])
def test_what_is_no_record(text: str, student: Any, tmp_path: Path) -> None:
    student.save_pretrained(tmp_path, picture=False)
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(DataError, match="no record of a student"):
        StudentForSequenceClassification.from_pretrained(tmp_path)


def test_a_distiller_and_a_pipeline_fill_it_in(
    teacher_folder: Path, dataset: Any, tmp_path: Path
) -> None:
    teacher = rs.Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path / "cache")
    distiller = rs.Distiller(teacher, dataset, dataset, epochs=1, progress=False)
    attacker = rs.RobustnessEvaluator(
        ["deepwordbug"], dataset, examples=6, query_budget=10, progress=False
    )
    pipeline = rs.Pipeline(distiller, attacker, students=tmp_path / "students")
    genome = templates.text_cnn(width=16, embedding_width=8)
    metrics = pipeline(genome, seed=3)
    record = pipeline.load(genome, seed=3).record
    assert record.accuracy == {"dev": metrics["accuracy"]}
    assert record.training["seed"] == 3
    assert record.training["settings"] == json.loads(json.dumps(distiller.settings))
    assert record.teacher["parameters"] == teacher.parameters
    assert [rates.attack for rates in record.attacks] == ["deepwordbug"]
    assert record.versions == versions()
