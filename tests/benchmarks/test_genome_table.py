"""The genomes of the table and their rows, from the committed studies."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))  # the scripts add a folder
    import genome_table

    return genome_table


def test_genomes_are_samples_and_those_of_searches_in_full(module: Any) -> None:
    found = module.entries()
    first = list(found.values())[: module.SAMPLES]
    assert {entry.source for entry in first} == {"random"}
    assert [entry.trial.number for entry in first] == list(range(module.SAMPLES))
    later = list(found.values())[module.SAMPLES :]
    assert {entry.source for entry in later} == {f"{k}, in full" for k in module.SOURCES}
    assert all(entry.trial.state == "complete" and entry.needs == 1 for entry in later)
    assert {entry.needs for entry in first} == {1, 2}


def test_rows_are_means_of_two_trainings(module: Any) -> None:
    entry = next(e for e in module.entries().values() if e.needs == 1)
    again = {
        f"rung{rung}_{name}": row[name] + 0.25
        for rung, row in enumerate(entry.trial.rungs[:2])
        for name in module.METRICS
    }
    for row, first in zip(module.rows(entry, again), entry.trial.rungs, strict=False):
        assert set(row) == {*module.METRICS, *module.SPREADS}
        for name in set(module.METRICS) - {"seconds"}:
            assert row[name] == pytest.approx(first[name] + 0.125)
        assert row["seconds"] == pytest.approx(first["seconds"] + 0.25)  # the new ones
        assert [row[name] for name in module.SPREADS] == pytest.approx([0.25 / 2**0.5] * 2)


def test_rows_of_a_genome_that_was_trained_twice_anew(module: Any) -> None:
    entry = next(e for e in module.entries().values() if e.needs == 2)
    again = {
        f"rung{rung}_{name}": 1.0 + rung
        for rung in (0, 1)
        for name in (*module.METRICS, *module.SPREADS)
    }
    low, high = module.rows(entry, again)
    assert set(low) == set(high) == {*module.METRICS, *module.SPREADS}
    assert (low["accuracy"], high["accuracy"], high["accuracy_std"]) == (1.0, 2.0, 2.0)
    assert high["seconds"] == 1.0  # of one training
