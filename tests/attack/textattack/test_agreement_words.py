# ruff: noqa: RUF001 - look-alikes of letters are the point of some cases
"""Words are segmented, replaced, split, deleted and counted as by TextAttack's ``AttackedText``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack import MaxChangedShare, MaxEditDistance, MaxWordsChanged, MinWordLength, Words
from tests.attack.textattack.agreement import REVIEWS

_TEXT = st.text(
    st.one_of(
        st.characters(codec="ascii"),  # other texts follow Unicode, see rosearch.words
        st.sampled_from("ab'-_*@ .,˗`×"),
    )
)
_PLAIN = st.lists(st.sampled_from("a bb can't x-ray . , -- ' \n 7 ×".split(" ")), max_size=8).map(
    " ".join
)
_NEW = st.sampled_from(["x", "wo rd", "a b c", "", "bb", "[UNK]", "can't", ",", "x-y z", " q"])


@pytest.mark.parametrize(
    "text",
    [
        *REVIEWS,
        "",
        ">>>>",
        "it's 'quoted' -- and -dashed- *starred* x@y.com _under_ a'",
        "naïve café ∆ ×times˗ `tick` ñandú 🙂 ok",
        "tabs\tand\nlines\u00a0here\x1fthere",
        "Ƽ ᏎƷ ᒿ 𝟕 б ৭ Ȣ ᴢ",
    ],
)
def test_words_are_segmented_alike(textattack: Any, text: str) -> None:
    from textattack.shared.utils import words_from_text

    assert list(Words.of(text).words) == words_from_text(text)


def test_arbitrary_text_is_segmented_alike(textattack: Any) -> None:
    from textattack.shared.utils import words_from_text

    @given(_TEXT)
    def check(text: str) -> None:
        assert list(Words.of(text).words) == words_from_text(text)

    check()


def test_replacements_count_words_alike(textattack: Any) -> None:
    """One replacement after the other: text, words, and which of them count as changed."""
    from textattack.shared import AttackedText

    @given(st.one_of(_TEXT, _PLAIN), st.data())
    def check(text: str, data: st.DataObject) -> None:
        ours, theirs = Words.of(text), AttackedText(text)
        for _ in range(4):
            if not len(ours):
                return
            index = data.draw(st.integers(0, len(ours) - 1))
            new = data.draw(_NEW.filter(lambda word: len(Words.of(word))))
            if new == theirs.words[index]:
                continue
            ours, theirs = ours.resegment(index, new), theirs.replace_word_at_index(index, new)
            assert ours.text == theirs.text
            assert list(ours.words) == theirs.words
            assert ours.changed == theirs.attack_attrs["modified_indices"]

    check()


def test_words_are_deleted_alike(textattack: Any) -> None:
    from textattack.shared import AttackedText

    @given(st.one_of(_TEXT, _PLAIN), st.data())
    def check(text: str, data: st.DataObject) -> None:
        ours = Words.of(text)
        if not len(ours):
            return
        index = data.draw(st.integers(0, len(ours) - 1))
        assert ours.without(index).text == AttackedText(text).delete_word_at_index(index).text

    check()


def test_limits_on_changes_allow_the_same(textattack: Any) -> None:
    from textattack.constraints.overlap import LevenshteinEditDistance, MaxWordsPerturbed
    from textattack.constraints.pre_transformation import MaxModificationRate
    from textattack.constraints.pre_transformation import MinWordLength as TheirLength
    from textattack.shared import AttackedText

    @given(_PLAIN, st.data())
    def check(text: str, data: st.DataObject) -> None:
        original, before = Words.of(text), AttackedText(text)
        ours, theirs = original, before
        share = data.draw(st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]))
        number = data.draw(st.integers(1, 4))
        for _ in range(3):
            if not len(ours):
                return
            index = data.draw(st.integers(0, len(ours) - 1))
            new = data.draw(st.sampled_from(["x", "wo rd", "bb", "a b c"]))
            if new == theirs.words[index]:
                continue
            ours, theirs = ours.resegment(index, new), theirs.replace_word_at_index(index, new)
            pairs = [
                (MaxWordsChanged(number), MaxWordsPerturbed(max_num_words=number)),
                (MaxWordsChanged(share=share), MaxWordsPerturbed(max_percent=share)),
                (MaxWordsChanged(number, share=share), MaxWordsPerturbed(number, share)),
                (MaxEditDistance(number), LevenshteinEditDistance(number)),
            ]
            for here, there in pairs:
                assert here.allows_text(original, ours) == there._check_constraint(theirs, before)
            words = [
                (MinWordLength(number), TheirLength(number)),
                (
                    MaxChangedShare(share, at_least=number),
                    MaxModificationRate(share, min_threshold=number),
                ),
            ]
            for here, there in words:
                allowed = {i for i in range(len(ours)) if here.allows_word(ours, i)}
                assert allowed == set(there._get_modifiable_indices(theirs))

    check()


def test_the_same_stop_words(textattack: Any) -> None:
    import inspect
    import re

    import nltk
    from textattack.attack_recipes import TextFoolerJin2019

    from rosearch.stop_words import STOP_WORDS, TEXTFOOLER_STOP_WORDS

    assert set(nltk.corpus.stopwords.words("english")) == STOP_WORDS
    source = inspect.getsource(TextFoolerJin2019.build)
    (listed,) = re.findall(r"stopwords = set\(\s*\[(.*?)\]", source, re.DOTALL)
    assert set(re.findall(r'"([^"]+)"', listed)) == TEXTFOOLER_STOP_WORDS
