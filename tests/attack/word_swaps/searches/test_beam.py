"""Beam search with a victim whose scores are known by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.attack import (
    BeamSearch,
    FunctionVictim,
    MaxWordsChanged,
    NoRepeat,
    WordSwapAttack,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.errors import ArgumentError
from tests.attack.word_swaps.searches.victims import WEIGHTS, CharacterEnds, Recorder, run


def test_steps_until_no_replacement_is_left() -> None:
    result, asked = run(BeamSearch(1))
    assert asked[1:6] == [
        "1 two three",
        "ONE two three",
        "one 2 three",
        "one TWO three",
        "one two THREE",
    ]
    assert asked[6:9] == ["1 2 three", "ONE 2 three", "one 2 THREE"]
    assert result.perturbed == "ONE 2 THREE"
    assert result.queries == 1 + 5 + 3 + 2


def test_a_step_may_lower_the_score() -> None:
    # As in TextAttack, the best of the last step is returned, not the best of all.
    result, _ = run(BeamSearch(1), "two 3", [], Recorder(TWO=0.25, **{"2": 0.1}))
    assert result.perturbed == "2 3"


def test_wider_beams_keep_more() -> None:
    victim = Recorder(TWO=0.3, **{"2": 0.31})
    narrow, asked = run(BeamSearch(1), victim=victim)
    wide, more = run(BeamSearch(3), victim=Recorder(TWO=0.3, **{"2": 0.31}))
    assert len(more) > len(asked)
    assert wide.queries > narrow.queries


def test_constraint_ends_the_search() -> None:
    result, _ = run(BeamSearch(2), constraints=[NoRepeat(), MaxWordsChanged(1)])
    assert len(result.changed) == 1
    assert result.queries == 1 + 5


@pytest.mark.parametrize("budget", range(1, 12))
def test_query_budget(budget: int) -> None:
    result, _ = run(BeamSearch(1), query_budget=budget)
    assert result.queries == min(budget, 11)
    assert result.status == "failed"


@pytest.mark.parametrize("width", [0, 1.5, True])
def test_width_out_of_range(width: Any) -> None:
    with pytest.raises(ArgumentError, match="width must be a whole number from 1"):
        BeamSearch(width)


def test_without_constraints_it_ends_after_as_many_steps_as_words() -> None:
    victim = Recorder(**dict.fromkeys(WEIGHTS, 0.0))
    attack = WordSwapAttack(CharacterEnds(), [], BeamSearch())
    function = FunctionVictim(victim, outputs="probabilities")
    (result,) = run_attack(attack, [Example(0, "one two three", 0)], function)
    assert result.status == "failed"
    assert victim.asked[-1].count("x") + victim.asked[-1].count("y") == 3
    assert result.queries == 1 + 3 * (2 * 3)
