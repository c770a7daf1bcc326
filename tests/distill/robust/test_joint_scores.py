"""The worst case of a batch beside a graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from rosearch.distill import WorstCase
from rosearch.distill.robust.joint_scores import JointScores, choices_of
from rosearch.distill.robust.worst_margins import worst_margins
from rosearch.distill.training.hooks import Batch
from rosearch.tokens import collate
from tests.distill.robust.test_word_perturbation import flat
from tests.distill.robust.test_worst_case import random_scores, random_texts


@pytest.mark.parametrize("chosen", [[0, 1, 2, 3, 4, 5], [4, 1], [3], [5, 0, 2]])
def test_choices_of_some_texts(chosen: list[int]) -> None:
    rows, texts, choices = random_texts(1)
    wanted = flat([rows[k].ids for k in chosen], [texts[k] for k in chosen])
    found = choices_of(choices, chosen)
    for name in ("first_slots", "starts", "ends", "first_choices", "first_ids", "ids"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


def test_a_batch_without_replaceable_words() -> None:
    rows, texts, _ = random_texts(2)
    choices = flat([row.ids for row in rows], [[], *texts[1:]])
    settings = WorstCase(weight=0.4, joint=True)
    scores = random_scores(2)
    answers = np.random.default_rng(0).normal(size=(len(rows), 2))
    batch = Batch(collate(rows[:1], pad_id=0), rows[:1], np.array([0]))
    student: Any = SimpleNamespace(token_scores=scores)
    found = JointScores(settings, choices, answers, 0.7).accumulate(
        student, batch, 1.0, backward=lambda *_: torch.tensor(0.0), progress=0.0
    )
    wanted = settings.softened(answers[:1], torch.device("cpu"))
    inputs = batch.inputs["input_ids"], batch.inputs["attention_mask"].bool()
    logits = scores(*inputs)
    others = 1 - functional.one_hot(wanted.argmax(dim=1), 2)
    loss = functional.cross_entropy(logits + 0.7 * others, wanted)
    assert found.item() == pytest.approx(0.4 * loss.item(), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_loss_is_that_of_the_worst_margins_less_the_bound(classes: int) -> None:
    rows, _, choices = random_texts(2)
    answers = np.random.default_rng(0).normal(size=(len(rows), classes))
    settings = WorstCase(weight=0.4, joint=True)
    scores = random_scores(classes)
    chosen = [4, 0, 3]
    numbers = np.array([*chosen, len(rows)])  # the last one is of a hook and has no choices
    own = [*(rows[k] for k in chosen), rows[5]]
    batch = Batch(collate(own, pad_id=0), own, numbers)
    shares: list[float] = []

    def backward(_: Batch, share: float) -> torch.Tensor:
        shares.append(share)
        return torch.tensor(10.0)

    hook = JointScores(settings, choices, answers, 0.7)
    student: Any = SimpleNamespace(token_scores=scores)
    found = hook.accumulate(student, batch, 0.5, backward=backward, progress=0.0)
    assert shares == [pytest.approx(0.3)]

    wanted = settings.softened(answers[chosen], torch.device("cpu"))
    labels = wanted.argmax(dim=1)
    margins = torch.from_numpy(worst_margins(scores, rows, [0] * len(rows), choices))
    for place, (k, label) in enumerate(zip(chosen, labels.tolist(), strict=True)):
        whole = worst_margins(scores, rows, [label] * len(rows), choices)
        margins[place] = torch.from_numpy(whole[k])
    others = 1 - functional.one_hot(labels, classes)
    loss = functional.cross_entropy(-(margins[:3] - 0.7 * others), wanted)
    assert float(found) == pytest.approx(10 + 0.5 * 0.4 * 3 / 4 * float(loss), rel=1e-5)
    assert scores.tokens.weight.grad is not None
    assert scores.bias.grad is not None
