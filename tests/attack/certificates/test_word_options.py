"""What may stand in place of words, and what cannot be known of an attack."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    Attack,
    GeneticSearch,
    GreedyWordSwap,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    Substitution,
    Union,
    WordSwapAttack,
)
from rosearch.attack.certificates.certificate import certify
from rosearch.attack.certificates.word_options import word_options
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.make import make_victim
from rosearch.data import TextDataset
from rosearch.encode import encodings
from rosearch.errors import ArgumentError, DataError
from rosearch.space import templates
from tests.attack.certificates.test_certificate import (
    OPTIONS,
    InContext,
    Listed,
    attack,
    student,
)


class TestUnknown:
    @pytest.fixture
    def victim(self, tokenizer: Any) -> Any:
        return make_victim(student(templates.additive(), tokenizer), tokenizer)

    def reason(self, victim: Any, given: Attack, text: str = "good film") -> str:
        found = certify(victim, given, AttackedInput(text), 0)
        assert found.holds is None
        return found.reason

    def test_replacements_that_depend_on_context(self, victim: Any) -> None:
        given = WordSwapAttack(InContext(), [NoRepeat()])
        assert "proposes words by the context" in self.reason(victim, given)
        both = WordSwapAttack(Union([Listed(), InContext()]), [NoRepeat()])
        assert "proposes words by the context" in self.reason(victim, both)

    def test_words_that_are_replaced_again(self, victim: Any) -> None:
        assert "more than once" in self.reason(victim, WordSwapAttack(Listed()))

    def test_a_search_of_its_own(self, victim: Any) -> None:
        class Own(WordSwapAttack):
            def search(self, text: Words, context: Any) -> Any:
                yield []
                return text

        assert "no more than replace words" in self.reason(victim, Own(Listed(), [NoRepeat()]))

        class Method(GreedyWordSwap):
            name = "method"

        given = WordSwapAttack(Listed(), [NoRepeat()], Method())
        assert "the search method may do more" in self.reason(victim, given)
        given = WordSwapAttack(Listed(), [NoRepeat()], GeneticSearch())
        assert "the search genetic" in self.reason(victim, given)

    def test_parts_that_say_less_than_their_base(self, victim: Any) -> None:
        class Contextual(Union):
            def propose_in(self, text: Words, index: int, numbers: Sequence[float] = ()) -> Any:
                yield from ()
                return [text.words[0]]

        given = WordSwapAttack(Contextual([Listed()]), [NoRepeat()])
        assert "proposes words by the context" in self.reason(victim, given)

        class Sometimes(NoStopWords):
            def allows_word(self, text: Words, index: int) -> bool:
                return bool(text.changed)  # only once another word has been replaced

        found = word_options(
            WordSwapAttack(Listed(), [NoRepeat(), Sometimes()]), AttackedInput("good film")
        )
        assert [list(new) for new in found.options] == [
            list(OPTIONS["good"]),
            list(OPTIONS["film"]),
        ]

    def test_what_a_subclass_of_a_constraint_may_overrule(self, victim: Any) -> None:
        class Repeats(NoRepeat):
            def allows_word(self, text: Words, index: int) -> bool:
                return True

        assert "more than once" in self.reason(victim, WordSwapAttack(Listed(), [Repeats()]))

        class Looser(MaxWordsChanged):
            def allows_text(self, original: Words, candidate: Words) -> bool:
                return True

        attacked = AttackedInput("good film")
        for constraint, expected in ((MaxWordsChanged(1), 1), (Looser(1), None)):
            given = WordSwapAttack(Listed(), [NoRepeat(), constraint], resegment=False)
            assert word_options(given, attacked).most_changed == expected

    def test_proposals_that_are_no_list(self, victim: Any) -> None:
        class Letters(Listed):
            def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
                return "bad"

        with pytest.raises(DataError, match="list of strings"):
            certify(victim, WordSwapAttack(Letters(), [NoRepeat()]), AttackedInput("good"), 0)

    def test_too_many_forms(self, tokenizer: Any, dataset: TextDataset) -> None:
        class Many(Listed):
            def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
                return [f"{word}{k}" for k in range(60)]

        given = WordSwapAttack(Many(), [NoRepeat()])
        spelling = encodings.get("spelling").fit(dataset)
        model = student(templates.additive(), tokenizer)
        victim = make_victim(model, tokenizer, encoding=spelling)
        assert "over 4096 forms" in self.reason(victim, given, "a/b/c")
        assert "over 65536 pairs" in self.reason(victim, given, "a/b c")

    def test_white_space_at_the_ends_of_replacements(self, victim: Any) -> None:
        class Spaced(Listed):
            def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
                return (" x",)

        given = WordSwapAttack(Spaced(), [NoRepeat()])
        assert "white space at its ends" in self.reason(victim, given)

    def test_truncation(self, victim: Any) -> None:
        assert self.reason(victim, attack(), "the " * 61 + "dull") == "the text may be truncated"

    def test_tokenizers_that_read_words_together(self, tokenizer: Any) -> None:
        left = copy.deepcopy(tokenizer)
        left.truncation_side = "left"
        victim = make_victim(student(templates.additive(), left), left)
        assert "what the tokenizer makes of a word" in self.reason(victim, attack())

    def test_low_precision(self, tokenizer: Any) -> None:
        victim = make_victim(student(templates.additive(), tokenizer).bfloat16(), tokenizer)
        assert certify(victim, attack(), AttackedInput("good " * 6), 0).reason.startswith("more")

    def test_a_negative_limit_is_refused(self, victim: Any) -> None:
        with pytest.raises(ArgumentError, match="limit must be"):
            certify(victim, attack(), AttackedInput("good"), 0, limit=-1)
        with pytest.raises(ArgumentError, match="label must be"):
            certify(victim, attack(), AttackedInput("good"), 2)


class TestLimits:
    """Limits of changed words where words and changes are not one to one."""

    def victim(self, *wrong: str) -> Any:
        def scores(given: list[str]) -> np.ndarray:
            return np.array([[1.0, 0.0] if t in wrong else [0.0, 1.0] for t in given])

        return make_victim(scores)

    def holds(self, given: Attack, text: str, *wrong: str) -> bool | None:
        return certify(self.victim(*wrong), given, AttackedInput(text), 1).holds

    def swaps(self, resegment: bool = True, **options: tuple[str, ...]) -> WordSwapAttack:
        class Swaps(Substitution):
            name = "swaps"

            def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
                return options.get(word, ())

        return WordSwapAttack(Swaps(), [NoRepeat(), MaxWordsChanged(1)], resegment=resegment)

    def test_a_change_that_is_not_counted(self) -> None:
        # "Mr." is the word "Mr" again, so that MaxWordsChanged lets another be replaced.
        given = self.swaps(Mr=("Mr.",), slept=("kip",))
        assert self.holds(given, "Mr slept", "Mr. kip") is None
        assert self.holds(given, "Mr slept", "Mr. slept", "Mr. kip") is None
        assert self.holds(self.swaps(slept=("kip",)), "Mr slept", "Mr kip") is False

    def test_two_words_in_a_chunk(self) -> None:
        given = self.swaps(good=("bad",), great=("awful",))
        assert self.holds(given, "good/great", "bad/awful") is None
        assert self.holds(given, "good great", "bad awful") is True
        assert self.holds(given, "good great", "bad great") is False

    def test_words_that_are_split(self) -> None:
        given = self.swaps(good=("bad", "g ood"), great=("awful",))
        assert self.holds(given, "good film great", "bad film awful") is None

    def test_genetic_search_exceeds_them(self) -> None:
        names = "aa bb cc dd ee".split()
        given = self.swaps(resegment=False, **{name: (name.upper(),) for name in names})
        three = "AA BB CC dd ee"
        assert self.holds(given, " ".join(names), three) is True
        given.search_method = GeneticSearch()
        assert self.holds(given, " ".join(names), three) is None


def test_random_numbers_of_places_that_a_word_cannot_reach() -> None:
    class Drawn(Substitution):
        name = "drawn"
        draws = 1  # type: ignore[assignment]

        def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
            return ["a b", "bad"][int(2 * numbers[0]) :][:1] if word == "won" else []

    given = WordSwapAttack(Drawn(), [NoRepeat()])
    victim = make_victim(lambda texts: [[float("bad" in t), 0.5] for t in texts])
    for seed in range(6):
        own = word_options(given, AttackedInput("won"), seed=seed).options[0]
        found = certify(victim, given, AttackedInput("won"), 1, seed=seed).holds
        assert found == (None if "bad" in own and "a b" in own else "bad" not in own)
