"""Results of a search: statistics of architecture and robustness, plots, and the HTML report."""

from rosearch.report import plots
from rosearch.report.html.report import write_report
from rosearch.report.stats.analysis import statistics
from rosearch.report.stats.records import (
    Effect,
    Enrichment,
    Forest,
    Importance,
    Relation,
    Statistics,
)

__all__ = [
    "Effect",
    "Enrichment",
    "Forest",
    "Importance",
    "Relation",
    "Statistics",
    "plots",
    "statistics",
    "write_report",
]
