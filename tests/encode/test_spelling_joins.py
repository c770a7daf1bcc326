"""Words that may be one with a third."""

from __future__ import annotations

import itertools

import numpy as np

from rosearch.encode.spelling_joins import Joins


def test_the_example_of_the_class():
    without = Joins({"to", "t", "e", "tote"})
    assert not without.with_one_before("t", "e")  # "to" + "t" is no known word
    joins = Joins({"to", "t", "e", "tot", "tote"})
    assert joins.with_one_before("t", "e")
    assert not joins.with_one_behind("t", "e")


def test_short_words_are_told_apart():
    joins = Joins({"a", "as", "ask", "so", "sofa", "fa"})
    assert joins.with_one_behind("so", "f")  # "f" + "a", then "so" + "fa"
    assert not joins.with_one_behind("a", "s")  # "sk" is no word
    assert joins.with_one_before("s", "k")  # "a" + "s", then "as" + "k"
    assert not joins.with_one_before("o", "f")  # "sof" is no word


def test_they_are_what_the_definition_says():
    rng = np.random.default_rng(0)
    letters = ["".join(word) for n in (1, 2, 3, 4, 5) for word in itertools.product("ab", repeat=n)]
    seen = set()
    for _ in range(10):
        known = set(rng.choice(letters, size=20, replace=False).tolist())
        joins = Joins(known)
        for left, right in itertools.product([w for w in letters if len(w) < 4], repeat=2):
            before = any(x + left in known and x + left + right in known for x in letters)
            behind = any(right + x in known and left + right + x in known for x in letters)
            assert joins.with_one_before(left, right) == before
            assert joins.with_one_behind(left, right) == behind
            seen |= {before, behind}
    assert seen == {False, True}


def test_two_words_that_are_one_by_themselves():
    joins = Joins({"to", "tote", "te", "mo"})
    assert joins.may_begin("to", "x", "te")
    assert not joins.may_begin("to", "x", "mo")
    assert joins.may_end("te", "x", "to")
    assert not joins.may_end("te", "x", "mo")
    assert Joins({"a", "as", "ask"}).may_begin("s", "k", "k")  # with "a" before them
    assert Joins({"so", "sofa", "fa"}).may_end("f", "so", "so")  # with "a" behind them
