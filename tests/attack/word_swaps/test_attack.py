"""Attacks put together from parts: what is refused, names, limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rosearch.attack import (
    CharacterEdits,
    Constraint,
    DeepWordBug,
    GreedyWordSwap,
    MaxWordsChanged,
    NoRepeat,
    RobustnessEvaluator,
    WordSwapAttack,
)
from rosearch.errors import DataError, EvaluationError


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((CharacterEdits, [NoRepeat()]), "instance of Substitution, got the class CharacterEdits"),
        ((CharacterEdits(), [NoRepeat]), "instance of Constraint, got the class NoRepeat"),
        ((CharacterEdits(), [], "greedy"), "instance of SearchMethod, got 'greedy'"),
        (("words",), "instance of Substitution"),
    ],
)
def test_parts_of_another_kind_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        WordSwapAttack(*parts)


def test_one_constraint_needs_no_list() -> None:
    assert len(WordSwapAttack(CharacterEdits(), NoRepeat()).constraints) == 1  # type: ignore[arg-type]


def test_further_constraints_are_checked_and_leave_the_original_alone() -> None:
    attack = DeepWordBug()
    limited = attack.with_constraints(MaxWordsChanged(count=1), name="one-word")
    assert (attack.name, limited.name) == ("deepwordbug", "one-word")
    assert limited.settings["name"] == "one-word"
    assert len(limited.constraints) == len(attack.constraints) + 1
    with pytest.raises(DataError, match="instance of Constraint"):
        attack.with_constraints(0.1)  # type: ignore[arg-type]


def test_variants_with_names_of_their_own_share_an_evaluator(dataset: Any) -> None:
    attacks = [
        DeepWordBug(),
        DeepWordBug().with_constraints(MaxWordsChanged(count=1), name="one-word"),
        WordSwapAttack(CharacterEdits(), [NoRepeat()], GreedyWordSwap("deletion"), name="mine"),
    ]
    assert [a.name for a in RobustnessEvaluator(attacks, dataset).attacks] == [
        "deepwordbug", "one-word", "mine",
    ]  # fmt: skip


def test_a_class_instead_of_an_attack_is_refused(dataset: Any) -> None:
    with pytest.raises(DataError, match="Make an instance"):
        RobustnessEvaluator(DeepWordBug, dataset)  # type: ignore[arg-type]


def test_a_constraint_that_answers_nothing_is_an_error(dataset: Any) -> None:
    class Forgetful(Constraint):
        name = "forgetful"

        def allows_text(self, original: Any, candidate: Any) -> Any:
            return None

    attack = DeepWordBug().with_constraints(Forgetful())
    evaluator = RobustnessEvaluator(attack, dataset, examples=3, progress=False)
    with pytest.raises(EvaluationError, match="allows_text returned None"):
        evaluator.evaluate(lambda texts: [[0.6, 0.4] if "e" in t else [0.4, 0.6] for t in texts])


def test_what_carries_a_model_and_a_tokenizer_is_a_victim(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    evaluator = RobustnessEvaluator("deepwordbug", dataset, examples=3, progress=False)
    teacher = SimpleNamespace(model=trained_bert, tokenizer=tokenizer)
    assert evaluator.evaluate(teacher).examples == (
        evaluator.evaluate(trained_bert, tokenizer).examples
    )
