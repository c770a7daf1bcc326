"""Test suites for plug-ins: subclass one in a pytest module and name the plug-in."""

from rosearch.attack.testing import AttackConformance
from rosearch.encode.testing import EncodingConformance
from rosearch.evolve.testing import StrategySuite
from rosearch.operators.inputs.testing import EmbeddingConformance
from rosearch.operators.testing import OperatorConformance

__all__ = [
    "AttackConformance",
    "EmbeddingConformance",
    "EncodingConformance",
    "OperatorConformance",
    "StrategySuite",
]
