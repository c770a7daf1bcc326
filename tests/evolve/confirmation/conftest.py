"""A finished search to confirm."""

from __future__ import annotations

import pytest

from rosearch.evolve import Evolver
from tests.evolve.evaluations import FITNESS, SPACE, Log, synthetic


@pytest.fixture(scope="module")
def search():
    return Evolver(SPACE, synthetic, FITNESS, population=4).run(10, progress=False)


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log")
