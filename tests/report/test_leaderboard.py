"""The table of the candidates of a search, from best to worst."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from rosearch.errors import MissingResourceError
from rosearch.evolve.study.trials import comparable
from tests.report import made_up


def test_candidates_stand_by_their_fitness_with_what_was_optimised_first():
    search = made_up.study(20)
    table = search.leaderboard()
    assert list(table["number"]) == [t.number for t in comparable(search.trials)]
    assert table["number"].iloc[0] == search.best.number
    first = ["number", "fitness", "accuracy_under_attack", "accuracy", "compression"]
    assert list(table.columns[:5]) == first
    assert list(table.index) == list(range(1, len(table) + 1))
    feasible = table[table["feasible"]]
    assert feasible["fitness"].is_monotonic_decreasing
    assert len(table) == sum(t.score is not None for t in search.trials) < len(search.trials)


def test_values_are_those_of_the_trials_in_their_units():
    search = made_up.study(20)
    for row in search.leaderboard().to_dict("records"):
        trial = search.trials[row["number"]]
        assert row["key"] == trial.key
        assert row["on_front"] == (trial in search.front)
        assert {name: row[name] for name in trial.metrics} == dict(trial.metrics)


def test_a_pareto_search_has_its_objectives_and_no_fitness():
    table = made_up.study(20, made_up.PARETO).leaderboard()
    assert list(table.columns[1:4]) == ["accuracy_under_attack", "accuracy", "compression"]
    assert "fitness" not in table


def test_a_search_without_scores_has_an_empty_leaderboard():
    assert isinstance(made_up.study(0).leaderboard(), pd.DataFrame)
    assert len(made_up.study(0).leaderboard()) == 0


def test_missing_pandas_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingResourceError, match=r"leaderboard\(\) needs pandas"):
        made_up.study(3).leaderboard()
