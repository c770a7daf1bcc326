"""An evaluation that looks up the metrics of a genome."""

from __future__ import annotations

from typing import Any

from rosearch.space import Genome
from tabular.table import Table

_COSTS = ("parameters", "compression", "flops")


class TabularEvaluation:
    """The metrics of a genome of the table, measured when the table was made.

    ``seconds`` is the duration of that training and attack, so that searches can be compared by
    the time that they would have taken.

    Attributes:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    @property
    def rungs(self) -> int:
        """Number of rungs."""
        return len(self.table.rungs)

    @property
    def settings(self) -> dict[str, Any]:
        """Identity of the table."""
        return {"table": self.table.fingerprint}

    def __call__(self, genome: Genome, *, seed: int, rung: int | None = None) -> dict[str, float]:
        """The metrics at ``rung``, or at the last one; ``seconds`` includes the rungs below.

        Args:
            genome: A genome of the table.
            seed: Not used: each genome has one row of metrics for each rung.
            rung: From 0.

        Raises:
            DataError: The genome or the rung is not in the table.
        """
        return self.table.metrics(genome, rung=rung)

    def cost(self, genome: Genome) -> dict[str, float]:
        """Those of parameters, compression and FLOPs that the table has."""
        metrics = self.table.metrics(genome)
        return {name: metrics[name] for name in _COSTS if name in metrics}

    def __repr__(self) -> str:
        return f"TabularEvaluation({len(self.table)} genomes, {self.rungs} rungs)"
