"""The gradients of worst margins, against those of PyTorch's minimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rosearch.distill.robust.worst_margins import Sums, Worst
from rosearch.tokens import TokenizedText, WordChoices
from tests.distill.robust.test_word_perturbation import flat
from tests.distill.robust.test_worst_case import VOCABULARY, random_texts


def reference(
    table: torch.Tensor, rows: list[TokenizedText], labels: np.ndarray, choices: WordChoices
) -> torch.Tensor:
    """Slot by slot: each takes the least that one of its choices leaves of each margin."""
    found = []
    for text, (row, label) in enumerate(zip(rows, labels.tolist(), strict=True)):
        logits = table[list(row.ids)].sum(dim=0)
        margins = logits[label] - logits
        for slot in range(choices.first_slots[text], choices.first_slots[text + 1]):
            of_choices = []
            for choice in range(choices.first_choices[slot], choices.first_choices[slot + 1]):
                ids = choices.ids[choices.first_ids[choice] : choices.first_ids[choice + 1]]
                sums = table[ids.tolist()].sum(dim=0)
                of_choices.append(sums[label] - sums)
            each = torch.stack(of_choices)
            margins = margins + each.amin(dim=0) - each[0]
        found.append(margins)
    return torch.stack(found)


@pytest.mark.parametrize("classes", [2, 3])
def test_texts_without_slots_keep_their_margins(classes: int) -> None:
    rows = [TokenizedText((1, 2), None), TokenizedText((3,), None)]
    choices, labels = flat([row.ids for row in rows], [[], []]), np.array([0, 1])
    scopes = [np.zeros(len(row.ids), dtype=np.int64) for row in rows]
    device = torch.device("cpu")
    table = torch.randn(VOCABULARY, classes, generator=torch.Generator().manual_seed(0))
    table.requires_grad_()
    worst = Worst(choices, scopes, 1, classes, labels, device)
    margins = worst(table, Sums(rows, scopes, 1, device)(table))
    torch.testing.assert_close(margins, reference(table, rows, labels, choices))
    margins.sum().backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_values_and_gradients(classes: int, scale: float) -> None:
    for seed in range(20):
        rows, _, choices = random_texts(seed)
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, classes, len(rows))
        # Whole numbers tie often, and all of them at the start, where scores are zero.
        drawn = scale * rng.integers(-2, 3, (VOCABULARY, classes))
        weights = torch.from_numpy(rng.normal(size=(len(rows), classes)))
        gradients = []
        values = []
        for is_fast in (False, True):
            table = torch.from_numpy(drawn.astype(np.float64)).requires_grad_()
            if is_fast:
                scopes = [np.zeros(len(row.ids), dtype=np.int64) for row in rows]
                device = torch.device("cpu")
                worst = Worst(choices, scopes, 1, classes, labels, device)
                margins = worst(table, Sums(rows, scopes, 1, device)(table))
            else:
                margins = reference(table, rows, labels, choices)
            (margins * weights).sum().backward()  # type: ignore[no-untyped-call]
            assert table.grad is not None
            gradients.append(table.grad)
            values.append(margins.detach())
        torch.testing.assert_close(values[1], values[0])
        torch.testing.assert_close(gradients[1], gradients[0])
