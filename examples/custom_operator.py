"""A custom operator, and a student that uses it.

    python examples/custom_operator.py

The operator averages each token with those before it. The script prints a tiny student with its
cost, and samples a search space that contains the operator. Takes seconds.
"""

from __future__ import annotations

import torch

import rosearch as rs
from rosearch.operators import Choice, cost
from rosearch.space import Genome, Node
from rosearch.student import StudentConfig, StudentForSequenceClassification


@rs.operators.register("past_mean")
class PastMean(rs.Operator):
    """A linear map of the mean of each token and those before it, nearer ones counting more."""

    choices = {"fade": Choice(0.5, 0.8, 1.0)}
    family = "mixing"
    source = "this example"

    def __init__(self, width: int, *, fade: float) -> None:
        super().__init__(width)
        self.fade = fade
        self.map = torch.nn.Linear(width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        position = torch.arange(hidden.shape[1], device=hidden.device)
        distance = position.unsqueeze(1) - position
        weight = (self.fade ** distance.clamp(min=0).to(hidden.dtype)).tril()
        # Padding is zero in what it sums, and left out of what it divides by.
        total = (weight * mask.unsqueeze(1)).sum(dim=2, keepdim=True).clamp(min=1e-6)
        out: torch.Tensor = self.map(weight @ hidden / total)
        return out


def main() -> None:
    """Make a student by hand, ask for its answer, then let a space draw others."""
    nodes = (
        Node("past_mean", parameters={"fade": 0.8}),
        Node("feed_forward", inputs=(1,)),
    )
    genome = Genome(width=32, embedding_width=16, nodes=nodes)
    torch.manual_seed(0)
    student = StudentForSequenceClassification(
        StudentConfig(genome, vocab_size=100, max_position_embeddings=64)
    ).eval()
    with torch.no_grad():
        logits = student(torch.randint(1, 100, (2, 9))).logits
    print(f"past_mean at width 32: {cost('past_mean', 32)}")
    print(f"logits of two texts: {[[round(x, 3) for x in row] for row in logits.tolist()]}")
    space = rs.SearchSpace(operators=["past_mean", "attention"], nodes=(2, 4))
    for seed in range(3):
        drawn = space.sample(seed=seed)
        print(f"drawn: {[(node.operator, dict(node.parameters)) for node in drawn.nodes]}")


if __name__ == "__main__":
    main()
