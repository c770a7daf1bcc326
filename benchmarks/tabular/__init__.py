"""A tabular benchmark: searches over students that were trained and attacked beforehand."""

from tabular.evaluation import TabularEvaluation
from tabular.space import TabularSpace, distances
from tabular.table import Table, load

__all__ = ["Table", "TabularEvaluation", "TabularSpace", "distances", "load"]
