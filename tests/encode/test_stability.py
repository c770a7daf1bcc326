from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rosearch.data import Text, TextDataset
from rosearch.encode import Chain, Encoding, Spelling, reachable, single_typos, worst_case
from rosearch.encode.synonym_encoding import SynonymEncoding
from rosearch.encode.testing import Synonyms
from rosearch.errors import ArgumentError

TRAIN = TextDataset(
    ["a good film", "a bad film", "a fine plot", "a dull plot"], [1, 0, 1, 0], classes=("no", "yes")
)


class Vowels(Encoding):
    """Reads a word as its vowels, at most two of them."""

    def word(self, word: str) -> str:
        return "".join(letter for letter in word if letter in "aeiou")[:2] or "a"


class Counter:
    """Scores of a text for "yes" and "no": how often words are in it. Counts the texts."""

    def __init__(self, **words: int) -> None:
        self.words = words
        self.texts = 0

    def __call__(self, texts: list[Text]) -> np.ndarray:
        self.texts += len(texts)
        flat = [text if isinstance(text, str) else " ".join(text) for text in texts]
        scores = [sum(self.words.get(word, 0) for word in text.split()) for text in flat]
        return np.array([(0.5, score) for score in scores])


class TestTypos:
    def test_all_single_typos_of_a_word(self) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        expected = {"god"} | {f"g{c}od" for c in letters}
        expected |= {f"go{c}d" for c in letters} | {f"g{c}ood" for c in letters}
        expected |= {f"go{c}od" for c in letters} | {f"goo{c}d" for c in letters}
        assert single_typos("good") == expected - {"good"}
        assert "gdoo" not in single_typos("good")
        assert {"fiml", "iflm"} & single_typos("film") == set()
        assert "flim" in single_typos("film")

    def test_number_of_typos_of_eight_letters(self) -> None:
        assert len(single_typos("abcdefgh")) == 6 + 5 + 6 * 25 + 7 * 26 - 6

    def test_short_words_have_none(self) -> None:
        assert single_typos("bad") == frozenset()


class TestReachable:
    def test_canonical_forms_of_all_typos_and_of_the_word(self) -> None:
        encoding = Vowels()
        expected = {encoding.word(typo) for typo in (*single_typos("film"), "film")}
        assert reachable(encoding, "film") == expected
        assert reachable(encoding, "bad") == {"a"}

    def test_is_computed_once(self) -> None:
        calls = []

        class Noted(Vowels):
            def word(self, word: str) -> str:
                calls.append(word)
                return super().word(word)

        encoding = Noted()
        first = reachable(encoding, "film")
        number = len(calls)
        assert reachable(encoding, "film") is first
        assert len(calls) == number


class TestWorstCase:
    def test_equals_the_classification_of_every_misspelt_text(self) -> None:
        encoding, classify = Vowels(), Counter(i=1, a=1, oo=2, o=1, io=-1)
        texts, labels = ["a film", "a bad oo", "bad", "film film good"], [1, 1, 0, 1]
        found = worst_case(classify, texts, labels, encoding)
        for text, label, robust in zip(texts, labels, found.robust, strict=True):
            spellings = [(word, *single_typos(word)) for word in text.split()]
            forms = [{encoding.word(word) for word in words} for words in spellings]
            scores = classify([" ".join(words) for words in itertools.product(*forms)])
            assert robust == bool((scores.argmax(axis=1) == label).all())
        assert set(found.robust) == {True, False}
        assert found.exact == 1.0
        assert found.lower == found.upper == np.mean(found.robust)
        assert found.combinations[1] == 1

    def test_search_finds_a_mistake_where_there_are_too_many_texts(self) -> None:
        # Only all words together outweigh the answer.
        words = {"i": 1, "io": -1}
        texts = ["film film film film", "a bad"]
        found = worst_case(Counter(**words, a=1), texts, [1, 1], Vowels(), limit=5)
        assert found.robust == (False, True)

    def test_a_text_is_undecided_where_search_finds_no_mistake(self) -> None:
        found = worst_case(Counter(a=9, i=1), ["a film film", "a"], [1, 1], Vowels(), limit=5)
        assert found.robust == (None, True)
        assert (found.exact, found.lower, found.upper) == (0.5, 0.5, 1.0)
        size = len(reachable(Vowels(), "film"))
        assert found.mean_combinations == (size**2 + 1) / 2

    def test_equal_scores_give_the_first_class(self) -> None:
        classify = lambda texts: np.zeros((len(texts), 2))  # noqa: E731
        assert worst_case(classify, ["a", "a"], [0, 1], Vowels()).robust == (True, False)

    def test_a_mistake_ends_the_enumeration(self) -> None:
        classify = Counter()
        assert worst_case(classify, ["film film"], [1], Vowels()).robust == (False,)
        assert classify.texts <= 256

    def test_both_sides_of_pairs_are_misspelt(self) -> None:
        pairs = [("a", "film")]
        assert worst_case(Counter(a=1), pairs, [1], Vowels()).robust == (True,)
        assert worst_case(Counter(i=1), pairs, [1], Vowels()).robust == (False,)

    def test_gives_the_same_again(self) -> None:
        texts = ["film good dull plot"] * 3
        runs = [worst_case(Counter(i=1, u=1), texts, [1] * 3, Vowels(), limit=1) for _ in range(2)]
        assert runs[0] == runs[1]

    @pytest.mark.parametrize("wrap", [lambda spelling: spelling, lambda s: Chain([s, Vowels()])])
    def test_encodings_that_read_words_together_are_refused(self, wrap: Any) -> None:
        for together in ({"joins": False}, {"neighbours": False}):
            with pytest.raises(ArgumentError, match="joins=False, neighbours=False"):
                worst_case(Counter(), ["a"], [0], wrap(Spelling.fit(TRAIN, **together)))
        alone = wrap(Spelling.fit(TRAIN, joins=False, neighbours=False))
        assert worst_case(Counter(), ["good film"], [0], alone).robust == (True,)

    def test_a_setting_of_that_name_is_no_reason_to_refuse(self) -> None:
        encoding = SynonymEncoding.fit(TRAIN, neighbours=5, exchanges=Synonyms())
        assert encoding.reads_words_alone
        worst_case(Counter(), ["good"], [0], Chain([encoding, Spelling.fit(TRAIN)]))

    @pytest.mark.parametrize(("texts", "labels"), [([], []), (["a"], [0, 1])])
    def test_texts_and_labels_must_match(self, texts: list[str], labels: list[int]) -> None:
        with pytest.raises(ArgumentError, match="labels"):
            worst_case(Counter(), texts, labels, Vowels())

    def test_the_limit_is_checked(self) -> None:
        with pytest.raises(ArgumentError, match="limit"):
            worst_case(Counter(), ["a"], [0], Vowels(), limit=0)
