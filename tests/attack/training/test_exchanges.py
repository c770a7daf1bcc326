"""Exchanges of words by attacks and substitutions: counts, constraints, context, refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from rosearch.attack import (
    CharacterEdits,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    WordExchanges,
    WordNetSynonyms,
    WordSwapAttack,
)
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import Constraint
from rosearch.attack.word_swaps.substitutions import Substitution, Union
from rosearch.data import Text, TextDataset
from rosearch.encode import WordClasses, WordNetExchanges
from rosearch.errors import ArgumentError, RegistryError
from tests.attack.synonyms import Misspelt, Synonyms

TEXTS: list[Text] = ["A good film, a GOOD plot.", "Good and bad, good", "dull film"]


class Pieces(Substitution):
    """The word in other cases, with signs, and as several words."""

    name = "pieces"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [word.upper(), f"New-{word}", f"not {word}", f"{word}'", "", "..."]


class Once(Substitution):
    """Replaces the first word of a text by the last, and remembers how often it was asked."""

    name = "once"

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        self._asked[text.text] += 1
        yield from ()
        return [text.words[-1]] if index == 0 else []


class Looked(Synonyms):
    """Synonyms, counted."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        self._asked[word] += 1
        return super().propose(word)


class AnyText(Constraint):
    """Allows everything, but judges whole texts."""

    name = "any-text"

    def allows_text(self, original: Words, candidate: Words) -> bool:
        return True


def test_occurrences_of_words_that_may_be_replaced() -> None:
    found = WordExchanges(Synonyms()).count(TEXTS)
    expected = {("good", w): 2.0 for w in ("great", "wonderful", "brilliant")}  # "GOOD" has none
    expected |= {("bad", w): 1.0 for w in ("awful", "terrible", "boring")}
    dull = ("stupid", "clumsy", "tedious", "weak", "horrible")
    assert found == expected | {("dull", w): 1.0 for w in dull}


def test_an_exchange_of_several_sources_counts_once() -> None:
    assert WordExchanges([Synonyms(), Synonyms()]).count(TEXTS) == WordExchanges(Synonyms()).count(
        TEXTS
    )
    both = WordExchanges([Synonyms(), Misspelt()]).count(TEXTS)
    alone = [dict(WordExchanges(source).count(TEXTS)) for source in (Synonyms(), Misspelt())]
    assert both == alone[0] | alone[1]


def test_each_word_is_looked_up_once() -> None:
    source = Looked()
    WordExchanges(source).count(TEXTS * 3)
    assert set(source._asked.values()) == {1}


def test_replacements_are_single_lower_case_words() -> None:
    assert WordExchanges(Pieces()).count(["Film film"]) == {("film", "new-film"): 2.0}


@pytest.mark.parametrize("resegment", [True, False])
@pytest.mark.parametrize("source", [Synonyms(), Pieces(), Misspelt()], ids=lambda s: s.name)
def test_looking_words_up_once_gives_what_every_text_gives(
    source: Substitution, resegment: bool, dataset: TextDataset
) -> None:
    constraints = [NoRepeat(), NoStopWords(), MinWordLength(4)]
    short = WordSwapAttack(source, constraints, resegment=resegment)
    for attack in (
        short.with_constraints(AnyText()),
        WordSwapAttack(Union([source]), constraints, resegment=resegment),
    ):
        texts = [*TEXTS, *dataset.texts[:50]]
        assert WordExchanges(short).count(texts) == WordExchanges(attack).count(texts)


def test_constraints_apply_to_each_word_in_its_text() -> None:
    attack = WordSwapAttack(Synonyms(), [NoStopWords(["good"])])
    assert not any("good" in pair for pair in WordExchanges(attack).count(TEXTS))
    attack = WordSwapAttack(Synonyms(), [MinWordLength(5)])
    assert not WordExchanges(attack).count(TEXTS)


def test_proposals_that_read_the_context_come_from_every_text() -> None:
    source = Once()
    found = WordExchanges(source).count(TEXTS)
    assert found == {("a", "plot"): 1.0, ("dull", "film"): 1.0}  # "Good ... good" is no exchange
    assert source._asked == {
        "A good film, a GOOD plot.": 6,
        "Good and bad, good": 4,
        "dull film": 2,
    }


def test_both_texts_of_a_pair_count() -> None:
    found = WordExchanges(Synonyms()).count([("good", "bad"), ("a", "good")])
    assert found["good", "great"] == 2
    assert found["bad", "awful"] == 1


def test_counts_of_some_of_the_texts_are_scaled_to_all() -> None:
    texts = ["good"] * 40 + ["bad"] * 40
    found = WordExchanges(Synonyms(), max_texts=20).count(texts)
    assert found["good", "great"] + found["bad", "awful"] == 80
    assert 0 < found["good", "great"] < 80
    assert found == WordExchanges(Synonyms(), max_texts=20).count(texts)
    assert found != WordExchanges(Synonyms(), max_texts=20, seed=1).count(texts)
    assert WordExchanges(Synonyms(), max_texts=80).count(texts)["good", "great"] == 40


def test_pwws_has_the_exchanges_of_wordnet(wordnet_folder: Path, dataset: TextDataset) -> None:
    for source in ("pwws", WordNetSynonyms()):
        found = WordExchanges(source).count(dataset.texts)
        plain = WordNetExchanges().count(dataset.texts)
        # An attack may put stop words in the place of other words.
        missing = {pair for pair in plain if pair not in found and "." not in pair[1]}
        assert len(plain) > 100
        assert not missing
        assert all(found[pair] == plain[pair] for pair in plain if pair in found)


def test_settings_name_sources_and_constraints() -> None:
    exchanges = WordExchanges([WordSwapAttack(Synonyms(), [NoRepeat()])], max_texts=10)
    settings = json.loads(json.dumps(exchanges.settings))
    assert settings["name"] == "word-exchanges"
    assert settings["max_texts"] == 10
    (source,) = settings["sources"]
    assert source["substitution"]["name"] == "synonyms"
    assert [c["name"] for c in source["constraints"]] == ["no-repeat"]


@pytest.mark.parametrize("source", ["deepwordbug", CharacterEdits(), Union([CharacterEdits()])])
def test_random_replacements_are_refused(source: str | Substitution) -> None:
    with pytest.raises(ArgumentError, match="use the encoding spelling for character edits"):
        WordExchanges([Synonyms(), source])


def test_arguments_are_checked() -> None:
    with pytest.raises(ArgumentError, match="max_texts"):
        WordExchanges(Synonyms(), max_texts=0)
    with pytest.raises(ArgumentError, match="sources"):
        WordExchanges([])
    with pytest.raises(RegistryError, match="no_such_attack"):
        WordExchanges("no_such_attack")


def test_encodings_learn_from_them(dataset: TextDataset) -> None:
    encoding = WordClasses.fit(dataset, exchanges=WordExchanges(Synonyms()), strength=10.0)
    assert len({encoding.word(word) for word in ("good", "great", "wonderful", "brilliant")}) == 1
    assert encoding("a film") == "a film"
