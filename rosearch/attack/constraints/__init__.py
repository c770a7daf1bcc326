"""What an attack must leave alone."""

from rosearch.attack.constraints.base import Change, Constraint, Examined
from rosearch.attack.constraints.words import (
    STOP_WORDS,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
    edit_distance,
)

__all__ = [
    "STOP_WORDS",
    "Change",
    "Constraint",
    "Examined",
    "MaxEditDistance",
    "NoRepeat",
    "NoStopWords",
    "edit_distance",
]
