"""The engine: protocol, budgets, errors, independence of company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import Attack, BudgetExhausted, FunctionVictim, Words, run_attack
from rosearch.attack.base import Answer
from rosearch.attack.engine.engine import Example
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.report.results import summarise
from rosearch.attack.testing import hashing_classifier
from rosearch.errors import DataError, EvaluationError

EXAMPLES = [Example(7 * k, text, 0) for k, text in enumerate(["one two", "three four five", "six"])]


def by_length(texts: list[str]) -> np.ndarray:
    """Class 0 with a probability that falls by a hundredth with each character."""
    share = np.array([max(0.0, 1 - len(text) / 100) for text in texts])
    return np.stack([share, 1 - share], axis=1)


def run(attack: Attack, examples: Any = EXAMPLES, victim: Any = by_length, **kw: Any) -> Any:
    if not isinstance(victim, FunctionVictim):
        victim = FunctionVictim(victim, outputs="probabilities")
    return run_attack(attack, examples, victim, **kw)


class Lengthen(Attack):
    """Makes the first word longer and longer."""

    def __init__(self, steps: tuple[int, ...] = (10, 40, 70)) -> None:
        self.steps = steps

    def search(self, text, context):
        best = text
        for length in self.steps:
            best = text.replace(0, "x" * length)
            answer = yield [best, text.replace(0, "y" * length)]
            if answer.succeeded[0]:
                break
        return best


def test_a_search_is_answered_in_order_and_counted() -> None:
    seen = []

    class Recording(Attack):
        def search(self, text, context):
            seen.append(("start", context.score, context.indices))
            texts = [text.replace(0, "a" * n) for n in (50, 1, 90)]
            answer = yield texts
            seen.append((answer.scores.tolist(), answer.succeeded.tolist()))
            answer = yield [texts[0]]  # asked before: a query all the same
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


def test_wrong_before_the_attack_is_skipped_with_one_query() -> None:
    results = run(Lengthen(), [Example(0, "z" * 60, 0), EXAMPLES[0]])
    assert [r.status for r in results] == ["skipped", "succeeded"]
    assert results[0].queries == 1
    assert results[0].perturbed is None


def test_company_changes_nothing() -> None:
    texts = [f"film {k} was {'very ' * (k % 5)}dull and {k * 7919 % 31} words" for k in range(60)]
    labels = hashing_classifier(texts).argmax(axis=1)
    examples = [Example(k, t, int(y)) for k, (t, y) in enumerate(zip(texts, labels, strict=True))]
    from rosearch.attack import DeepWordBug

    outcomes = [run(DeepWordBug(), examples, hashing_classifier, in_flight=n) for n in (1, 7, 256)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    backwards = run(DeepWordBug(), examples[::-1], hashing_classifier)
    assert backwards[::-1] == outcomes[0]


def test_queries_of_many_searches_share_batches() -> None:
    calls = []

    def victim(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return by_length(texts)

    examples = [Example(k, f"word x{k}", 0) for k in range(50)]
    run(Lengthen((5, 6, 7)), examples, victim)
    assert calls == [50] + [100] * 3
    calls.clear()
    run(Lengthen((5, 6, 7)), examples, victim, in_flight=25)
    assert calls == [50] + [50] * 6


class Towards(Goal):
    """The class ``target``."""

    name = "towards"

    def __init__(self, target: int) -> None:
        self.target = target

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        return Answer(probabilities[:, self.target], probabilities.argmax(axis=1) == self.target)


def three_classes(texts: list[str]) -> np.ndarray:
    """Class 0 below 20 characters, class 1 below 60, else class 2; never sure."""
    classes = np.array([(len(text) >= 20) + (len(text) >= 60) for text in texts], dtype=int)
    return np.eye(3)[classes] * 0.7 + 0.1


class TestOtherGoals:
    def report(self, results: Any) -> Any:
        report = summarise(results, forward_rows=0, seconds=0.0, settings={})
        assert report.accuracy_under_attack == report.accuracy - report.succeeded / report.n
        return report

    def test_a_targeted_goal_is_no_chance_to_break_what_is_wrong_already(self) -> None:
        examples = [Example(0, "one two", 1), Example(1, "six", 2)]  # the victim says 0
        results = run(Lengthen(), examples, three_classes, goal=Towards(2))
        assert [r.status for r in results] == ["skipped"] * 2
        assert [r.queries for r in results] == [1, 1]
        assert self.report(results).accuracy == 0

    def test_right_and_at_the_target_already(self) -> None:
        (result,) = run(Lengthen(), [EXAMPLES[0]], three_classes, goal=Towards(0))
        report = self.report([result])
        assert result.status == "skipped"
        assert (report.accuracy, report.attacked, report.succeeded) == (1, 0, 0)

    def test_wrong_in_another_way_than_wanted_is_broken(self) -> None:
        met, missed = (
            run(Lengthen(steps), [EXAMPLES[0]], three_classes, goal=Towards(2))[0]
            for steps in ((10, 70), (10, 30))
        )
        assert [(r.status, r.perturbed_predicted) for r in (met, missed)] == [
            ("succeeded", 2),
            ("failed", 1),
        ]
        assert self.report([met, missed]).accuracy_under_attack == 0

    def test_met_while_the_victim_is_right_breaks_nothing(self) -> None:
        class Doubt(Untargeted):
            name = "doubt"

            def judge(self, probabilities: np.ndarray, label: int) -> Answer:
                scores = 1 - probabilities[:, label]
                return Answer(scores, scores > 0.3)

        (result,) = run(Lengthen((40,)), [EXAMPLES[0]], goal=Doubt())
        report = self.report([result])
        assert (result.status, result.perturbed_predicted) == ("succeeded", 0)
        assert (report.succeeded, report.accuracy_under_attack) == (0, 1)


@pytest.mark.parametrize(
    "settings", [{"in_flight": 0}, {"in_flight": 1.5}, {"query_budget": 0}, {"query_budget": 1.5}]
)
def test_numbers_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"{next(iter(settings))} is a whole number, at least 1"):
        run(Lengthen(), **settings)


class TestBudget:
    @pytest.mark.parametrize("budget", range(1, 9))
    def test_is_a_maximum(self, budget: int) -> None:
        for result in run(Lengthen((1, 2, 3)), query_budget=budget):
            assert result.queries == min(budget, 7)
            assert result.status == "failed"

    def test_the_best_text_asked_about_stands_where_nobody_catches(self) -> None:
        (result,) = run(Lengthen((10, 90, 20)), [EXAMPLES[0]], query_budget=4)
        assert result.status == "succeeded"
        assert result.perturbed == "x" * 90 + " two"

    def test_a_search_may_use_the_partial_answer(self) -> None:
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

    def test_a_text_nobody_asked_about_costs_a_query_or_is_refused(self) -> None:
        class Blind(Attack):
            def search(self, text, context):
                yield from ()
                return text.replace(0, "a" * 90)

        (result,) = run(Blind(), [EXAMPLES[0]])
        assert (result.status, result.queries) == ("succeeded", 2)
        (result,) = run(Blind(), [EXAMPLES[0]], query_budget=1)
        assert (result.status, result.queries) == ("failed", 1)
        assert result.perturbed == EXAMPLES[0].text


class TestErrors:
    def test_one_search_that_raises_is_one_error(self) -> None:
        class Fussy(Lengthen):
            def search(self, text, context):
                if len(text) == 3:
                    raise KeyError("no three words")
                return (yield from super().search(text, context))

        results = run(Fussy())
        assert [r.status for r in results] == ["succeeded", "error", "succeeded"]
        assert results[1].error == "KeyError: 'no three words'"
        assert results[1].predicted == 0

    def test_one_text_the_victim_chokes_on(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            if any("five" in t and "xx" in t for t in texts):
                raise ValueError("five is out")
            return by_length(texts)

        results = run(Lengthen(), victim=victim)
        assert [r.status for r in results] == ["succeeded", "error", "succeeded"]
        assert results[1].error == "ValueError: five is out"
        assert [r.queries for r in (results[0], results[2])] == [7, 7]

    def test_one_unchanged_text_the_victim_chokes_on(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            if any("five" in t for t in texts):
                raise ValueError("five is out")
            return by_length(texts)

        results = run(Lengthen(), victim=victim)
        assert results[1].status == "error"
        assert results[1].predicted is None

    def test_nan_is_an_error_of_its_example(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            out = by_length(texts)
            out[["five" in t and "xx" in t for t in texts]] = np.nan
            return out

        results = run(Lengthen(), victim=victim)
        assert [r.status for r in results][1] == "error"
        assert "NaN for 'xxxxxxxxxx four five'" in str(results[1].error)

    def test_a_victim_that_never_answers(self) -> None:
        def victim(texts: list[str]) -> np.ndarray:
            raise ValueError("down")

        with pytest.raises(EvaluationError, match=r"every one of 3 unchanged texts: down"):
            run(Lengthen(), victim=victim)

    def test_an_attack_that_never_works_is_no_sign_of_robustness(self) -> None:
        class Broken(Attack):
            def search(self, text, context):
                raise RuntimeError("bug")
                yield []

        with pytest.raises(EvaluationError, match=r"'broken' failed on every one of 3.*bug"):
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
    def test_what_is_no_list_of_words(self, wanted: Any, message: str) -> None:
        class Odd(Attack):
            def search(self, text, context):
                yield wanted
                return text

        with pytest.raises(EvaluationError, match=message):
            run(Odd())

    def test_a_search_that_returns_nothing(self) -> None:
        class Forgetful(Attack):
            def search(self, text, context):
                yield [text]

        with pytest.raises(EvaluationError, match="returned NoneType"):
            run(Forgetful())

    def test_a_search_that_asks_for_nothing_forever(self) -> None:
        class Idle(Attack):
            def search(self, text, context):
                while True:
                    yield []

        with pytest.raises(EvaluationError, match="must return to end"):
            run(Idle())


def test_nothing_to_ask_is_answered_with_nothing() -> None:
    class Empty(Attack):
        def search(self, text, context):
            answer = yield []
            assert answer.scores.shape == (0,)
            return text

    assert [r.status for r in run(Empty())] == ["failed"] * 3


def test_randomness_depends_on_seed_attack_and_text_alone() -> None:
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


def test_no_examples() -> None:
    assert run(Lengthen(), []) == []
