"""Words that may be one with a third."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rosearch.encode import Spelling
from rosearch.encode.changes import canonical_edits
from rosearch.encode.spelling_joins import Joins


def test_the_example_of_the_class():
    without = Joins({"to", "t", "e", "tote"}, {})
    assert not without.with_one_before("t", "e")  # "to" + "t" is no known word
    joins = Joins({"to", "t", "e", "tot", "tote"}, {})
    assert joins.with_one_before("t", "e")
    assert not joins.with_one_behind("t", "e")


def test_short_words_are_told_apart():
    joins = Joins({"a", "as", "ask", "so", "sofa", "fa"}, {})
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
        merged = dict(zip(sorted(known)[:6], rng.choice(sorted(known), size=6), strict=True))
        merged = {
            word: f"{form} a" if len(form) > 3 else str(form) for word, form in merged.items()
        }
        joins = Joins(known, merged)

        for left, right in itertools.product([w for w in letters if len(w) < 4], repeat=2):
            forms = {x + left: merged.get(x + left, x + left) for x in letters if x + left in known}
            before = any(
                w + right in known or f.split()[-1] + right in known for w, f in forms.items()
            )
            forms = {
                right + x: merged.get(right + x, right + x) for x in letters if right + x in known
            }
            behind = any(
                left + w in known or left + f.split()[0] in known for w, f in forms.items()
            )
            assert joins.with_one_before(left, right) == before
            assert joins.with_one_behind(left, right) == behind
            seen |= {before, behind}
    assert seen == {False, True}


def test_two_words_that_are_one_by_themselves():
    joins = Joins({"to", "tote", "te", "mo"}, {})
    assert joins.may_begin("to", "x", "te")
    assert not joins.may_begin("to", "x", "mo")
    assert joins.may_end("te", "x", "to")
    assert not joins.may_end("te", "x", "mo")
    assert Joins({"a", "as", "ask"}, {}).may_begin("s", "k", "k")  # with "a" before them
    assert Joins({"so", "sofa", "fa"}, {}).may_end("f", "so", "so")  # with "a" behind them


def test_what_a_joined_word_is_read_as_may_be_joined_again():
    joins = Joins({"t", "hu", "ology", "the", "thu", "theology"}, {"thu": "the"})
    assert joins.with_one_before("hu", "ology")
    assert not joins.with_one_before("hu", "logy")
    joins = Joins({"w", "b", "in", "bin", "win"}, {"bin": "in"})
    assert joins.with_one_behind("w", "b")
    assert not joins.with_one_behind("v", "b")


@pytest.mark.parametrize(
    ("text", "old", "new", "whole"),
    [
        ("t hu film", "film", "ology", "theology"),
        ("film b in", "film", "w", "win"),
        ("a film t hu ology", "hu", "h", "a film t h ology"),
    ],
)
def test_an_edit_beside_a_joined_word_that_is_read_as_another(text, old, new, whole):
    known = "a t hu film ology the thu theology w b in bin win".split()
    learnt = {
        "counts": {**dict.fromkeys(known, 5.0), "theology": 500.0, "win": 500.0},
        "merged": {"thu": "the", "bin": "in"},
        "apart": [],
        "mixed": [],
        "pairs": {},
    }
    spelling = Spelling(learnt, **Spelling.complete({}))
    start = text.index(old)
    (edit,) = canonical_edits(spelling, text, [(start, start + len(old), new)])
    canonical, changed = spelling(text), text.replace(old, new)
    assert f"{canonical[: edit[0]]}{edit[2]}{canonical[edit[1] :]}" == spelling(changed) == whole
