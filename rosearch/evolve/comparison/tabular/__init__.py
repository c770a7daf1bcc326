"""A tabular benchmark: searches over students that were trained and attacked beforehand."""

from rosearch.evolve.comparison.tabular.evaluation import TabularEvaluation
from rosearch.evolve.comparison.tabular.space import TabularSpace, distances
from rosearch.evolve.comparison.tabular.table import Table, load

__all__ = ["Table", "TabularEvaluation", "TabularSpace", "distances", "load"]
