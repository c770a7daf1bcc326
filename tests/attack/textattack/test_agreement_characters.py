"""PWWS and the character recipes: same texts, verdicts and query counts as TextAttack 0.3.11."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    BeamSearch,
    MaxChangedShare,
    MaxWordsChanged,
    MinWordLength,
    NoStopWords,
    Union,
    WordSwapAttack,
)
from rosearch.attack.word_swaps import substitutions
from tests.attack.textattack import counterparts
from tests.attack.textattack.agreement import (
    REVIEWS,
    BagOfWords,
    attacked_by_textattack,
    attacked_here,
    check_agreement,
    probabilities,
    sentences,
    some_wrong,
    statuses,
    with_our_draws,
    wrapper,
)

pytestmark = [pytest.mark.slow, pytest.mark.textattack]


def agree(textattack: Any, pair: Any, victim: dict[str, Any]) -> Any:
    return check_agreement(textattack, pair.attack, pair.build, before=pair.before, **victim)


def test_pwws(textattack: Any, victim: dict[str, Any]) -> None:
    got = agree(textattack, counterparts.pwws(textattack), victim)
    assert statuses(got) >= {"skipped", "succeeded"}


def test_deepwordbug(textattack: Any, victim: dict[str, Any]) -> None:
    got = agree(textattack, counterparts.deepwordbug(textattack), victim)
    assert statuses(got) >= {"skipped", "succeeded"}


def test_textbugger(textattack: Any, victim: dict[str, Any]) -> None:
    texts = victim["texts"]
    got = agree(textattack, counterparts.textbugger(textattack, texts), victim)
    assert statuses(got) >= {"skipped", "succeeded"}
    grown = [
        len(final.split()) > len(t.split()) for (_, final, _), t in zip(got, texts, strict=True)
    ]
    assert any(grown)


@pytest.mark.parametrize("max_words", [1, 2])
def test_pruthi(textattack: Any, victim: dict[str, Any], max_words: int) -> None:
    few = slice(100 // max_words**2)  # hundreds of queries a text
    victim["texts"], victim["labels"] = victim["texts"][few], victim["labels"][few]
    got = agree(textattack, counterparts.pruthi(textattack, max_words), victim)
    assert statuses(got) >= {"skipped", "succeeded", "failed"}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("budget", [1, 2, 7, 40, 90])
def test_pwws_with_a_budget(textattack: Any, classes: int, budget: int) -> None:
    victim = BagOfWords(classes)
    labels = some_wrong(victim(REVIEWS).argmax(axis=1).tolist(), classes)
    compare_with_budget(textattack, counterparts.pwws(textattack), budget, victim, labels)


@pytest.mark.parametrize("limit", [3, 30])
@pytest.mark.parametrize("budget", [1, 10, 25])
def test_deepwordbug_with_limits(textattack: Any, budget: int, limit: int) -> None:
    victim = BagOfWords()
    labels = victim(REVIEWS).argmax(axis=1).tolist()
    compare_with_budget(
        textattack, counterparts.deepwordbug(textattack, limit), budget, victim, labels
    )


def compare_with_budget(
    textattack: Any, pair: Any, budget: int, victim: Any, labels: list[int]
) -> None:
    theirs = pair.build(wrapper(textattack, victim))
    theirs.goal_function.query_budget = budget
    expected = attacked_by_textattack(theirs, REVIEWS, labels, pair.before)
    got = attacked_here(pair.attack, REVIEWS, labels, victim, query_budget=budget)
    assert got == expected


@pytest.mark.parametrize("width", [1, 3])
def test_beams_over_texts_that_grow(textattack: Any, width: int) -> None:
    """Inserted spaces move words during the search; limits on perturbed words."""
    from textattack.constraints.overlap import MaxWordsPerturbed
    from textattack.constraints.pre_transformation import MaxModificationRate, StopwordModification
    from textattack.constraints.pre_transformation import MinWordLength as TheirLength
    from textattack.search_methods import BeamSearch as TheirBeam

    victim, texts = BagOfWords(), sentences(40)[24:]
    labels = victim(texts).argmax(axis=1).tolist()
    attack = WordSwapAttack(
        Union([substitutions.CharacterInsertion(letters=" ", skip_first=True)]),
        [
            MinWordLength(3),
            NoStopWords(),
            MaxChangedShare(0.3, at_least=2),
            MaxWordsChanged(share=0.9),
        ],
        BeamSearch(width),
    )
    edits = with_our_draws(textattack, attack)
    limits = [
        TheirLength(3),
        StopwordModification(),
        MaxModificationRate(0.3, min_threshold=2),
        MaxWordsPerturbed(max_percent=0.9),
    ]
    theirs = partial(counterparts.build, edits, limits, TheirBeam(width))
    got = check_agreement(textattack, attack, theirs, texts, labels, victim, before=edits.begin)
    assert statuses(got) >= {"failed"}


def test_ties_are_told_from_disagreements(textattack: Any) -> None:
    """A victim that counts letters gives many words the same importance."""

    def counting(texts: Any) -> Any:
        share = np.array([min(0.9, 0.1 + text.count("e") / 20) for text in texts], np.float32)
        return np.stack([share, 1 - share], axis=1)

    texts = [" ".join(text.split("e")[0] + text for text in [t, t[::-1]]) for t in REVIEWS[::2]]
    labels = counting(texts).argmax(axis=1).tolist()
    pair, other = (counterparts.deepwordbug(textattack, limit) for limit in (30, 3))
    settings: dict[str, Any] = {"before": pair.before, "allowed": 1}
    check_agreement(textattack, pair.attack, pair.build, texts, labels, counting, **settings)
    with pytest.raises(AssertionError, match="no tie explains"):
        check_agreement(
            textattack,
            pair.attack,
            other.build,
            texts,
            labels,
            counting,
            before=other.before,
            allowed=1,
        )


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        ("CharacterSwap", "NeighboringCharacterSwap", {}),
        ("CharacterDeletion", "RandomCharacterDeletion", {}),
        ("CharacterInsertion", "RandomCharacterInsertion", {}),
        ("KeyboardNeighbours", "QWERTY", {}),
        ("CharacterSubstitution", "RandomCharacterSubstitution", None),
        ("Homoglyphs", "HomoglyphSwap", None),
    ],
)
@pytest.mark.parametrize("every", [False, True])
def test_character_edits_have_the_same_range(
    textattack: Any, ours: str, theirs: str, settings: Any, every: bool
) -> None:
    """Exactly the edits that TextAttack can draw can be drawn."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - TextAttack draws from it
    rng = np.random.default_rng(0)
    places = [(False, False)] if settings is None else [(a, b) for a in (0, 1) for b in (0, 1)]
    for first, last in places:
        skipped = {} if settings is None else {"skip_first": bool(first), "skip_last": bool(last)}
        part = getattr(substitutions, ours)(every=every, **skipped)
        if theirs == "HomoglyphSwap":
            other = counterparts.their_homoglyphs(random_one=not every)
        else:
            other = getattr(textattack.transformations, f"WordSwap{theirs}")(
                random_one=not every,
                **{f"{name}_char": value for name, value in skipped.items()},
            )
        for word in ("a", "ab", "cat", "aa", "Zo-9", "it's"):
            times = 1500 if part.draws else 1
            drawn = {w for _ in range(times) for w in other._get_replacement_words(word)}
            here = {w for _ in range(times) for w in part.propose(word, rng.random(part.draws))}
            assert here == drawn - {word}, (word, skipped)


def test_all_homoglyphs(textattack: Any) -> None:
    theirs = counterparts.their_homoglyphs()
    for character in map(chr, range(32, 127)):
        expected = theirs._get_replacement_words(character)
        assert list(substitutions.Homoglyphs().propose(character)) == expected


def test_probabilities_of_a_model_wrapper(
    textattack: Any, trained_bert: Any, tokenizer: Any
) -> None:
    model = textattack.models.wrappers.HuggingFaceModelWrapper(trained_bert, tokenizer)
    assert probabilities(model)(["a dull film"]).sum() == pytest.approx(1)
