"""Attacks by misspellings, with TextAttack's thresholds as defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    Constraint,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.word_swaps.constraints.sentence import SentenceSimilarity
from rosearch.attack.word_swaps.searches import BeamSearch, GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import (
    CharacterDeletion,
    CharacterEdits,
    CharacterInsertion,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
    Union,
)
from rosearch.attack.word_swaps.substitutions.vectors import NearestNeighbours


@attacks.register("deepwordbug")
class DeepWordBug(WordSwapAttack):
    """Typing errors in the words that matter most.

    Gao, Lanchantin, Soffa, Qi: "Black-box Generation of Adversarial Text Sequences to Evade Deep
    Learning Classifiers", arXiv 1801.04354, as TextAttack's recipe of that name builds it: words
    ranked by blotting each out, then the best of four random character edits for each.

    Args:
        max_edit_distance: Largest edit distance from the original, in characters.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
    """

    def __init__(
        self, *, max_edit_distance: int = 30, stop_words: Iterable[str] | None = None
    ) -> None:
        super().__init__(
            CharacterEdits(),
            [NoRepeat(), NoStopWords(stop_words), MaxEditDistance(max_edit_distance)],
            GreedyWordSwap("unknown"),
        )


@attacks.register("textbugger")
class TextBugger(WordSwapAttack):
    """Typing errors, look-alikes and near words in the words that matter most.

    Li, Ji, Du, Li, Wang: "TextBugger: Generating Adversarial Text Against Real-world Applications",
    NDSS 2019, arXiv 1812.05271, as TextAttack's recipe builds it: words ranked by deleting each,
    then the best of five kinds of bugs: a space put in, a character left out, two exchanged (first
    and last characters stay), any character replaced by a look-alike, the word by a near one. The
    paper ranks the sentences of a document first, puts spaces into words below six letters only,
    and knows keyboard neighbours besides look-alikes.

    Args:
        neighbours: How many of the nearest words are proposed.
        min_similarity: Smallest angular similarity of the whole text to the original. The value was
            chosen for the Universal Sentence Encoder.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` leaves
            the similarity out.

    Raises:
        MissingResourceError: There are no vectors, or no encoder, on this machine.
    """

    def __init__(
        self,
        *,
        neighbours: int = 5,
        min_similarity: float = 0.8,
        stop_words: Iterable[str] | None = None,
        vectors: Any = None,
        encoder: Any = None,
    ) -> None:
        bugs = Union(
            [
                CharacterInsertion(letters=" ", skip_first=True, skip_last=True),
                CharacterDeletion(skip_first=True, skip_last=True),
                CharacterSwap(skip_first=True, skip_last=True),
                Homoglyphs(),
                NearestNeighbours(neighbours, vectors=vectors),
            ]
        )
        constraints: list[Constraint] = [NoRepeat(), NoStopWords(stop_words)]
        if encoder is not False:
            constraints.append(SentenceSimilarity(encoder, min_similarity, metric="angular"))
        super().__init__(bugs, constraints, GreedyWordSwap("deletion"))


@attacks.register("pruthi")
class Pruthi(WordSwapAttack):
    """The one typing error that hurts most.

    Pruthi, Dhingra, Lipton: "Combating Adversarial Misspellings with Robust Word Recognition", ACL
    2019, arXiv 1905.11268, as TextAttack's recipe builds it: all words and places are tried, for
    two characters exchanged, one left out, one put in, or one replaced by a neighbour on the
    keyboard; first and last characters stay. The letter put in is drawn for each place, where the
    paper tries every one.

    Args:
        max_words: Most words changed. The paper has 1 and 2.
        min_length: Fewest characters of a word that may be changed.
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        width: Texts kept at each step of the search.

    Raises:
        DataError: A number is no whole one, or too small.
    """

    def __init__(
        self,
        *,
        max_words: int = 1,
        min_length: int = 4,
        stop_words: Iterable[str] | None = None,
        width: int = 1,
    ) -> None:
        super().__init__(
            Union(
                [
                    CharacterSwap(every=True, skip_first=True, skip_last=True),
                    CharacterDeletion(every=True, skip_first=True, skip_last=True),
                    CharacterInsertion(every=True, skip_first=True, skip_last=True),
                    KeyboardNeighbours(every=True, skip_first=True, skip_last=True),
                ]
            ),
            [
                MinWordLength(min_length),
                NoStopWords(stop_words),
                MaxWordsChanged(max_words),
                NoRepeat(),
            ],
            BeamSearch(width),
        )
