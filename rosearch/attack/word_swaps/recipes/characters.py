"""Recipes that misspell words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosearch.attack.base import attacks
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import (
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    SentenceSimilarity,
)
from rosearch.attack.word_swaps.recipes.shared import unless_disabled
from rosearch.attack.word_swaps.searches import BeamSearch, GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import (
    CharacterDeletion,
    CharacterEdits,
    CharacterInsertion,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
    NearestNeighbours,
    Union,
)
from rosearch.checks import whole_number


@attacks.register("deepwordbug")
class DeepWordBug(WordSwapAttack):
    """Random character edits of the most important words.

    Gao, Lanchantin, Soffa, Qi: "Black-box Generation of Adversarial Text Sequences to Evade Deep
    Learning Classifiers", arXiv 1801.04354, like TextAttack's recipe: words are ranked by replacing
    each with ``[UNK]``, then the best of four random edits is taken for each.

    Args:
        max_edit_distance: Maximum edit distance from the original text, in characters.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
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
    """Character edits, homoglyphs and nearest words for the most important words.

    Li, Ji, Du, Li, Wang: "TextBugger: Generating Adversarial Text Against Real-world Applications",
    NDSS 2019, arXiv 1812.05271, like TextAttack's recipe: words are ranked by deleting each, then
    the best of five kinds of bugs is taken: a space inserted, a character deleted, two characters
    swapped (the first and last stay), any character replaced by a homoglyph, the word replaced by a
    nearest word. The paper also ranks the sentences of a document, inserts spaces only into words
    of less than six letters, and uses keyboard neighbours besides homoglyphs.

    Args:
        neighbours: Number of nearest words; 0: character edits only, which need no vectors.
        min_similarity: Minimum angular similarity of the whole text to the original. The value was
            tuned for the Universal Sentence Encoder.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        vectors: Word vectors; see :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        encoder: Sentence encoder; see
            :class:`~rosearch.attack.word_swaps.constraints.SentenceSimilarity`. ``False`` disables
            the constraint.

    Raises:
        MissingResourceError: There are no vectors, or no encoder.
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
        whole_number("neighbours", neighbours, 0)
        bugs = [
            CharacterInsertion(letters=" ", skip_first=True, skip_last=True),
            CharacterDeletion(skip_first=True, skip_last=True),
            CharacterSwap(skip_first=True, skip_last=True),
            Homoglyphs(),
            *([NearestNeighbours(neighbours, vectors=vectors)] if neighbours else []),
        ]
        super().__init__(
            Union(bugs),
            [
                NoRepeat(),
                NoStopWords(stop_words),
                *unless_disabled(SentenceSimilarity, encoder, min_similarity, metric="angular"),
            ],
            GreedyWordSwap("deletion"),
        )


@attacks.register("pruthi")
class Pruthi(WordSwapAttack):
    """The single most harmful misspelling.

    Pruthi, Dhingra, Lipton: "Combating Adversarial Misspellings with Robust Word Recognition", ACL
    2019, arXiv 1905.11268, like TextAttack's recipe: all words and positions are tried, for two
    characters swapped, one deleted, one inserted, or one replaced by a keyboard neighbour; the
    first and last characters stay. The inserted letter is drawn at random for each position, where
    the paper tries all.

    Args:
        max_words: Maximum number of perturbed words. The paper uses 1 and 2.
        min_length: Minimum number of characters of a word that may be perturbed.
        stop_words: Words that are not replaced, case-sensitive. Default: NLTK's English list.
        width: Number of texts kept at each step of the search.

    Raises:
        ArgumentError: A number is out of range.
    """

    def __init__(
        self,
        *,
        max_words: int = 1,
        min_length: int = 4,
        stop_words: Iterable[str] | None = None,
        width: int = 1,
    ) -> None:
        kinds = (CharacterSwap, CharacterDeletion, CharacterInsertion, KeyboardNeighbours)
        super().__init__(
            Union([kind(every=True, skip_first=True, skip_last=True) for kind in kinds]),
            [
                MinWordLength(min_length),
                NoStopWords(stop_words),
                MaxWordsChanged(max_words),
                NoRepeat(),
            ],
            BeamSearch(width),
        )
