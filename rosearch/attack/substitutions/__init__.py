"""What a word may be replaced by."""

from rosearch.attack.substitutions.base import Substitution, Union
from rosearch.attack.substitutions.characters import (
    CharacterDeletion,
    CharacterEdit,
    CharacterEdits,
    CharacterInsertion,
    CharacterSubstitution,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
)
from rosearch.attack.substitutions.masked import MaskedWords
from rosearch.attack.substitutions.vectors import NearestNeighbours
from rosearch.attack.substitutions.wordnet import WordNetSynonyms

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
