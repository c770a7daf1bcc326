"""Constraints: which words may be replaced, and by what."""

from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.likelihood import MaxLikelihoodDrop
from rosearch.attack.word_swaps.constraints.sentence import SentenceSimilarity
from rosearch.attack.word_swaps.constraints.tagging import PartOfSpeech
from rosearch.attack.word_swaps.constraints.vectors import WordCosine
from rosearch.attack.word_swaps.constraints.words import (
    MaxChangedShare,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
)

__all__ = [
    "Change",
    "Constraint",
    "Examined",
    "MaxChangedShare",
    "MaxEditDistance",
    "MaxLikelihoodDrop",
    "MaxWordsChanged",
    "MinWordLength",
    "NoRepeat",
    "NoStopWords",
    "PartOfSpeech",
    "SentenceSimilarity",
    "WordCosine",
]
