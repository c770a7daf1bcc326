"""Attacks composed of parts: arguments, names, settings, lazy constraints."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    BeamSearch,
    CharacterEdits,
    CharacterInsertion,
    Constraint,
    DeepWordBug,
    GreedyWordSwap,
    LazyGreedyWordSwap,
    MaxWordsChanged,
    NoRepeat,
    RobustnessEvaluator,
    TextBugger,
    Union,
    WordSwapAttack,
    WordVectors,
)
from rosearch.errors import ArgumentError, DataError, EvaluationError


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((CharacterEdits, [NoRepeat()]), "instance of Substitution, got <class .*CharacterEdits"),
        ((CharacterEdits(), [NoRepeat]), "instance of Constraint, got <class .*NoRepeat"),
        ((CharacterEdits(), [], "greedy"), "instance of SearchMethod, got 'greedy'"),
        (("words",), "instance of Substitution"),
    ],
)
def test_parts_of_the_wrong_type_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        WordSwapAttack(*parts)


def test_additional_constraints_make_a_copy() -> None:
    attack = DeepWordBug()
    limited = attack.with_constraints(MaxWordsChanged(count=1), name="one-word")
    assert (attack.name, limited.name) == ("deepwordbug", "one-word")
    assert limited.settings["name"] == "one-word"
    assert len(limited.constraints) == len(attack.constraints) + 1
    with pytest.raises(ArgumentError, match="instance of Constraint"):
        attack.with_constraints(0.1)  # type: ignore[arg-type]


def test_variants_with_different_names_share_an_evaluator(dataset: Any) -> None:
    attacks = [
        DeepWordBug(),
        DeepWordBug().with_constraints(MaxWordsChanged(count=1), name="one-word"),
        WordSwapAttack(CharacterEdits(), [NoRepeat()], GreedyWordSwap("deletion"), name="mine"),
    ]
    assert [a.name for a in RobustnessEvaluator(attacks, dataset).attacks] == [
        "deepwordbug", "one-word", "mine",
    ]  # fmt: skip


def test_class_instead_of_an_attack_is_refused(dataset: Any) -> None:
    with pytest.raises(ArgumentError, match="an Attack instance, not a class"):
        RobustnessEvaluator(DeepWordBug, dataset)  # type: ignore[arg-type]


def test_constraint_that_returns_none_is_an_error(dataset: Any) -> None:
    class Forgetful(Constraint):
        name = "forgetful"

        def allows_text(self, original: Any, candidate: Any) -> Any:
            return None

    attack = DeepWordBug().with_constraints(Forgetful())
    evaluator = RobustnessEvaluator(attack, dataset, examples=3, progress=False)
    with pytest.raises(EvaluationError, match="allows_text returned None"):
        evaluator.evaluate(lambda texts: [[0.6, 0.4] if "e" in t else [0.4, 0.6] for t in texts])


def test_object_with_a_model_and_a_tokenizer_is_a_victim(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    evaluator = RobustnessEvaluator("deepwordbug", dataset, examples=3, progress=False)
    teacher = SimpleNamespace(model=trained_bert, tokenizer=tokenizer)
    assert evaluator.evaluate(teacher).examples == (
        evaluator.evaluate(trained_bert, tokenizer).examples
    )


def test_settings_are_those_of_the_parts() -> None:
    attack = WordSwapAttack(Union([CharacterInsertion(letters="xy")]), [NoRepeat()])
    assert attack.settings["substitution"] == {
        "name": "union",
        "parts": [
            {
                "name": "character-insertion",
                "every": False,
                "skip_first": False,
                "skip_last": False,
                "letters": "xy",
            },
        ],
    }
    assert attack.settings["constraints"] == [{"name": "no-repeat"}]
    assert attack.settings["search_method"] == {"name": "greedy-word-swap", "ranking": "unknown"}


def test_lazy_copy_of_a_recipe() -> None:
    vectors = WordVectors(["film", "movie"], np.eye(2, dtype=np.float32))
    recipe = TextBugger(vectors=vectors, encoder=lambda texts: np.ones((len(texts), 2)))
    lazy = recipe.lazily()
    assert isinstance(lazy.search_method, LazyGreedyWordSwap)
    assert lazy.search_method.ranking == "deletion"
    assert isinstance(recipe.search_method, GreedyWordSwap)
    assert lazy.settings["search_method"]["name"] == "lazy-greedy-word-swap"
    assert lazy.lazily().settings == lazy.settings


def test_only_greedy_search_can_be_lazy() -> None:
    with pytest.raises(DataError, match="'word-swap' searches by BeamSearch"):
        WordSwapAttack(CharacterEdits(), (), BeamSearch(2)).lazily()

    class Own(GreedyWordSwap):
        """May search in another way."""

    with pytest.raises(DataError, match="searches by Own"):
        WordSwapAttack(CharacterEdits(), (), Own("deletion")).lazily()


def test_a_single_constraint_needs_no_list() -> None:
    assert [c.name for c in WordSwapAttack(CharacterEdits(), NoRepeat()).constraints] == [
        NoRepeat.name
    ]
