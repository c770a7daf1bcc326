"""AdamW for embedding tables of which a step reads a few rows only.

A token table holds most of a small student's parameters. A dense gradient of it, its norm and its
update cost more than many a student's own computation, though a batch reads a few hundred rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

LEAST_ROWS = 1000
"""Rows of a table below which a dense update costs nothing worth saving."""

_PERIOD = 1024
"""Steps after which all rows are brought up to date, so that the books stay short."""

_REACH = 256
"""Steps after which a skipped row's own momentum moves it no more: ``(b1 / sqrt(b2))^256 < 1e-11``
for the usual betas."""


def lazy_tables(model: nn.Module) -> list[nn.Embedding]:
    """The embeddings of a model whose rows may wait: large, trained, not shared, on a CPU.

    A subclass that reads its table in a way of its own is left out: it may give no sparse gradient.
    """
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        and type(module).forward is nn.Embedding.forward
        and module.num_embeddings >= LEAST_ROWS
        and module.weight.requires_grad
        and module.weight.device.type == "cpu"
        and owners[id(module.weight)] == 1
        and module.max_norm is None
        and not module.scale_grad_by_freq
    ]


class LazyEmbeddings:
    """AdamW (Loshchilov and Hutter 2019, algorithm 2) that lets rows wait until they are read.

    A row without a gradient still moves under AdamW: its weight decays, its moments ``m`` and ``v``
    decay, and what is left of its momentum pushes it on. ``torch.optim.SparseAdam`` and
    TensorFlow's LazyAdam leave these moves out. Here they are made up for, all at once, when the
    row is next read. With ``d_s = 1 - lr_s wd`` and
    ``c_s = lr_s sqrt(1 - b2^s) / (1 - b1^s)``, a row last updated at step ``a`` is at step ``b``::

        w_b = w_a prod_s d_s - m_a / sqrt(v_a) sum_s c_s (b1 / sqrt(b2))^(s - a) prod_(u > s) d_u

    with ``s`` from ``a + 1`` to ``b``. The sum and the product depend on ``a`` and ``b`` alone, so
    they are kept as two numbers for every ``a``. The result is dense AdamW's up to rounding and the
    place of epsilon, which is added to ``sqrt(v_a)`` instead of to each ``sqrt(v_s)``.

    While :meth:`attached`, the tables give sparse gradients, and a hook brings the rows of a batch
    up to date before they are read. A table whose weight is read in another way than by calling the
    embedding gets a dense gradient, and then all its rows are updated.

    Args:
        tables: The embeddings, on the CPU.
        weight_decay: AdamW's.
        betas: AdamW's.
        eps: AdamW's.
    """

    def __init__(
        self,
        tables: Sequence[nn.Embedding],
        *,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.tables = tuple(tables)
        self.weight_decay = weight_decay
        self.betas = betas
        self.eps = eps
        self._moments = [
            (torch.zeros_like(t.weight.detach()), torch.zeros_like(t.weight.detach()))
            for t in self.tables
        ]
        # Whether a row ever had a gradient.
        self._moved = [torch.zeros(t.num_embeddings, dtype=torch.bool) for t in self.tables]
        # The step of each row's last update, counted from the last flush.
        self._last = [torch.zeros(t.num_embeddings, dtype=torch.long) for t in self.tables]
        self._total = 0
        self._since = 0
        self._shrunk = np.ones(_PERIOD + 1)
        self._carried = np.zeros(_PERIOD + 1)
        self._powers = (betas[0] / betas[1] ** 0.5) ** np.arange(_REACH, 0, -1.0)
        self._lock = threading.Lock()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Sparse gradients, and rows brought up to date before they are read in train mode."""
        before = [table.sparse for table in self.tables]
        hooks = []
        for number, table in enumerate(self.tables):
            table.sparse = True
            hooks.append(table.register_forward_pre_hook(self._hook(number)))
        try:
            yield
        finally:
            for hook, table, sparse in zip(hooks, self.tables, before, strict=True):
                hook.remove()
                table.sparse = sparse

    def _hook(self, number: int) -> Any:
        def bring_up_to_date(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if module.training and self._since:
                with self._lock:
                    self._catch_up(number, torch.unique(inputs[0]))

        return bring_up_to_date

    def gradients(self) -> list[torch.Tensor]:
        """What counts for the norm of the gradient: values of rows, one sum for each row."""
        found = []
        for table in self.tables:
            gradient = table.weight.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                table.weight.grad = gradient = gradient.coalesce()
                gradient = gradient.values()
            found.append(gradient)
        return found

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update the rows that have a gradient.

        Args:
            rate: Learning rate of this step.
        """
        for number, table in enumerate(self.tables):
            if table.weight.grad is not None:
                self._catch_up(number, self._touched(table.weight.grad))
        self._count(rate)
        beta1, beta2 = self.betas
        root = (1 - beta2**self._total) ** 0.5
        size = rate * root / (1 - beta1**self._total)
        for number, table in enumerate(self.tables):
            gradient = table.weight.grad
            if gradient is None:
                continue
            rows = self._touched(gradient)
            values = gradient.coalesce().values() if gradient.is_sparse else gradient
            first, second = self._moments[number]
            m = first.index_select(0, rows).mul_(beta1).add_(values, alpha=1 - beta1)
            v = second.index_select(0, rows).mul_(beta2)
            v.addcmul_(values, values, value=1 - beta2)
            w = table.weight.index_select(0, rows).mul_(1 - rate * self.weight_decay)
            w.addcdiv_(m, v.sqrt().add_(self.eps * root), value=-size)
            for whole, part in ((first, m), (second, v), (table.weight, w)):
                whole.index_copy_(0, rows, part)
            self._last[number][rows] = self._since
            self._moved[number][rows] = True
        if self._since == _PERIOD:
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Bring all rows of all tables up to date."""
        for number, last in enumerate(self._last):
            # Rows that never had a gradient have no momentum; most are such, and only decay.
            self._catch_up(number, self._moved[number].nonzero().flatten())
            waiting = self._shrunk[last.numpy()]
            weight = self.tables[number].weight
            weight.mul_(torch.from_numpy(waiting).to(weight.dtype).unsqueeze(1))
            last.zero_()
        self._since = 0
        self._shrunk[:] = 1.0
        self._carried[:] = 0.0

    def _count(self, rate: float) -> None:
        # The sum and the product of the class's docstring, for every step a row may be left at.
        self._total += 1
        self._since += 1
        beta1, beta2 = self.betas
        factor = 1 - rate * self.weight_decay
        size = rate * (1 - beta2**self._total) ** 0.5 / (1 - beta1**self._total)
        self._shrunk[: self._since] *= factor
        self._carried[: self._since] *= factor
        start = max(0, self._since - _REACH)
        self._carried[start : self._since] += size * self._powers[start - self._since :]

    @torch.no_grad()
    def _catch_up(self, number: int, rows: torch.Tensor) -> None:
        last = self._last[number]
        rows = rows[last[rows] < self._since]
        if not len(rows):
            return
        left = last[rows].numpy()
        beta1, beta2 = self.betas
        gap = self._since - left

        weight = self.tables[number].weight

        def column(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values).to(weight.dtype).unsqueeze(1)

        first, second = self._moments[number]
        m, v = first.index_select(0, rows), second.index_select(0, rows)
        # Most of the push is of the first ten steps, so epsilon is scaled as in their middle.
        middle = self._total - self._since + np.minimum(left + 5, self._since)
        push = v.sqrt().add_(column(self.eps * (1 - beta2**middle) ** 0.5)).reciprocal_().mul_(m)
        shrunk, carried = column(self._shrunk[left]), column(self._carried[left])
        w = weight.index_select(0, rows).mul_(shrunk).addcmul_(push, carried, value=-1)
        weight.index_copy_(0, rows, w)
        first.index_copy_(0, rows, m.mul_(column(beta1**gap)))
        second.index_copy_(0, rows, v.mul_(column(beta2**gap)))
        last[rows] = self._since

    @staticmethod
    def _touched(gradient: torch.Tensor) -> torch.Tensor:
        if gradient.is_sparse:
            return gradient.coalesce().indices()[0]
        return torch.arange(len(gradient))

    def state(self) -> dict[torch.Tensor, dict[str, torch.Tensor]]:
        """What ``torch.optim.AdamW`` would hold of each table, all rows brought up to date."""
        self.flush()
        step = torch.tensor(float(self._total))
        return {
            table.weight: {"step": step, "exp_avg": first, "exp_avg_sq": second}
            for table, (first, second) in zip(self.tables, self._moments, strict=True)
        }

    def load(self, state: Mapping[torch.Tensor, Mapping[str, torch.Tensor]]) -> None:
        """Go on from what :meth:`state`, or AdamW, gave; it may tell of more than the tables."""
        self.flush()
        for number, (first, second) in enumerate(self._moments):
            found = state.get(self.tables[number].weight)
            if found is None:
                continue  # AdamW holds nothing of a table that had no gradient
            self._total = int(found["step"])
            first.copy_(found["exp_avg"])
            second.copy_(found["exp_avg_sq"])
            # Where every square was rounded to zero the momentum pushes nowhere.
            self._moved[number] = (second != 0).any(dim=1)
