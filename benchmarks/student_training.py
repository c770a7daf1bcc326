"""Training steps of a student against the same graph written by hand. Prints one table.

    python benchmarks/student_training.py
    python benchmarks/student_training.py --repeats 3 --batches 4x16

A step is forward, loss, backward and AdamW, in training mode. The peer is one plain PyTorch module:
the same operators, norms, gains, dropout and masks, one line after the other. Both have the same
weights, which is checked by their logits. Their steps alternate and the fastest of each counts.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

from rosearch.space import Genome, Node
from rosearch.student import StudentConfig, StudentForSequenceClassification

WIDTH, INNER, VOCABULARY, POSITIONS, DROPOUT = 128, 128, 30522, 128, 0.1

GENOME = Genome(
    width=WIDTH,
    embedding_width=INNER,
    pooling="mean",
    nodes=(
        Node("attention", {"heads": 4}, inputs=(0,)),
        Node("feed_forward", {"expansion": 2}, inputs=(1,)),
        Node("convolution", {"kernel_size": 3}, inputs=(0,), residual=False),
        Node("separable_convolution", {"kernel_size": 5}, inputs=(2, 3)),
        Node("gated_linear_unit", {"expansion": 1}, inputs=(4,)),
        Node("max_pooling", {"window": 3}, inputs=(3,), residual=False),
        Node("attention", {"heads": 8}, inputs=(5, 6), merge="mean"),
        Node("feed_forward", {"expansion": 4}, inputs=(7,)),
        Node("bidirectional_gru", inputs=(2, 5), residual=False),
        Node("identity", inputs=(8, 9)),
        Node("convolution", {"kernel_size": 5}, inputs=(10,)),
        Node("feed_forward", {"expansion": 2}, inputs=(8, 10, 11), merge="gated"),
    ),
)
"""Twelve nodes: attention, convolution, recurrence, feed-forward; every merge; three branches."""


class Attention(nn.Module):
    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projection_in = nn.Linear(WIDTH, 3 * WIDTH)
        self.projection_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        b, n, w = x.shape
        q, k, v = self.projection_in(x).chunk(3, dim=-1)
        q, k, v = (t.view(b, n, self.heads, w // self.heads).transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.projection_out(out.transpose(1, 2).reshape(b, n, w))


class FeedForward(nn.Module):
    def __init__(self, expansion: int) -> None:
        super().__init__()
        self.expand = nn.Linear(WIDTH, expansion * WIDTH)
        self.contract = nn.Linear(expansion * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.contract(F.gelu(self.expand(x)))


class GatedLinearUnit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Linear(WIDTH, 2 * WIDTH)
        self.contract = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.contract(F.glu(self.expand(x), dim=-1))


class Convolution(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(WIDTH, WIDTH, size, padding=size // 2)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x * mask.unsqueeze(-1)
        return F.gelu(self.convolution(x.transpose(1, 2)).transpose(1, 2))


class SeparableConvolution(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, size, padding=size // 2, groups=WIDTH)
        self.pointwise = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x * mask.unsqueeze(-1)
        return F.gelu(self.pointwise(self.depthwise(x.transpose(1, 2)).transpose(1, 2)))


class MaxPooling(nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x.masked_fill(~mask.unsqueeze(-1), -math.inf).transpose(1, 2)
        out = F.max_pool1d(x, 3, stride=1, padding=1).transpose(1, 2)
        return out.masked_fill(~mask.unsqueeze(-1), 0.0)


class BidirectionalGRU(nn.Module):
    """Packed sequences, as practitioners read padded batches with a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            x, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
        )
        return nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )[0]


class Peer(nn.Module):
    """``GENOME`` by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, INNER, padding_idx=0)
        self.positions = nn.Embedding(POSITIONS, INNER)
        self.types = nn.Embedding(2, INNER)
        self.projection = nn.Linear(INNER, WIDTH)
        self.embedding_norm = nn.LayerNorm(WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(12))
        residual = (0, 1, 3, 4, 6, 7, 9, 10, 11)
        self.gains = nn.ParameterDict({str(k): nn.Parameter(torch.ones(WIDTH)) for k in residual})
        self.operators = nn.ModuleList(
            (
                Attention(4),
                FeedForward(2),
                Convolution(3),
                SeparableConvolution(5),
                GatedLinearUnit(),
                MaxPooling(),
                Attention(8),
                FeedForward(4),
                BidirectionalGRU(),
                nn.Identity(),
                Convolution(5),
                FeedForward(2),
            )
        )
        self.scores = nn.Parameter(torch.zeros(3, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(WIDTH, 2)

    def node(self, k: int, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        normal = self.norms[k](x)
        operator = self.operators[k]
        out = operator(normal) if isinstance(operator, nn.Identity) else operator(normal, mask)
        out = self.dropout(out)
        return x + self.gains[str(k)] * out if str(k) in self.gains else out

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        position = torch.arange(ids.shape[1])
        x = self.tokens(ids) + self.positions(position) + self.types(torch.zeros_like(ids))
        x0 = self.embedding_norm(self.projection(x))
        x1 = self.node(0, x0, mask)
        x2 = self.node(1, x1, mask)
        x3 = self.node(2, x0, mask)
        x4 = self.node(3, x2 + x3, mask)
        x5 = self.node(4, x4, mask)
        x6 = self.node(5, x3, mask)
        x7 = self.node(6, (x5 + x6) / 2, mask)
        x8 = self.node(7, x7, mask)
        x9 = self.node(8, x2 + x5, mask)
        x10 = self.node(9, x8 + x9, mask)
        x11 = self.node(10, x10, mask)
        stacked = torch.stack((x8, x10, x11))
        weights = torch.softmax((stacked * self.scores[:, None, None]).sum(-1), dim=0)
        x12 = self.node(11, (stacked * weights.unsqueeze(-1)).sum(0), mask)
        real = mask.unsqueeze(-1)
        pooled = (x12 * real).sum(1) / real.sum(1)
        return self.classifier(self.dropout(self.norm(pooled)))


def student_of(peer: Peer) -> StudentForSequenceClassification:
    """The genome's student with the peer's weights."""
    config = StudentConfig(
        GENOME, vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, dropout=DROPOUT
    )
    student = StudentForSequenceClassification(config)
    assert GENOME.ordered().key == GENOME.key
    weights = {
        f"embedding.{k}": v
        for k, v in peer.state_dict().items()
        if k.split(".")[0] in ("tokens", "positions", "types", "projection")
    }
    weights |= {f"embedding.norm.{k}": v for k, v in peer.embedding_norm.state_dict().items()}
    weights |= {
        k: v for k, v in peer.state_dict().items() if k.split(".")[0] in ("norm", "classifier")
    }
    # The student numbers its nodes in the genome's canonical order.
    names = {identity: k for k, identity in enumerate(GENOME.identities)}
    for place, identity in enumerate(GENOME.ordered().identities):
        k, prefix = names[identity], f"nodes.{place}."
        weights |= {f"{prefix}norm.{n}": v for n, v in peer.norms[k].state_dict().items()}
        if str(k) in peer.gains:
            weights[f"{prefix}gain"] = peer.gains[str(k)]
        for name, value in peer.operators[k].state_dict().items():
            unit, _, rest = name.partition(".")
            side = "back" if rest.endswith("_reverse") else "ahead"
            name = f"{side}.{rest.removesuffix('_reverse')}" if unit == "gru" else name
            weights[f"{prefix}operator.{name}"] = value
        if k == 11:
            weights[f"{prefix}merge.scores"] = peer.scores
    missing = student.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys, missing
    assert not missing.missing_keys, missing
    return student


def texts(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of similar length, as distillation sorts them: up to an eighth is padding."""
    lengths = torch.randint(length - length // 8, length + 1, (batch, 1))
    lengths[0] = length
    mask = torch.arange(length) < lengths
    return torch.randint(1, VOCABULARY, (batch, length)) * mask, mask, torch.arange(batch) % 2


def measure(batch: int, length: int, *, repeats: int) -> tuple[float, float]:
    """Tokens per second of student and peer."""
    torch.manual_seed(0)
    peer = Peer()
    student = student_of(peer)
    ids, mask, labels = texts(batch, length)
    with torch.no_grad():
        ours = student.eval()(ids, attention_mask=mask).logits
        torch.testing.assert_close(ours, peer.eval()(ids, mask), rtol=1e-4, atol=1e-4)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        logits = model(ids, attention_mask=mask).logits if model is student else model(ids, mask)
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
        return time.perf_counter() - start

    models = [student.train(), peer.train()]
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-4) for model in models]
    best = [math.inf, math.inf]
    for repeat in range(repeats + 2):
        # Whoever is second may find warmer caches, so they take turns.
        for k in (0, 1) if repeat % 2 else (1, 0):
            seconds = step(models[k], optimizers[k])
            if repeat >= 2:
                best[k] = min(best[k], seconds)
    tokens = int(mask.sum())
    return tokens / best[0], tokens / best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", nargs="+", default=["32x32", "32x64", "64x32", "16x128"])
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    print(GENOME)
    print(f"{'batch x length':>15} {'student':>14} {'by hand':>14} {'ratio':>7}   tokens/s")
    for shape in arguments.batches:
        batch, length = map(int, shape.split("x"))
        student, peer = measure(batch, length, repeats=arguments.repeats)
        print(f"{shape:>15} {student:>14.0f} {peer:>14.0f} {student / peer:>7.2f}")


if __name__ == "__main__":
    main()
