"""Rankings, greedy search and beams on victims whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    BeamSearch,
    Constraint,
    Examined,
    FunctionVictim,
    GeneticSearch,
    GreedyWordSwap,
    MaxWordsChanged,
    NoRepeat,
    SearchMethod,
    Substitution,
    Words,
    WordSwapAttack,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.attack.word_swaps.searches import RANKINGS
from rosearch.errors import DataError

# How much each word speaks against class 0; all others not at all.
WEIGHTS = {"one": 0.1, "two": 0.15, "ONE": 0.12, "TWO": 0.2, "2": 0.2, "THREE": 0.05}
SWAPS = {"one": ["ONE", "1"], "two": ["TWO", "2"], "three": ["THREE"], "TWO": ["2"]}


class Table(Substitution):
    name = "table"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return SWAPS.get(word, ())


class Recorder:
    """Class 1 by the sum of the words' weights; remembers what it was asked."""

    def __init__(self, **weights: float) -> None:
        self.weights = {**WEIGHTS, **weights}
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        share = np.array([sum(self.weights.get(w, 0.0) for w in Words.of(t).words) for t in texts])
        return np.stack([1 - share, share], axis=1)


def run(
    search: SearchMethod,
    text: str = "one two three",
    constraints: Sequence[Constraint] = (NoRepeat(),),
    victim: Any = None,
    **settings: Any,
) -> tuple[Any, list[str]]:
    victim = victim or Recorder()
    attack = WordSwapAttack(Table(), constraints, search)
    function = FunctionVictim(victim, outputs="probabilities")
    (result,) = run_attack(attack, [Example(0, text, 0)], function, **settings)
    return result, victim.asked


class TestRankings:
    @pytest.mark.parametrize(
        ("ranking", "first_asked"),
        [
            ("unknown", ["[UNK] two three", "one [UNK] three", "one two [UNK]"]),
            ("deletion", ["two three", "one three", "one two "]),
        ],
    )
    def test_words_left_out(self, ranking: str, first_asked: list[str]) -> None:
        result, asked = run(GreedyWordSwap(ranking))
        assert asked[1:4] == first_asked
        # Without "three" the score stays highest, then "one", then "two".
        assert next(text for text in asked[4:] if "THREE" in text) == "one two THREE"
        assert result.perturbed == "ONE 2 THREE"
        assert result.queries == 1 + 3 + 1 + 2 + 2

    def test_weighted_saliency_asks_for_every_replacement_beforehand(self) -> None:
        result, asked = run(GreedyWordSwap("weighted-saliency"))
        assert asked[4:9] == [
            "1 two three",
            "ONE two three",
            "one 2 three",
            "one TWO three",
            "one two THREE",
        ]
        assert result.perturbed == "ONE 2 THREE"
        assert result.queries == 1 + 3 + 5 + 5

    def test_thousands_of_replacements_come_in_several_batches(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = run(GreedyWordSwap("weighted-saliency"))
        for most in (1, 4, 5, 6):
            monkeypatch.setattr("rosearch.attack.word_swaps.searches.rankings._AT_ONCE", most)
            assert run(GreedyWordSwap("weighted-saliency")) == whole

    @pytest.mark.parametrize("budget", range(1, 15))
    def test_batches_and_budgets(self, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
        search = GreedyWordSwap("weighted-saliency")
        whole = run(search, query_budget=budget)[0]
        monkeypatch.setattr("rosearch.attack.word_swaps.searches.rankings._AT_ONCE", 4)
        assert run(search, query_budget=budget)[0] == whole
        assert whole.queries <= budget

    def test_random_order_depends_on_the_seed_alone(self) -> None:
        orders = [run(GreedyWordSwap("random"), seed=seed)[1] for seed in range(8)]
        assert run(GreedyWordSwap("random"), seed=3)[1] == orders[3]
        assert len({tuple(order) for order in orders}) > 2

    def test_no_word_may_be_replaced(self) -> None:
        for ranking in set(RANKINGS) - {"gradient"}:
            result, _ = run(GreedyWordSwap(ranking), "none of these")
            assert (result.status, result.perturbed) == ("failed", "none of these")

    def test_there_is_no_such_ranking(self) -> None:
        with pytest.raises(DataError, match=r"No ranking is called 'best'.*deletion"):
            GreedyWordSwap("best")


class Similar(Constraint):
    """Measures similarity: the fewer capitals, the closer."""

    name = "similar"

    def examine(self, change: Any) -> Any:
        yield from ()
        texts = change.candidates
        return Examined([True] * len(texts), [-sum(map(str.isupper, t.text)) for t in texts])


class TestGreedy:
    def test_what_does_not_help_is_not_kept(self) -> None:
        victim = Recorder(ONE=0.05, THREE=0.0)
        result, _ = run(GreedyWordSwap(), victim=victim)
        assert result.perturbed == "one 2 three"
        assert result.changed == (1,)

    def test_of_several_that_succeed_the_best_or_the_closest(self) -> None:
        victim = Recorder(TWO=0.8, **{"2": 0.7})
        assert run(GreedyWordSwap(), victim=victim)[0].perturbed.split()[1] == "TWO"
        closest, _ = run(GreedyWordSwap(), constraints=[NoRepeat(), Similar()], victim=victim)
        assert closest.perturbed.split()[1] == "2"

    def test_what_misses_the_goal_is_never_the_closest(self) -> None:
        victim = Recorder(TWO=0.8, **{"2": 0.2})
        closest, _ = run(GreedyWordSwap(), constraints=[NoRepeat(), Similar()], victim=victim)
        assert closest.perturbed.split()[1] == "TWO"

    def test_equal_scores_go_to_the_first_in_order_of_text(self) -> None:
        result, _ = run(GreedyWordSwap())  # "2" and "TWO" weigh the same
        assert result.perturbed == "ONE 2 THREE"


class TestBeam:
    def test_one_step_after_the_other_until_nothing_is_left(self) -> None:
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

    def test_a_step_may_lower_the_score(self) -> None:
        # As in TextAttack: the last step's best stands, not the best of all.
        result, _ = run(BeamSearch(1, steps=2), "two", [], Recorder(TWO=0.25, **{"2": 0.1}))
        assert result.perturbed == "2"

    def test_wider_beams_keep_more(self) -> None:
        victim = Recorder(TWO=0.3, **{"2": 0.31})
        narrow, asked = run(BeamSearch(1), victim=victim)
        wide, more = run(BeamSearch(3), victim=Recorder(TWO=0.3, **{"2": 0.31}))
        assert len(more) > len(asked)
        assert wide.queries > narrow.queries

    def test_limits_end_it(self) -> None:
        result, _ = run(BeamSearch(2), constraints=[NoRepeat(), MaxWordsChanged(1)])
        assert len(result.changed) == 1
        assert result.queries == 1 + 5

    @pytest.mark.parametrize("budget", range(1, 12))
    def test_budgets(self, budget: int) -> None:
        result, _ = run(BeamSearch(1), query_budget=budget)
        assert result.queries == min(budget, 11)
        assert result.status == "failed"

    @pytest.mark.parametrize("width", [0, 1.5, True])
    def test_widths_that_make_no_sense(self, width: Any) -> None:
        with pytest.raises(DataError, match="width is a whole number, at least 1"):
            BeamSearch(width)


def genetic_outcome(budget: int) -> tuple[bool, str]:
    """Whether a text that breaks the victim was asked about, and what came of the attack."""
    hits: list[str] = []

    def victim(texts: Sequence[str]) -> np.ndarray:
        hits.extend(text for text in texts if "goodx" in text)
        return np.array([[0.1, 0.9] if "goodx" in text else [0.9, 0.1] for text in texts])

    attack = WordSwapAttack(
        CharacterEnds(), [NoRepeat()], GeneticSearch(population=20, generations=3), resegment=False
    )
    function = FunctionVictim(victim, outputs="probabilities")
    example = Example(0, "good film nice plot dull story", 0)
    (result,) = run_attack(attack, [example], function, query_budget=budget)
    return bool(hits), result.status


class CharacterEnds(Substitution):
    name = "ends"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [word + "x", word + "y"]


def test_genetic_search_keeps_what_it_found_before_its_budget_ended() -> None:
    outcomes = [genetic_outcome(budget) for budget in range(2, 140)]
    assert {(True, "succeeded"), (False, "failed")} == set(outcomes)
    found = [status == "succeeded" for _, status in outcomes]
    assert found == sorted(found)


class TestBeamsEnd:
    """Against a victim that always says the same, and nothing that limits the changes."""

    def test_after_as_many_steps_as_words(self) -> None:
        victim = Recorder(**dict.fromkeys(WEIGHTS, 0.0))
        attack = WordSwapAttack(CharacterEnds(), [], BeamSearch())
        function = FunctionVictim(victim, outputs="probabilities")
        (result,) = run_attack(attack, [Example(0, "one two three", 0)], function)
        assert result.status == "failed"
        assert victim.asked[-1].count("x") + victim.asked[-1].count("y") == 3
        assert result.queries == 1 + 3 * (2 * 3)

    def test_after_the_steps_asked_for(self) -> None:
        result, asked = run(BeamSearch(steps=1), constraints=())
        assert len(asked) == result.queries == 1 + 5
        result, asked = run(BeamSearch(steps=2), constraints=())
        assert len(asked) > 1 + 5

    @pytest.mark.parametrize("steps", [0, 1.5, "2"])
    def test_steps_are_a_whole_number(self, steps: Any) -> None:
        with pytest.raises(DataError, match="steps"):
            BeamSearch(steps=steps)
