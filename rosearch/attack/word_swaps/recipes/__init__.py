"""Published attacks, with TextAttack's thresholds as defaults."""

from rosearch.attack.word_swaps.recipes.characters import DeepWordBug, Pruthi, TextBugger
from rosearch.attack.word_swaps.recipes.masked import BAE, BertAttack
from rosearch.attack.word_swaps.recipes.synonyms import (
    A2T,
    PWWS,
    Genetic,
    TextFooler,
    TextFoolerAdjusted,
)

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
