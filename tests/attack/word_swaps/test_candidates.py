"""Candidates: what is proposed, what constraints allow, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rosearch.attack import (
    CharacterEdits,
    Constraint,
    Examined,
    MaxWordsChanged,
    NoRepeat,
    SearchContext,
    Substitution,
    Words,
    WordSwaps,
)
from rosearch.errors import DataError
from tests.attack.word_swaps.helpers import finished


def start(swaps: WordSwaps, text: str, visible: int | None = None) -> Any:
    words = Words.of(text)
    indices = tuple(range(len(words) if visible is None else visible))
    return swaps.start(words, SearchContext(0.0, indices, text))


class Fixed(Substitution):
    name = "fixed"

    def __init__(self, *words: str) -> None:
        self.words = words

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return self.words


class Counting(Constraint):
    """Keeps texts of an even number of characters; knows what it was asked about."""

    name = "counting"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def allows_text(self, original: Words, candidate: Words) -> bool:
        self.seen.append(candidate.text)
        return len(candidate.text) % 2 == 0


class TestCandidates:
    def test_sorted_by_text_and_without_the_word_itself(self) -> None:
        swaps = start(WordSwaps(Fixed("b", "a!", "one", "a")), "one, two")
        found = finished(swaps.candidates(swaps.original, 0))
        # The texts are sorted, not the words: "a!," comes before "a,".
        assert [t.text for t in found.texts] == ["a!, two", "a, two", "b, two"]
        assert found.similarities == [0, 0, 0]

    def test_each_constraint_sees_what_those_before_it_allow(self) -> None:
        first, second = Counting(), Counting()
        swaps = start(WordSwaps(Fixed("x", "xx", "xxx"), [first, second]), "one")
        found = finished(swaps.candidates(swaps.original, 0))
        assert [t.text for t in found.texts] == ["xx"]
        assert (first.seen, second.seen) == (["x", "xx", "xxx"], ["xx"])

    def test_similarities_are_sorted_with_their_texts(self) -> None:
        class Measuring(Constraint):
            name = "measuring"

            def examine(self, change: Any) -> Any:
                yield from ()
                lengths = [float(len(t.text)) for t in change.candidates]
                return Examined([True] * len(lengths), lengths)

        swaps = start(WordSwaps(Fixed("zz", "yyyy", "x"), [Measuring(), Counting()]), "one")
        found = finished(swaps.candidates(swaps.original, 0))
        assert [t.text for t in found.texts] == ["yyyy", "zz"]
        assert found.similarities == [4, 2]

    def test_word_that_may_not_be_replaced_has_no_candidates(self) -> None:
        swaps = start(WordSwaps(Fixed("x"), [NoRepeat()]), "one two three", visible=2)
        assert swaps.indices == (0, 1)
        once = swaps.original.replace(0, "x")
        assert finished(swaps.candidates(once, 0)).texts == ()
        assert [t.text for t in finished(swaps.candidates(once, 1)).texts] == ["x x three"]
        assert finished(swaps.candidates(once, 7)).texts == ()

    @pytest.mark.parametrize("resegment", [True, False])
    def test_replacement_by_two_words(self, resegment: bool) -> None:
        swaps = start(WordSwaps(Fixed("o ne"), [], resegment), "one two")
        (text,) = finished(swaps.candidates(swaps.original, 0)).texts
        assert text.text == "o ne two"
        assert text.words == (("o", "ne", "two") if resegment else ("o ne", "two"))
        assert text.changed == ({0, 1} if resegment else {0})


class OddWords(Constraint):
    """Words of an odd number of characters, whatever the others are."""

    name = "odd-words"
    reads_word_alone = True

    def __init__(self) -> None:
        self.asked = 0

    def allows_text(self, original: Words, candidate: Words) -> bool:
        self.asked += 1
        return all(len(candidate.words[index]) % 2 for index in candidate.changed)


class Measuring(Constraint):
    """Longer words are more similar, whatever the others are."""

    name = "measuring"
    reads_word_alone = True

    def examine(self, change: Any) -> Any:
        yield from ()
        lengths = [float(len(t.words[change.index])) for t in change.candidates]
        return Examined([True] * len(lengths), lengths)


class FirstTwo(Constraint):
    """The verdict on a candidate depends on the others."""

    name = "first-two"

    def examine(self, change: Any) -> Any:
        yield from ()
        return Examined([place < 2 for place in range(len(change.candidates))])


class NotAlone(OddWords):
    reads_word_alone = property(lambda _: False)  # type: ignore[assignment]

    def allows_text(self, original: Words, candidate: Words) -> bool:
        return len(candidate.text) < 6


class EvenWords(OddWords):
    """What a subclass overrides need not hold for the word alone."""

    def allows_text(self, original: Words, candidate: Words) -> bool:
        return not super().allows_text(original, candidate)


class TestWordsThatKeepTheirPlaces:
    """What depends on a word alone is found once; the result is the same."""

    @pytest.mark.parametrize("odd", [OddWords, EvenWords])
    @pytest.mark.parametrize("most", [0, 1, 2, 3])
    def test_same_candidates_as_where_words_may_move(self, odd: Any, most: int) -> None:
        limit = MaxWordsChanged(most)
        proposed = Fixed("x", "yy", "zzz", "one", "two")
        fast, slow = (
            start(WordSwaps(proposed, [limit, odd(), Measuring()], k), "one two")
            for k in (False, 1)
        )
        texts = [fast.original]
        for _ in range(2):
            for text in list(texts):
                for index in range(2):
                    found = finished(fast.candidates(text, index))
                    expected = finished(slow.candidates(text, index))
                    assert list(found.texts) == list(expected.texts)
                    assert list(found.similarities) == list(expected.similarities)
                    texts += found.texts
        assert (len(texts) > 1) == (most > 0)

    def test_each_word_is_asked_for_once_at_its_place(self) -> None:
        odd = OddWords()
        swaps = start(WordSwaps(Fixed("x", "yy"), [odd, Counting()], False), "one two")
        for _ in range(3):
            finished(swaps.candidates(swaps.original, 0))
        assert odd.asked == 2
        finished(swaps.candidates(swaps.original, 1))
        finished(swaps.candidates(swaps.original.replace(1, "x"), 1))
        assert odd.asked == 5  # "x" is no replacement of itself
        finished(swaps.candidates(swaps.original.replace(1, "x"), 0))
        assert odd.asked == 5

    def test_verdicts_that_depend_on_other_candidates_keep_their_turn(self) -> None:
        proposed = Fixed("xx", "c", "d")
        swaps = start(WordSwaps(proposed, [FirstTwo(), OddWords()], False), "one two")
        assert [t.text for t in finished(swaps.candidates(swaps.original, 0)).texts] == ["c two"]

    def test_a_flag_that_is_a_property_counts_by_its_value(self) -> None:
        swaps = start(WordSwaps(Fixed("xxx"), [NotAlone()], False), "one two")
        shorter = swaps.original.replace(1, "y")
        assert len(finished(swaps.candidates(shorter, 0)).texts) == 1
        assert finished(swaps.candidates(swaps.original, 0)).texts == []

    def test_equal_constraints_are_all_checked(self) -> None:
        class Equal(OddWords):
            def __eq__(self, other: object) -> bool:
                return isinstance(other, OddWords)

            __hash__ = None  # type: ignore[assignment]

            def allows_text(self, original: Words, candidate: Words) -> bool:
                return "x" not in candidate.text

        swaps = start(WordSwaps(Fixed("x", "y"), [OddWords(), Equal()], False), "one two")
        assert [t.text for t in finished(swaps.candidates(swaps.original, 0)).texts] == ["y two"]

    def test_other_random_numbers_have_a_memory_of_their_own(self) -> None:
        swaps = start(WordSwaps(CharacterEdits(), [], False), "letter letter")
        first = finished(swaps.candidates(swaps.original, 0)).texts
        assert start(swaps.swaps, "letter letter") == swaps
        others = replace(swaps, numbers=[[1 - x for x in row] for row in swaps.numbers])
        assert finished(others.candidates(others.original, 0)).texts != first

    def test_proposals_that_read_the_text_are_made_anew(self) -> None:
        class Longer(Fixed):
            def propose_in(self, text: Words, index: int, numbers: Sequence[float] = ()) -> Any:
                yield from ()
                return [f"{len(text.text)}"]

        swaps = start(WordSwaps(Longer(), [OddWords()], False), "one two")
        assert [str(t) for t in finished(swaps.candidates(swaps.original, 0)).texts] == ["7 two"]
        longer = swaps.original.replace(1, "longer")
        found = finished(swaps.candidates(longer, 0))
        assert found.texts == []  # "10", and "longer" are even

    def test_nothing_is_proposed_where_no_word_could_be_allowed(self) -> None:
        class Never(Fixed):
            def propose(self, word: str, numbers: Sequence[float] = ()) -> Any:
                raise AssertionError

        swaps = start(WordSwaps(Never(), [MaxWordsChanged(1)], False), "one two")
        assert finished(swaps.candidates(swaps.original.replace(0, "x"), 1)).texts == ()
        with pytest.raises(AssertionError):
            finished(swaps.candidates(swaps.original.replace(0, "x"), 0))


class TestRandomNumbers:
    def test_each_word_has_its_own_numbers_throughout_an_attack(self) -> None:
        swaps = start(WordSwaps(CharacterEdits()), "letter letter letter")
        found = [
            [t.words[i] for t in finished(swaps.candidates(swaps.original, i)).texts]
            for i in range(3)
        ]
        assert len({tuple(words) for words in found}) == 3
        again = start(WordSwaps(CharacterEdits()), "letter letter letter")
        texts = finished(again.candidates(again.original.replace(0, "x"), 1)).texts
        assert [t.words[1] for t in texts] == found[1]

    def test_numbers_for_words_added_to_the_text(self) -> None:
        swaps = start(WordSwaps(CharacterEdits()), "letter")
        grown = swaps.original.resegment(0, "let ter now")
        first, again = (
            [t.text for t in finished(swaps.candidates(grown, 2)).texts] for _ in range(2)
        )
        assert first == again
        assert first


@pytest.mark.parametrize("given", ["LETTERS", None, 3])
def test_proposal_that_is_not_a_list_is_an_error(given: Any) -> None:
    class Wrong(Fixed):
        def propose(self, word: str, numbers: Sequence[float] = ()) -> Any:
            return given

    swaps = start(WordSwaps(Wrong(), []), "a good film")
    with pytest.raises(DataError, match=r"Wrong\.propose must return the replacements"):
        finished(swaps.candidates(Words.of("a good film"), 1))
