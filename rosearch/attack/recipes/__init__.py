"""Published attacks, with TextAttack's thresholds as defaults."""

from rosearch.attack.recipes.characters import DeepWordBug, Pruthi, TextBugger
from rosearch.attack.recipes.gradient import A2T
from rosearch.attack.recipes.masked import BAE, BertAttack
from rosearch.attack.recipes.neighbours import Genetic, TextFooler, TextFoolerAdjusted
from rosearch.attack.recipes.synonyms import PWWS

__all__ = [
    "A2T",
    "BAE",
    "PWWS",
    "BertAttack",
    "DeepWordBug",
    "Genetic",
    "Pruthi",
    "TextBugger",
    "TextFooler",
    "TextFoolerAdjusted",
]
