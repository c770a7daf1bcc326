"""Published attacks, with TextAttack's thresholds as defaults."""

from rosearch.attack.recipes.characters import DeepWordBug
from rosearch.attack.recipes.synonyms import PWWS

__all__ = ["PWWS", "DeepWordBug"]
