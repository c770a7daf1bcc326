"""What an attack must leave alone."""

from rosearch.attack.resources.stop_words import STOP_WORDS, TEXTFOOLER_STOP_WORDS
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.sentence import SentenceSimilarity
from rosearch.attack.word_swaps.constraints.tagging import PartOfSpeech, Tagger
from rosearch.attack.word_swaps.constraints.vectors import WordCosine
from rosearch.attack.word_swaps.constraints.words import (
    MaxChangedShare,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    edit_distance,
)

__all__ = [
    "STOP_WORDS",
    "TEXTFOOLER_STOP_WORDS",
    "Change",
    "Constraint",
    "Examined",
    "MaxChangedShare",
    "MaxEditDistance",
    "MaxWordsChanged",
    "MinWordLength",
    "NoRepeat",
    "NoStopWords",
    "PartOfSpeech",
    "SentenceSimilarity",
    "Tagger",
    "WordCosine",
    "edit_distance",
]
