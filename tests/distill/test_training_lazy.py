"""Embedding rows that wait end where dense AdamW would have put them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from rosearch.distill.lazy import LazyEmbeddings, lazy_tables
from rosearch.distill.optimization import Optimization
from rosearch.distill.updates import Updates
from rosearch.operators.smoothing import SmoothedTable
from rosearch.operators.synonyms import CodedTable

ROWS, WIDTH = 1200, 4


class Reader(nn.Module):
    """Means of token vectors, read in one of several ways, and a linear layer."""

    def __init__(self, read: str = "module") -> None:
        super().__init__()
        self.tokens = nn.Embedding(ROWS, WIDTH, padding_idx=0)
        self.linear = nn.Linear(WIDTH, 1)
        self.read = read

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.read == "module":
            vectors = self.tokens(ids)
        elif self.read == "twice":
            vectors = self.tokens(ids) + 0.5 * self.tokens((ids * 7) % ROWS)
        elif self.read == "weight":
            vectors = self.tokens.weight[ids]
        else:
            vectors = self.tokens(ids) + self.tokens.weight[ids]
        out: torch.Tensor = self.linear(vectors.mean(dim=1))
        return out


def settings(**changes: object) -> Optimization:
    return Optimization(
        **{"learning_rate": 1e-2, "weight_decay": 0.1, "clip": 1.0, **changes}  # type: ignore[arg-type]
    )


def loss(model: Reader, ids: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    # Targets out of reach: near a minimum AdamW would make much of rounding errors.
    target = 9.0 * torch.randint(2, (len(ids), 1), generator=draw) - 4.0
    return (model(ids) - target).square().mean()


def trained(
    updates: str,
    *,
    read: str = "module",
    steps: int = 60,
    pieces: int = 1,
    between: Callable[[Updates], None] = lambda updates: None,
) -> Reader:
    torch.manual_seed(0)
    model = Reader(read).double().train()
    draw = torch.Generator().manual_seed(1)
    made = Updates(model, nn.Module(), settings(embedding_updates=updates))
    with made.attached():
        for step in range(steps):
            for _ in range(pieces):
                # Few rows come often and most seldom, as words do.
                ids = (torch.rand(6, 5, generator=draw) ** 4 * ROWS).long()
                (loss(model, ids, draw) / pieces).backward()
            made.step(1e-2 * (1 - step / steps))
            between(made)
    made.flush()
    return model


@pytest.mark.parametrize("read", ["module", "twice", "weight", "mixed"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_as_dense_adamw(read: str, pieces: int) -> None:
    dense = trained("dense", read=read, pieces=pieces).state_dict()
    lazy = trained("lazy", read=read, pieces=pieces).state_dict()
    for name, value in dense.items():
        torch.testing.assert_close(lazy[name], value, rtol=0, atol=1e-6)


def test_as_torch_s_own_adamw_with_clipping() -> None:
    torch.manual_seed(0)
    model = Reader().double().train()
    optimizer = torch.optim.AdamW(
        [
            {"params": [model.tokens.weight, model.linear.weight], "weight_decay": 0.1},
            {"params": [model.linear.bias], "weight_decay": 0.0},
        ]
    )
    draw = torch.Generator().manual_seed(1)
    for step in range(60):
        ids = (torch.rand(6, 5, generator=draw) ** 4 * ROWS).long()
        optimizer.zero_grad()
        loss(model, ids, draw).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 60)
        optimizer.step()
    for updates in ("lazy", "dense"):
        for name, value in trained(updates).state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=1e-6)


def test_flushes_on_the_way_change_nothing() -> None:
    plain = trained("lazy").state_dict()
    flushed = trained("lazy", between=Updates.flush).state_dict()
    for name, value in plain.items():
        torch.testing.assert_close(flushed[name], value, rtol=0, atol=1e-6)


def test_more_steps_than_a_period() -> None:
    dense = trained("dense", steps=1100).state_dict()
    lazy = trained("lazy", steps=1100).state_dict()
    for name, value in dense.items():
        torch.testing.assert_close(lazy[name], value, rtol=0, atol=1e-4)


def test_rows_that_wait_are_not_touched() -> None:
    model = Reader().train()
    before = model.tokens.weight.detach().clone()
    made = Updates(model, nn.Module(), settings(embedding_updates="lazy"))
    with made.attached():
        model(torch.tensor([[1, 2]])).sum().backward()
        assert model.tokens.weight.grad is not None
        assert model.tokens.weight.grad.is_sparse
        made.step(1e-2)
        changed = (model.tokens.weight != before).any(dim=1)
        assert changed.nonzero().flatten().tolist() == [1, 2]
        made.flush()
    assert torch.allclose(model.tokens.weight[3], before[3] * (1 - 1e-2 * 0.1))
    assert not model.tokens.sparse
    assert not model.tokens._forward_pre_hooks
    assert all(p.grad is None for p in model.parameters())


def test_which_tables_wait() -> None:
    model = nn.ModuleDict(
        {
            "large": nn.Embedding(ROWS, 2),
            "small": nn.Embedding(10, 2),
            "fixed": nn.Embedding(ROWS, 2).requires_grad_(requires_grad=False),
            "bounded": nn.Embedding(ROWS, 2, max_norm=1.0),
            "scaled": nn.Embedding(ROWS, 2, scale_grad_by_freq=True),
            "shared": nn.Embedding(ROWS, 2),
            "smoothed": SmoothedTable(ROWS, 2, neighbours=2, padding=0),
            "coded": CodedTable(ROWS, 2, padding=0),
            "output": nn.Linear(2, ROWS),
        }
    )
    model["output"].weight = model["shared"].weight
    assert lazy_tables(model) == [model["large"]]


def test_state_goes_on_exactly() -> None:
    def halves(table: nn.Embedding, *, stop: bool) -> torch.Tensor:
        made = LazyEmbeddings([table], weight_decay=0.1)
        draw = torch.Generator().manual_seed(0)
        for step in range(10):
            if step == 5:
                state = copy.deepcopy(list(made.state().values()))
                if stop:
                    made = LazyEmbeddings([table], weight_decay=0.1)
                    made.load({table.weight: state[0]})
            with made.attached():
                ids = torch.randint(ROWS, (20,), generator=draw)
                table(ids).square().sum().backward()
            made.step(1e-2)
            table.weight.grad = None
        made.flush()
        return table.weight.detach().clone()

    torch.manual_seed(0)
    start = nn.Embedding(ROWS, WIDTH).state_dict()
    results = []
    for stop in (False, True):
        table = nn.Embedding(ROWS, WIDTH)
        table.load_state_dict(start)
        results.append(halves(table, stop=stop))
    assert torch.equal(*results)
