"""Models that do not choose one of several classes are refused wherever they come in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rosearch as rs
from rosearch.attack import FunctionVictim
from rosearch.attack.textattack import wrapper
from rosearch.classifiers import accuracy
from rosearch.cli import main
from rosearch.data import TextDataset, require_one_class
from rosearch.distill import Teacher
from rosearch.errors import DataError
from rosearch.student import StudentConfig, StudentForSequenceClassification

HEADS: dict[str, dict[str, Any]] = {
    "multi-label": {"num_labels": 2, "problem_type": "multi_label_classification"},
    "regression of two scores": {"num_labels": 2, "problem_type": "regression"},
    "regression": {"num_labels": 1, "problem_type": "regression"},
    "one output": {"num_labels": 1},
    "one sigmoid": {"num_labels": 1, "problem_type": "multi_label_classification"},
}
refusal = pytest.raises(
    DataError, match=r"(has problem_type='(multi|reg)|has num_labels=1).*choose one of two or more"
)


@pytest.mark.parametrize("head", HEADS)
class TestRefused:
    def test_models(
        self, head: str, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset
    ) -> None:
        model = tiny_bert(**HEADS[head])
        with refusal:
            Teacher(model, tokenizer)
        evaluator = rs.RobustnessEvaluator("deepwordbug", dataset, examples=3, progress=False)
        with refusal:
            evaluator.evaluate(model, tokenizer)
        with refusal:
            wrapper(model, tokenizer)
        with refusal:
            accuracy(model, dataset, tokenizer)

    def test_folders(
        self,
        head: str,
        tiny_bert: Callable[..., Any],
        tokenizer: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        tiny_bert(**HEADS[head]).save_pretrained(tmp_path / "m")
        tokenizer.save_pretrained(tmp_path / "m")
        with refusal:
            Teacher.from_pretrained(tmp_path / "m")
        (tmp_path / "d.csv").write_text("text,label\na good film,0\na bad film,1\n")
        given = ["--data", str(tmp_path / "d.csv"), "--recipe", "deepwordbug"]
        assert main(["attack", str(tmp_path / "m"), *given]) == 1
        assert "choose one of two or more classes" in capsys.readouterr().err

    def test_students(self, head: str) -> None:
        for genome in (rs.templates.text_cnn(width=16), rs.templates.additive()):
            with refusal:
                StudentForSequenceClassification(
                    StudentConfig(genome, vocab_size=50, **HEADS[head])
                )


def test_a_student_s_loss_is_refused_if_its_configuration_has_changed(tmp_path: Path) -> None:
    student = StudentForSequenceClassification(
        StudentConfig(rs.templates.text_cnn(width=16), vocab_size=50)
    )
    ids = torch.tensor([[2, 9, 3], [2, 8, 3]])
    assert student(ids, labels=torch.tensor([0, 1])).loss > 0
    student.save_pretrained(tmp_path)
    student.config.problem_type = "single_label_classification"
    assert student(ids, labels=torch.tensor([0, 1])).loss > 0
    with refusal:
        StudentForSequenceClassification.from_pretrained(tmp_path, num_labels=1)
    student.config.problem_type = "multi_label_classification"
    with refusal:
        student(ids, labels=torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def test_a_regression_can_be_fine_tuned_into_a_classifier(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    tiny_bert(problem_type="regression").bert.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    data = dataset[:40]
    tuned = Teacher.fine_tune(
        tmp_path / "base", data, data, save_to=tmp_path / "t", epochs=1, progress=False
    )
    assert tuned.num_labels == 2


def test_models_without_a_configuration_are_accepted() -> None:
    require_one_class(None, owner="The model")


def test_a_function_that_returns_probabilities_of_several_labels_is_warned_about() -> None:
    scores = {"a": [0.9, 0.8], "b": [0.1, 0.0]}
    victim = FunctionVictim(lambda texts: [scores[text] for text in texts])
    with pytest.warns(UserWarning, match=r"probabilities of several labels .* return \(1 - p, p\)"):
        victim.probabilities(["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = FunctionVictim(lambda texts: [scores[t] for t in texts], outputs="logits")
        assert np.isfinite(named.probabilities(["a", "b"])).all()
