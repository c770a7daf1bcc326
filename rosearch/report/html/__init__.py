"""The HTML report."""

from rosearch.report.html.report import write_report

__all__ = ["write_report"]
