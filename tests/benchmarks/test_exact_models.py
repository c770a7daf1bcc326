"""The worst combinations of models whose worst case is exact, beside all combinations."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import pytest
import torch
from torch import nn


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend("benchmarks")
    return importlib.import_module("exact_models")


def texts(module: Any, count: int) -> Any:
    """Random texts of two to five words, each with up to three forms of up to three tokens."""
    forms = [torch.randint(1, 40, (int(torch.randint(1, 4, ())),)) for _ in range(60)]
    chains = []
    for _ in range(count):
        words = [torch.randint(0, 60, (int(torch.randint(1, 4, ())),)) for _ in range(2, 6)]
        words = words[: int(torch.randint(2, 5, ()))]
        chains.append(nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=-1))
    lengths = torch.tensor([len(form) for form in forms])
    padded = nn.utils.rnn.pad_sequence(forms, batch_first=True)
    return module.Texts(padded, lengths, chains, torch.rand(count))


def all_rows(module: Any, found: Any, k: int) -> list[torch.Tensor]:
    options = [[int(form) for form in word if form >= 0] for word in found.chains[k]]
    combinations = [torch.tensor(one) for one in itertools.product(*options)]
    rows: list[torch.Tensor] = found.tokens(combinations)
    return rows


@pytest.mark.parametrize("kind", ["sum", "pairs", "attention"])
@torch.no_grad()
def test_no_combination_is_worse(kind: str, module: Any) -> None:
    torch.manual_seed(0)
    vectors = torch.randn(40, 8)
    model = {
        "sum": lambda: module.Model(vectors),
        "pairs": lambda: module.Pairs(vectors, 3, 1.0),
        "attention": lambda: module.Attention(vectors, 1.5),
    }[kind]()
    for parameter in model.parameters():
        parameter.normal_()
    found = texts(module, 30)
    for sign in (1.0, -1.0):
        signs = torch.full((30,), sign)
        rows = module.worst_rows(model, found, list(range(30)), signs)
        margins = sign * model.margins(rows)
        for k in range(30):
            least = (sign * model.margins(all_rows(module, found, k))).min()
            assert margins[k] == pytest.approx(float(least), abs=1e-4)
    together = model.margins(module.originals(found, list(range(30))))
    alone = [float(model.margins(module.originals(found, [k]))) for k in range(30)]
    assert together.tolist() == pytest.approx(alone, abs=1e-4)


def test_training_makes_texts_withstand(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(module, "OWN", 0.01)
    found = texts(module, 64)
    labels = (found.answers > 0.5).long().numpy()
    model = module.Model(torch.randn(40, 8))
    before = module.shares(model, found, labels)
    module.fit(model, found)
    after = module.shares(model, found, labels)
    assert after["accuracy"] >= after["withstand"] > before["withstand"]
    assert after["withstand"] >= after["worst_class"]


def test_the_committed_table(module: Any) -> None:
    head, *rows = module.table()
    assert [row[0] for row in rows] == [name for name, _ in module.models(torch.randn(9, 4))]
    assert all(len(row) == len(head) for row in rows)
