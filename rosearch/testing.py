"""Tests for plug-ins: subclass a suite in a pytest module and name what it is to test."""

from rosearch.attack.testing import AttackConformance
from rosearch.evolve.testing import StrategySuite
from rosearch.operators.inputs.testing import EmbeddingConformance
from rosearch.operators.testing import OperatorConformance

__all__ = ["AttackConformance", "EmbeddingConformance", "OperatorConformance", "StrategySuite"]
