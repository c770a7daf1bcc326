"""Genome in, evaluation out: distil, then attack."""

from rosearch.pipeline.pipeline import Pipeline
from rosearch.pipeline.rungs import Rung

__all__ = ["Pipeline", "Rung"]
