"""Candidates: what is proposed, what constraints let through, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rosearch.attack import (
    Ask,
    CharacterEdits,
    CharacterInsertion,
    Constraint,
    Examined,
    NoRepeat,
    Oracle,
    SearchContext,
    Substitution,
    Union,
    Words,
    WordSwapAttack,
    WordSwaps,
)
from rosearch.errors import DataError


def finished(generator: Any, answers: Any = None) -> Any:
    """What a generator returns; every :class:`Ask` is answered by its oracle."""
    try:
        asked = next(generator)
        while True:
            asked = generator.send(asked.oracle.answer(asked.questions))
    except StopIteration as stop:
        return stop.value


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
        self._seen: list[str] = []

    def allows_text(self, original: Words, candidate: Words) -> bool:
        self._seen.append(candidate.text)
        return len(candidate.text) % 2 == 0


class TestCandidates:
    def test_sorted_by_text_and_without_the_word_itself(self) -> None:
        swaps = start(WordSwaps(Fixed("b", "a!", "one", "a")), "one, two")
        found = finished(swaps.candidates(swaps.original, 0))
        # The texts are sorted, not the words: "a!," comes before "a,".
        assert [t.text for t in found.texts] == ["a!, two", "a, two", "b, two"]
        assert found.similarities is None

    def test_constraints_see_what_those_before_let_through(self) -> None:
        first, second = Counting(), Counting()
        swaps = start(WordSwaps(Fixed("x", "xx", "xxx"), [first, second]), "one")
        found = finished(swaps.candidates(swaps.original, 0))
        assert [t.text for t in found.texts] == ["xx"]
        assert (first._seen, second._seen) == (["x", "xx", "xxx"], ["xx"])

    def test_similarities_stay_with_their_texts(self) -> None:
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

    def test_constraints_and_substitutions_ask_oracles(self) -> None:
        class Shout(Oracle):
            name = "shout"

            def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
                return [question.upper() for question in questions]

        class Asking(Substitution):
            name = "asking"

            def propose_in(self, text: Words, index: int, numbers: Any = ()) -> Any:
                return (yield Ask(oracle, [text.words[index], text.words[index] + "s"]))

        oracle = Shout(cache=False)
        swaps = start(WordSwaps(Union([Asking(), Fixed("ONES", "x")])), "one")
        found = finished(swaps.candidates(swaps.original, 0))
        assert [t.text for t in found.texts] == ["ONE", "ONES", "x"]
        with pytest.raises(NotImplementedError, match="Asking needs the words around"):
            Asking().propose("one")

    def test_words_that_may_not_be_replaced(self) -> None:
        swaps = start(WordSwaps(Fixed("x"), [NoRepeat()]), "one two three", visible=2)
        assert swaps.indices == (0, 1)
        once = swaps.original.replace(0, "x")
        assert finished(swaps.candidates(once, 0)).texts == ()
        assert [t.text for t in finished(swaps.candidates(once, 1)).texts] == ["x x three"]
        assert finished(swaps.candidates(once, 7)).texts == ()

    @pytest.mark.parametrize("resegment", [True, False])
    def test_a_word_that_became_two(self, resegment: bool) -> None:
        swaps = start(WordSwaps(Fixed("o ne"), [], resegment), "one two")
        (text,) = finished(swaps.candidates(swaps.original, 0)).texts
        assert text.text == "o ne two"
        assert text.words == (("o", "ne", "two") if resegment else ("o ne", "two"))
        assert text.changed == ({0, 1} if resegment else {0})


class TestRandomNumbers:
    def test_each_word_has_its_own_and_keeps_it(self) -> None:
        swaps = start(WordSwaps(CharacterEdits()), "letter letter letter")
        found = [
            [t.words[i] for t in finished(swaps.candidates(swaps.original, i)).texts]
            for i in range(3)
        ]
        assert len({tuple(words) for words in found}) == 3
        again = start(WordSwaps(CharacterEdits()), "letter letter letter")
        texts = finished(again.candidates(again.original.replace(0, "x"), 1)).texts
        assert [t.words[1] for t in texts] == found[1]

    def test_there_are_numbers_for_words_that_the_text_has_grown_by(self) -> None:
        swaps = start(WordSwaps(CharacterEdits()), "letter")
        grown = swaps.original.resegment(0, "let ter now")
        first, again = (
            [t.text for t in finished(swaps.candidates(grown, 2)).texts] for _ in range(2)
        )
        assert first == again
        assert first

    def test_every_place_has_a_letter_of_its_own(self) -> None:
        part = CharacterInsertion(every=True)
        assert part.draws == 1
        drawn = part.propose("aaaaaaaa", [0.123])
        assert len(drawn) == 8
        assert len({w.replace("a", "") for w in drawn}) > 3
        assert part.propose("aaaaaaaa", [0.123]) == drawn
        assert part.propose("aaaaaaaa", [0.124]) != drawn


def test_numbers_are_dealt_to_the_parts_of_a_union() -> None:
    whole, parts = CharacterEdits(), CharacterEdits().parts
    numbers = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2]
    places = [0, 1, 3, 4, 6]
    dealt = [
        new
        for part, a, b in zip(parts, places, places[1:], strict=False)
        for new in part.propose("letter", numbers[a:b])
    ]
    assert list(whole.propose("letter", numbers)) == dealt
    assert finished(whole.propose_in(Words.of("letter"), 0, numbers)) == dealt
    assert whole.settings == {"name": "character-edits"}


def test_an_attack_of_parts_has_their_settings() -> None:
    attack = WordSwapAttack(Union([CharacterInsertion(letters="xy"), Fixed("q")]), [NoRepeat()])
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
            {"name": "fixed", "words": ["q"]},
        ],
    }
    assert attack.settings["constraints"] == [{"name": "no-repeat"}]
    assert attack.settings["search_method"] == {"name": "greedy-word-swap", "ranking": "unknown"}


@pytest.mark.parametrize("given", ["LETTERS", None, 3])
def test_what_is_no_list_of_replacements_is_refused(given: Any) -> None:
    class Wrong(Fixed):
        def propose(self, word: str, numbers: Sequence[float] = ()) -> Any:
            return given

    swaps = start(WordSwaps(Wrong(), []), "a good film")
    with pytest.raises(DataError, match=r"Wrong\.propose must return the replacements"):
        finished(swaps.candidates(Words.of("a good film"), 1))
