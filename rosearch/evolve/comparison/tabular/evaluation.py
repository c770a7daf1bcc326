"""An evaluation that looks the figures up."""

from __future__ import annotations

from typing import Any

from rosearch.evolve.comparison.tabular.table import Table
from rosearch.space import Genome

_COSTS = ("parameters", "compression", "flops")


class TabularEvaluation:
    """What a genome of the table scored when it was trained and attacked.

    Its ``seconds`` are those of that time, so that searches can be compared by the time that they
    would have taken.

    Args:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    @property
    def rungs(self) -> int:
        """Number of fidelities."""
        return len(self.table.rungs)

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the figures."""
        return {"table": self.table.fingerprint}

    def __call__(self, genome: Genome, *, seed: int, rung: int | None = None) -> dict[str, float]:
        """The metrics at ``rung``, or at the last one; ``seconds`` are of it and all below.

        Args:
            genome: A genome of the table.
            seed: Not used: each genome has one row of figures a rung.
            rung: From 0.

        Raises:
            DataError: The genome or the rung is not in the table.
        """
        return self.table.metrics(genome, rung=rung)

    def cost(self, genome: Genome) -> dict[str, float]:
        """Parameters, compression and FLOPs, as far as the table has them."""
        metrics = self.table.metrics(genome)
        return {name: metrics[name] for name in _COSTS if name in metrics}

    def __repr__(self) -> str:
        return f"TabularEvaluation({len(self.table)} genomes, {self.rungs} rungs)"
