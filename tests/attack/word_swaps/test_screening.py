"""First-order screening with a real classifier; conformance is tested with the masked recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rosearch.attack import (
    Attack,
    GreedyWordSwap,
    ModelVictim,
    NoRepeat,
    RobustnessEvaluator,
    Screened,
    Search,
    SearchContext,
    Substitution,
    Words,
    WordSwapAttack,
)
from rosearch.errors import ArgumentError

ADJECTIVES = "good great wonderful brilliant funny bad awful terrible boring dull".split()


class Adjectives(Substitution):
    """Every adjective for every word, and one of two words."""

    name = "adjectives"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [w for w in [*ADJECTIVES, "very bad"] if w != word]


def plain(ranking: str = "deletion") -> WordSwapAttack:
    return WordSwapAttack(Adjectives(), [NoRepeat()], GreedyWordSwap(ranking))


def evaluate(attack: Attack, model: Any, tokenizer: Any, dataset: Any, **settings: Any) -> Any:
    settings = {"examples": 40, "progress": False, **settings}
    return RobustnessEvaluator(attack, dataset, **settings).evaluate(model, tokenizer)


@pytest.mark.parametrize("ranking", ["deletion", "weighted-saliency", "gradient"])
def test_keeping_all_candidates_is_the_full_attack(
    trained_bert: Any, tokenizer: Any, dataset: Any, ranking: str
) -> None:
    full = evaluate(plain(ranking), trained_bert, tokenizer, dataset)
    same = evaluate(Screened(plain(ranking), keep=99), trained_bert, tokenizer, dataset)
    assert [(r.status, r.perturbed, r.queries) for r in same.examples] == [
        (r.status, r.perturbed, r.queries) for r in full.examples
    ]


def test_fewer_queries_with_most_of_the_successes(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    full = evaluate(plain(), trained_bert, tokenizer, dataset)
    screened = evaluate(Screened(plain(), keep=4), trained_bert, tokenizer, dataset)
    assert full.succeeded > 20
    assert screened.errors == 0
    assert screened.forward_rows < 0.6 * full.forward_rows
    assert 0.7 * full.succeeded <= screened.succeeded <= full.succeeded


def test_kept_candidates_raise_the_loss_more_than_dropped_ones(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    victim = ModelVictim(trained_bert, tokenizer)
    better = 0
    texts = [t for t, y in zip(dataset.texts, dataset.labels, strict=True) if y == 1][:12]
    for text in texts:
        words = Words.of(str(text))
        context = SearchContext(0.0, tuple(range(len(words))), str(text))
        search = Screened(plain("random"), keep=3).search(words, context)
        search.send(None)
        kept = search.send(victim.gradients([text], [1], 1))
        index = next(iter(kept[0].changed))
        others = [words.resegment(index, w) for w in Adjectives().propose(words.words[index])]
        left = [w.text for w in others if w.text not in {k.text for k in kept}]
        wrong = victim.probabilities([*(k.text for k in kept), *left])[:, 0]
        assert len(kept) == 3
        better += wrong[:3].mean() > wrong[3:].mean()
    assert better >= 11


def test_random_draws_are_those_of_the_full_attack(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    full = evaluate("deepwordbug", trained_bert, tokenizer, dataset)
    same = evaluate(Screened("deepwordbug", keep=9), trained_bert, tokenizer, dataset)
    assert [r.perturbed for r in same.examples] == [r.perturbed for r in full.examples]
    assert {r.attack for r in same.examples} == {"screened-deepwordbug"}
    assert "screened-deepwordbug" in same.attacks
    assert same.settings["attacks"][0]["keep"] == 9


def test_screened_and_other_attacks_in_one_evaluator(
    trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    attacks: Any = [Screened("deepwordbug", keep=1), plain()]
    report = evaluate(attacks, trained_bert, tokenizer, dataset, examples=5)
    assert set(report.attacks) == {"screened-deepwordbug", "word-swap"}


def test_wrong_arguments() -> None:
    class Other(Attack):
        def search(self, text: Words, context: SearchContext) -> Search:
            yield [text]
            return text

    with pytest.raises(ArgumentError, match="attack must be a WordSwapAttack"):
        Screened(Other())  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="keep must be a whole number"):
        Screened("deepwordbug", keep=0)
