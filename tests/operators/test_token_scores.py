from __future__ import annotations

import torch

from rosearch.operators import TokenScores


def test_sums_the_scores_of_real_tokens() -> None:
    scores = TokenScores(10, 3, padding=0)
    assert not scores(torch.tensor([[4, 5]]), torch.ones(1, 2).bool()).any()
    torch.nn.init.normal_(scores.tokens.weight)
    torch.nn.init.normal_(scores.bias)
    table = scores.tokens.weight
    ids = torch.tensor([[4, 4, 7], [5, 9, 9]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    expected = torch.stack([2 * table[4] + table[7], table[5]]) + scores.bias
    torch.testing.assert_close(scores(ids, mask), expected)
