"""Substitutions: what a word may be replaced by."""

from rosearch.attack.word_swaps.substitutions.base import Substitution, Union
from rosearch.attack.word_swaps.substitutions.characters import (
    CharacterDeletion,
    CharacterEdit,
    CharacterEdits,
    CharacterInsertion,
    CharacterSubstitution,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
)
from rosearch.attack.word_swaps.substitutions.masked import MaskedWords
from rosearch.attack.word_swaps.substitutions.vectors import NearestNeighbours
from rosearch.attack.word_swaps.substitutions.wordnet import WordNetSynonyms

__all__ = [
    "CharacterDeletion",
    "CharacterEdit",
    "CharacterEdits",
    "CharacterInsertion",
    "CharacterSubstitution",
    "CharacterSwap",
    "Homoglyphs",
    "KeyboardNeighbours",
    "MaskedWords",
    "NearestNeighbours",
    "Substitution",
    "Union",
    "WordNetSynonyms",
]
