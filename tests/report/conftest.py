"""What the tests of reports share."""

from __future__ import annotations

import pytest

import rosearch as rs
from tests.space.encodings import registered


@pytest.fixture
def encodings():
    """The encodings of :mod:`tests.space.encodings` are registered."""
    with registered():
        yield


class Gap(rs.FitnessTerm):
    """What an attack takes away: two metrics combined, in the unit of accuracy."""

    metric = "accuracy"
    direction = "minimize"

    def value(self, metrics):
        return float(metrics["accuracy"] - metrics["accuracy_under_attack"])


class Effort(rs.FitnessTerm):
    """A metric under another name."""

    metric = "mean_queries"
    direction = "maximize"


class Seconds(rs.FitnessTerm):
    """Another value than that of the metric with its name."""

    metric = "seconds"
    direction = "minimize"

    def value(self, metrics):
        return float(metrics["seconds"]) ** 2


@pytest.fixture
def terms():
    """The terms ``gap``, ``effort`` and ``seconds`` are registered."""
    own = {"gap": Gap, "effort": Effort, "seconds": Seconds}
    for name, term in own.items():
        rs.fitness_terms.register(name)(term)
    yield
    for name in own:
        rs.fitness_terms.unregister(name)
