"""The attack on one example: protocol, goals, query budget, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import Answer, Attack, BudgetExhausted, Untargeted, Words
from rosearch.attack.engine.attack_run import Example
from rosearch.attack.goals import Goal
from rosearch.attack.report.summary import summarise
from rosearch.errors import EvaluationError
from tests.attack.engine.lengthen import EXAMPLES, Lengthen, run


def test_answers_are_in_order_and_counted() -> None:
    seen = []

    class Recording(Attack):
        def search(self, text, context):
            seen.append(("start", context.score, context.indices))
            texts = [text.replace(0, "a" * n) for n in (50, 1, 90)]
            answer = yield texts
            seen.append((answer.scores.tolist(), answer.succeeded.tolist()))
            answer = yield [texts[0]]  # queried before, but it counts again
            seen.append(answer.scores.tolist())
            return texts[2]

    (result,) = run(Recording(), [Example(3, "one two", 0)])
    assert seen[0] == ("start", pytest.approx(0.07), (0, 1))
    assert seen[1] == (pytest.approx([0.54, 0.05, 0.94]), [True, False, True])
    assert seen[2] == pytest.approx([0.54])
    assert (result.index, result.status, result.queries) == (3, "succeeded", 1 + 3 + 1)
    assert result.perturbed == "a" * 90 + " two"
    assert result.perturbed_predicted == 1
    assert result.changed == (0,)
    assert result.words == 2


def test_misclassified_example_is_skipped_after_one_query() -> None:
    results = run(Lengthen(), [Example(0, "z" * 60, 0), EXAMPLES[0]])
    assert [r.status for r in results] == ["skipped", "succeeded"]
    assert results[0].queries == 1
    assert results[0].perturbed is None


def test_empty_list_gets_an_empty_answer() -> None:
    class Empty(Attack):
        def search(self, text, context):
            answer = yield []
            assert answer.scores.shape == (0,)
            return text

    assert [r.status for r in run(Empty())] == ["failed"] * 3


def test_random_draws_depend_only_on_seed_attack_and_text() -> None:
    drawn: dict[tuple[int, str], float] = {}

    class Random(Attack):
        def search(self, text, context):
            drawn[context.seed, text.text] = context.rng("x").random()
            yield []
            return text

    run(Random())
    first = dict(drawn)
    drawn.clear()
    run(Random(), EXAMPLES[::-1], in_flight=1)
    assert drawn == first
    run(Random(), seed=1)
    assert len(set(drawn.values())) == 6


class Towards(Goal):
    """The goal is class ``target``."""

    name = "towards"

    def __init__(self, target: int) -> None:
        self.target = target

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        return Answer(probabilities[:, self.target], probabilities.argmax(axis=1) == self.target)


def three_classes(texts: list[str]) -> np.ndarray:
    """Predict class 0 below 20 characters, class 1 below 60, else class 2."""
    classes = np.array([(len(text) >= 20) + (len(text) >= 60) for text in texts], dtype=int)
    return np.eye(3)[classes] * 0.7 + 0.1


class TestOtherGoals:
    def report(self, results: Any) -> Any:
        report = summarise(results, forward_rows=0, seconds=0.0, settings={})
        assert report.accuracy_under_attack == report.accuracy - report.succeeded / report.n
        return report

    def test_misclassified_examples_are_skipped_under_a_targeted_goal(self) -> None:
        examples = [Example(0, "one two", 1), Example(1, "six", 2)]  # the victim predicts class 0
        results = run(Lengthen(), examples, three_classes, goal=Towards(2))
        assert [r.status for r in results] == ["skipped"] * 2
        assert [r.queries for r in results] == [1, 1]
        assert self.report(results).accuracy == 0

    def test_example_of_the_target_class_is_skipped(self) -> None:
        (result,) = run(Lengthen(), [EXAMPLES[0]], three_classes, goal=Towards(0))
        report = self.report([result])
        assert result.status == "skipped"
        assert (report.accuracy, report.attacked, report.succeeded) == (1, 0, 0)

    def test_wrong_class_other_than_the_target_is_broken(self) -> None:
        met, missed = (
            run(Lengthen(steps), [EXAMPLES[0]], three_classes, goal=Towards(2))[0]
            for steps in ((10, 70), (10, 30))
        )
        assert [(r.status, r.perturbed_predicted) for r in (met, missed)] == [
            ("succeeded", 2),
            ("failed", 1),
        ]
        assert self.report([met, missed]).accuracy_under_attack == 0

    def test_goal_met_by_a_correct_prediction_is_not_broken(self) -> None:
        class Doubt(Untargeted):
            name = "doubt"

            def judge(self, probabilities: np.ndarray, label: int) -> Answer:
                scores = 1 - probabilities[:, label]
                return Answer(scores, scores > 0.3)

        (result,) = run(Lengthen((40,)), [EXAMPLES[0]], goal=Doubt())
        report = self.report([result])
        assert (result.status, result.perturbed_predicted) == ("succeeded", 0)
        assert (report.succeeded, report.accuracy_under_attack) == (0, 1)


class TestBudget:
    @pytest.mark.parametrize("budget", range(1, 9))
    def test_queries_do_not_exceed_the_budget(self, budget: int) -> None:
        for result in run(Lengthen((1, 2, 3)), query_budget=budget):
            assert result.queries == min(budget, 7)
            assert result.status == "failed"

    def test_best_queried_text_is_used_if_the_budget_runs_out(self) -> None:
        (result,) = run(Lengthen((10, 90, 20)), [EXAMPLES[0]], query_budget=4)
        assert result.status == "succeeded"
        assert result.perturbed == "x" * 90 + " two"

    def test_search_can_use_the_partial_answer(self) -> None:
        class Careful(Attack):
            def search(self, text, context):
                texts = [text.replace(0, "a" * n) for n in (10, 60, 90)]
                try:
                    yield texts
                except BudgetExhausted as exhausted:
                    answer = exhausted.answer
                    return (
                        texts[int(answer.succeeded.argmax())] if len(answer.scores) == 2 else text
                    )
                return text

        (result,) = run(Careful(), [EXAMPLES[0]], query_budget=3)
        assert (result.status, result.queries) == ("succeeded", 3)

    def test_unqueried_final_text_costs_a_query(self) -> None:
        class Blind(Attack):
            def search(self, text, context):
                yield from ()
                return text.replace(0, "a" * 90)

        (result,) = run(Blind(), [EXAMPLES[0]])
        assert (result.status, result.queries) == ("succeeded", 2)
        (result,) = run(Blind(), [EXAMPLES[0]], query_budget=1)
        assert (result.status, result.queries) == ("failed", 1)
        assert result.perturbed == EXAMPLES[0].text


class TestAttackErrors:
    def test_exception_in_one_search_is_one_error(self) -> None:
        class Fussy(Lengthen):
            def search(self, text, context):
                if len(text) == 3:
                    raise KeyError("no three words")
                return (yield from super().search(text, context))

        results = run(Fussy())
        assert [r.status for r in results] == ["succeeded", "error", "succeeded"]
        assert results[1].error == "KeyError: 'no three words'"
        assert results[1].predicted == 0

    def test_exception_in_all_searches_is_raised(self) -> None:
        class Broken(Attack):
            def search(self, text, context):
                raise RuntimeError("bug")
                yield []

        with pytest.raises(EvaluationError, match=r"'broken' failed on all 3.*bug"):
            run(Broken())

    @pytest.mark.parametrize(
        ("wanted", "message"),
        [
            (["plain"], "yielded str"),
            ("plain", "yielded str"),
            (None, "yielded NoneType"),
            (Words.of("x"), "yielded Words .*Expected a list"),
        ],
    )
    def test_yielding_anything_but_a_list_of_words(self, wanted: Any, message: str) -> None:
        class Odd(Attack):
            def search(self, text, context):
                yield wanted
                return text

        with pytest.raises(EvaluationError, match=message):
            run(Odd())

    def test_returning_nothing(self) -> None:
        class Forgetful(Attack):
            def search(self, text, context):
                yield [text]

        with pytest.raises(EvaluationError, match="returned NoneType"):
            run(Forgetful())

    def test_yielding_empty_lists_forever(self) -> None:
        class Idle(Attack):
            def search(self, text, context):
                while True:
                    yield []

        with pytest.raises(EvaluationError, match="must return to end"):
            run(Idle())
