"""Helpers of the tests of confirmations."""

from __future__ import annotations

import json

from rosearch.evolve.confirmation.confirm import confirm
from tests.evolve.evaluations import Log, synthetic


def quiet(*args, **kwargs):
    return confirm(*args, progress=False, **kwargs)


def figures(confirmation):
    return [(c.name, r.seed, r.metrics, r.failure) for c in confirmation.candidates for r in c.runs]


def stored(path):
    return json.loads(path.read_text())["runs"] if path.exists() else []


def in_file(path):
    return [(row["seed"], (row["failure"] or {}).get("kind")) for row in stored(path)]


class Attacking(Log):
    """As ``Log``, with settings like those of a Pipeline."""

    def __init__(self, path, data, examples):
        super().__init__(path)
        attacker = {"attacks": [{"name": "pwws"}], "data": data, "examples": examples}
        self.settings = {"attacker": attacker, "length": 32}


class Sometimes:
    """Fails with one seed."""

    def __init__(self, bad):
        self.bad = bad

    def __call__(self, genome, *, seed):
        if seed in self.bad:
            raise RuntimeError(f"out of luck with {seed}")
        return synthetic(genome, seed=seed)
