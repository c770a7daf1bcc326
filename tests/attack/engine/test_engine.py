"""Runs of one attack on many examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import DeepWordBug, FunctionVictim, run_attack
from rosearch.attack.engine.attack_run import Example
from rosearch.attack.testing import hashing_classifier
from rosearch.attack.text import AttackedInput
from rosearch.errors import ArgumentError
from tests.attack.engine.lengthen import Lengthen, by_length, run


def test_results_do_not_depend_on_order_or_concurrency() -> None:
    texts = [f"film {k} was {'very ' * (k % 5)}dull and {k * 7919 % 31} words" for k in range(60)]
    labels = hashing_classifier(texts).argmax(axis=1)
    examples = [Example(k, t, int(y)) for k, (t, y) in enumerate(zip(texts, labels, strict=True))]
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


def test_no_examples() -> None:
    assert run(Lengthen(), []) == []


def test_searches_change_visible_words_only() -> None:
    class ReadsTheLastTwoWords(FunctionVictim):
        def visible(self, attacked: AttackedInput, words: Any) -> range:
            return range(len(words) - 2, len(words))

    texts = ["a good film was very good", "the plot is awful", "what a dull story this is"]
    labels = hashing_classifier(texts).argmax(axis=1).tolist()
    examples = [Example(i, *pair) for i, pair in enumerate(zip(texts, labels, strict=True))]
    results = run_attack(DeepWordBug(), examples, ReadsTheLastTwoWords(hashing_classifier))
    assert any(result.changed for result in results)
    for result in results:
        assert set(result.changed) <= {result.words - 2, result.words - 1}


@pytest.mark.parametrize("setting", [{"in_flight": 0}, {"query_budget": 0}, {"in_flight": 1.5}])
def test_counts_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(setting))} must be a whole number from 1"):
        run_attack(DeepWordBug(), [], FunctionVictim(hashing_classifier), **setting)
