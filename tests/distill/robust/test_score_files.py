"""Fitted token scores in the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher, WorstCase, tensor_files
from rosearch.distill.robust.score_files import fit_cached
from rosearch.operators import TokenScores
from rosearch.space import templates
from tests.distill.robust.test_worst_case import VOCABULARY, random_texts

SETTINGS = WorstCase(weight=0.3, steps=20)


class Given:
    """Something to fit."""

    def __init__(self, seed: int = 0) -> None:
        self.rows, _, self.choices = random_texts(seed, count=12)
        rng = np.random.default_rng(seed)
        self.answers = rng.normal(size=(len(self.rows), 2)).astype(np.float32)
        self.vectors = rng.normal(size=(VOCABULARY, 4)).astype(np.float32)

    def fit(
        self, folder: Path, settings: WorstCase = SETTINGS, scores: TokenScores | None = None
    ) -> tuple[float, torch.Tensor]:
        """The loss, and the scores with the bias behind them."""
        scores = scores or TokenScores(VOCABULARY, 2, padding=0)
        parts = self.rows, self.answers, self.choices, self.vectors
        loss = fit_cached(settings, scores, *parts, cache_dir=folder)
        return loss, torch.cat([scores.tokens.weight.flatten(), scores.bias]).detach()


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that scores are fitted."""
    calls: list[int] = []
    fit = WorstCase.fit

    def counted(self: WorstCase, *args: Any) -> float:
        calls.append(1)
        return fit(self, *args)

    monkeypatch.setattr(WorstCase, "fit", counted)
    return calls


def files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.safetensors"))


def test_are_fitted_once(tmp_path: Path, fits: list[int]) -> None:
    loss, weight = Given().fit(tmp_path)
    again, same = Given().fit(tmp_path)
    assert (loss, weight.tolist()) == (again, same.tolist())
    assert weight.abs().sum() > 0
    assert len(fits) == 1
    # How they learn on is no matter of the fit.
    Given().fit(tmp_path, replace(SETTINGS, joint=True))
    assert len(fits) == 1


def test_whatever_they_depend_on_makes_others(tmp_path: Path, fits: list[int]) -> None:
    Given().fit(tmp_path)
    Given().fit(tmp_path, replace(SETTINGS, weight=0.2))
    Given().fit(tmp_path, scores=TokenScores(VOCABULARY, 2))
    Given().fit(tmp_path, scores=TokenScores(VOCABULARY, 2, padding=0, cues=[(3, 1)]))
    Given(1).fit(tmp_path)
    for name in ("answers", "vectors"):
        other = Given()
        setattr(other, name, getattr(other, name) + 1)
        other.fit(tmp_path)
    other = Given()
    other.choices = replace(other.choices, ids=other.choices.ids % (VOCABULARY - 1) + 1)
    other.fit(tmp_path)
    assert len(fits) == len(files(tmp_path)) == 8


def test_a_damaged_file_is_made_again(tmp_path: Path, fits: list[int]) -> None:
    loss, weight = Given().fit(tmp_path)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again, same = Given().fit(tmp_path)
    assert (loss, weight.tolist()) == (again, same.tolist())
    assert len(fits) == 2


def test_a_full_disk_does_not_end_the_training(
    tmp_path: Path, fits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    assert Given().fit(tmp_path)[0] == Given().fit(tmp_path)[0]
    assert len(fits) == 2
    assert files(tmp_path) == []


def test_distillers_of_one_cache_fit_once(
    teacher_folder: Path, dataset: TextDataset, tmp_path: Path, fits: list[int]
) -> None:
    found = []
    for folder in ("a", "a", "b"):
        teacher = Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path / folder)
        distiller = Distiller(teacher, dataset, dataset, progress=False, device="cpu")
        student = distiller.distill(templates.additive()).student
        assert student.token_scores is not None
        found.append((len(fits), student.token_scores.tokens.weight))
    assert [count for count, _ in found] == [1, 1, 2]
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][1].abs().sum() > 0


def test_where_nothing_can_be_written_they_are_fitted(tmp_path: Path, fits: list[int]) -> None:
    (tmp_path / "scores").write_text("no folder")
    first = Given().fit(tmp_path)
    second = Given().fit(tmp_path)
    assert first[1].tolist() == second[1].tolist()
    assert len(fits) == 2
