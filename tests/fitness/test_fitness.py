"""Scores, constraints and the order that they give."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.errors import EvaluationError, RegistryError
from rosearch.fitness import Fitness, Score, best_index, rank_order, wanted_first
from tests.fitness.reference import beats


def metrics(accuracy=0.8, robustness=0.3, compression=8.0):
    return {
        "accuracy": accuracy,
        "accuracy_under_attack": robustness,
        "compression": compression,
    }


def test_weighted_sum():
    score = Fitness({"robustness": 1.0, "accuracy": 2.0, "compression": 0.1}).score(metrics())
    assert score.values == pytest.approx((0.3 + 1.6 + 0.3,))
    assert score.directions == ("maximize",)
    assert score.terms == {"robustness": 0.3, "accuracy": 0.8, "compression": 8.0}
    assert score.feasible
    assert score.violation == 0


def test_pareto_keeps_the_terms_apart_and_in_their_unit():
    fitness = Fitness.pareto(["robustness", "compression"], constraints={"accuracy": (0.5, None)})
    score = fitness.score(metrics())
    assert score.values == (0.3, 8.0)
    assert fitness.names == ("robustness", "compression")
    assert score.terms["accuracy"] == 0.8
    assert Fitness.pareto(["parameters"]).directions == ("minimize",)


@pytest.mark.parametrize(
    ("bounds", "violation"),
    [
        ((4.0, 8.0), 0.0),
        ((8.0, None), 0.0),
        ((None, 8.0), 0.0),
        ((10.0, None), 0.2),
        ((None, 4.0), 1.0),
    ],
)
def test_violation_is_relative_to_the_bound(bounds, violation):
    fitness = Fitness({"accuracy": 1.0}, constraints={"compression": bounds})
    score = fitness.score(metrics())
    assert score.violation == pytest.approx(violation)
    assert score.feasible == (violation == 0)


def test_known_violation_counts_the_constraints_that_can_be_told():
    fitness = Fitness(
        {"accuracy": 1.0}, constraints={"compression": (10.0, None), "robustness": (0.6, None)}
    )
    assert fitness.constraints == {"compression": (10.0, None), "robustness": (0.6, None)}
    assert fitness.known_violation({}) == 0
    assert fitness.known_violation({"compression": 12.0, "flops": 1.0}) == 0
    assert fitness.known_violation({"compression": 8.0}) == pytest.approx(0.2)
    assert fitness.known_violation(metrics()) == pytest.approx(fitness.score(metrics()).violation)


def test_violations_add_up_and_a_bound_of_zero_counts_absolutely():
    fitness = Fitness(
        {"accuracy": 1.0}, constraints={"compression": (10.0, None), "robustness": (None, 0)}
    )
    assert fitness.score(metrics()).violation == pytest.approx(0.2 + 0.3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_refused(value):
    with pytest.raises(EvaluationError, match="finite"):
        Fitness({"accuracy": 1.0}).score(metrics(accuracy=value))


def test_a_metric_that_nothing_reads_may_be_anything():
    assert Fitness({"accuracy": 1.0}).score({"accuracy": 0.5, "other": math.nan}).values == (0.5,)


def test_a_missing_metric_lists_those_there_are():
    with pytest.raises(EvaluationError, match=r"'compression'.*returned accuracy, speed"):
        Fitness({"compression": 1.0}).score({"accuracy": 0.5, "speed": 1.0})


def test_unknown_terms_list_the_known_ones():
    with pytest.raises(RegistryError, match="robustness"):
        Fitness({"robustnes": 1.0})
    with pytest.raises(RegistryError, match="accuracy"):
        Fitness({"accuracy": 1.0}, constraints={"size": (1, 2)})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fitness({}),
        lambda: Fitness({"accuracy": 0.0}),
        lambda: Fitness({"accuracy": math.nan}),
        lambda: Fitness({"accuracy": "much"}),
        lambda: Fitness(["accuracy"]),
        lambda: Fitness.pareto([]),
        lambda: Fitness.pareto(["accuracy", "accuracy"]),
        lambda: Fitness({"accuracy": 1}, constraints={"accuracy": (0.9, 0.1)}),
        lambda: Fitness({"accuracy": 1}, constraints={"accuracy": (None, None)}),
        lambda: Fitness({"accuracy": 1}, constraints={"accuracy": (math.nan, 1)}),
        lambda: Fitness({"accuracy": 1}, constraints={"accuracy": 0.5}),
        lambda: Fitness({"accuracy": 1}, constraints={"accuracy": (">=", 0.5)}),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_settings_are_json_and_tell_fitnesses_apart():
    a = Fitness({"accuracy": 1}, constraints={"compression": (4.6, None)})
    b = Fitness.pareto(["accuracy"], constraints={"compression": (4.6, None)})
    assert json.loads(json.dumps(a.settings)) == a.settings
    assert a.settings["weights"] == {"accuracy": 1.0}
    assert a.settings["constraints"] == {"compression": [4.6, None]}
    assert a.settings != b.settings
    assert pickle.loads(pickle.dumps(a)).settings == a.settings


def test_a_score_survives_json():
    score = Fitness({"accuracy": 1.0}, constraints={"compression": (10, None)}).score(metrics())
    assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score


def score(*values, violation=0.0, directions=None):
    ways = directions or ("maximize",) * len(values)
    return Score(values, ways, {}, violation == 0, violation)


def test_feasible_comes_before_infeasible_whatever_the_values():
    scores = [score(9.0, violation=0.5), score(1.0), score(8.0, violation=0.1), score(2.0)]
    assert rank_order(scores) == [3, 1, 2, 0]
    assert best_index(scores) == 3
    assert best_index([scores[0], scores[2]]) == 1


def test_minimised_objectives_are_turned_round():
    ways = ("minimize",)
    assert rank_order([score(3.0, directions=ways), score(1.0, directions=ways)]) == [1, 0]


def test_pareto_order_is_rank_then_crowding():
    scores = [score(0.0, 4.0), score(1.9, 2.1), score(2.0, 2.0), score(4.0, 0.0), score(1.0, 1.0)]
    order = rank_order(scores)
    assert set(order[:2]) == {0, 3}  # the ends of the front
    assert order[-1] == 4  # dominated
    assert best_index(scores) == 3  # best first objective


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1))
def test_order_and_best_respect_dominance_and_feasibility(rows):
    scores = [score(float(a), float(b), violation=float(v)) for a, b, v in rows]
    order = rank_order(scores)
    assert sorted(order) == list(range(len(rows)))
    place = {position: i for i, position in enumerate(order)}
    for i, s in enumerate(scores):
        for j, t in enumerate(scores):
            if s.violation < t.violation or (
                s.feasible and t.feasible and beats(s.values, t.values)
            ):
                assert place[i] < place[j]
    best = scores[best_index(scores)]
    assert best.violation == min(s.violation for s in scores)
    if best.feasible:
        assert not any(beats(s.values, best.values) for s in scores if s.feasible)


def test_front_of_a_weighted_sum_is_over_its_terms():
    fitness = Fitness({"robustness": 1.0, "accuracy": 1.0, "compression": 0.0})
    rows = [(0.9, 0.1, 1.0), (0.1, 0.9, 1.0), (0.5, 0.4, 1.0), (0.4, 0.3, 99.0)]
    scores = [fitness.score(metrics(*row)) for row in rows]
    assert fitness.front(scores).tolist() == [True, True, True, False]
    assert fitness.front(scores)[best_index(scores)]


def test_a_negative_weight_turns_a_term_round():
    fitness = Fitness({"accuracy": 1.0, "compression": -0.1})
    small, large = fitness.score(metrics(compression=2.0)), fitness.score(metrics(compression=8.0))
    assert small.values > large.values
    assert fitness.front([small, large]).tolist() == [True, False]


def test_the_front_holds_feasible_candidates_only():
    fitness = Fitness.pareto(["accuracy"], constraints={"compression": (4.0, None)})
    scores = [fitness.score(metrics(0.9, compression=1.0)), fitness.score(metrics(0.5))]
    assert fitness.front(scores).tolist() == [False, True]
    assert fitness.front(scores[:1]).tolist() == [False]
    assert fitness.front([]).shape == (0,)
    assert fitness.front([]).dtype == np.bool_


@pytest.mark.parametrize(
    "fitness",
    [
        Fitness({"robustness": 2.0, "accuracy": -1.0}, constraints={"compression": (4.6, None)}),
        Fitness.pareto(["accuracy", "compression"], constraints={"accuracy": (0.5, 0.9)}),
    ],
)
def test_a_fitness_comes_back_from_its_settings(fitness):
    settings = json.loads(json.dumps(fitness.settings))
    again = Fitness.from_settings(settings)
    assert again.settings == fitness.settings
    assert repr(again) == repr(fitness)
    assert again.score(metrics()) == fitness.score(metrics())
    with pytest.raises(RegistryError, match="nothing"):
        Fitness.from_settings({**settings, "constraints": {"nothing": [0, 1]}})


def test_what_a_fitness_wants_first():
    weighted = Fitness(
        {"accuracy": 0, "compression": -0.5, "robustness": 2.0}, constraints={"flops": (None, 1e9)}
    )
    names = ("robustness", "compression", "flops", "accuracy")
    assert wanted_first(weighted.settings) == names
    assert wanted_first(Fitness.pareto(["flops", "accuracy"]).settings) == ("flops", "accuracy")
    assert wanted_first({}) == ()
