"""Greedy search with a victim whose scores are known by hand."""

from __future__ import annotations

from typing import Any

from rosearch.attack import Constraint, Examined, GreedyWordSwap, NoRepeat
from tests.attack.word_swaps.searches.victims import Recorder, run


class Similar(Constraint):
    """Measures similarity: fewer capitals are more similar."""

    name = "similar"

    def examine(self, change: Any) -> Any:
        yield from ()
        texts = change.candidates
        return Examined([True] * len(texts), [-sum(map(str.isupper, t.text)) for t in texts])


def test_replacement_that_does_not_raise_the_score_is_dropped() -> None:
    victim = Recorder(ONE=0.05, THREE=0.0)
    result, _ = run(GreedyWordSwap(), victim=victim)
    assert result.perturbed == "one 2 three"
    assert result.changed == (1,)


def test_of_several_successes_the_most_similar_is_taken() -> None:
    victim = Recorder(TWO=0.8, **{"2": 0.7})
    assert run(GreedyWordSwap(), victim=victim)[0].perturbed.split()[1] == "TWO"
    closest, _ = run(GreedyWordSwap(), constraints=[NoRepeat(), Similar()], victim=victim)
    assert closest.perturbed.split()[1] == "2"


def test_candidate_that_misses_the_goal_is_never_taken_for_its_similarity() -> None:
    victim = Recorder(TWO=0.8, **{"2": 0.2})
    closest, _ = run(GreedyWordSwap(), constraints=[NoRepeat(), Similar()], victim=victim)
    assert closest.perturbed.split()[1] == "TWO"


def test_ties_are_broken_by_text() -> None:
    result, _ = run(GreedyWordSwap())  # "2" and "TWO" weigh the same
    assert result.perturbed == "ONE 2 THREE"
