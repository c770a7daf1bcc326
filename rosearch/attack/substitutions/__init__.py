"""What a word may be replaced by."""

from rosearch.attack.substitutions.base import Substitution, Union
from rosearch.attack.substitutions.characters import CharacterEdits
from rosearch.attack.substitutions.wordnet import WordNetSynonyms

__all__ = ["CharacterEdits", "Substitution", "Union", "WordNetSynonyms"]
