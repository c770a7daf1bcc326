"""How a classifier is broken: attacks, the engine that runs them, and the evaluator."""

from rosearch.attack import recipes as recipes
from rosearch.attack.base import (
    Answer,
    AskGradients,
    Attack,
    BudgetExhausted,
    Search,
    SearchContext,
    attacks,
)
from rosearch.attack.composed import WordSwapAttack
from rosearch.attack.constraints import (
    Change,
    Constraint,
    Examined,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.engine import Example, run_attack
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.goals import Goal, Targeted, Untargeted
from rosearch.attack.oracles import Ask, Oracle
from rosearch.attack.recipes import PWWS, DeepWordBug
from rosearch.attack.results import AttackResult, Interval, RobustnessReport
from rosearch.attack.searches import BeamSearch, GreedyWordSwap, SearchMethod
from rosearch.attack.substitutions import CharacterEdits, Substitution, Union, WordNetSynonyms
from rosearch.attack.swaps import Candidates, TextSwaps, WordSwaps
from rosearch.attack.text import Words
from rosearch.attack.victim import FunctionVictim, ModelVictim, TokenGradients, Victim

__all__ = [
    "PWWS",
    "Answer",
    "Ask",
    "AskGradients",
    "Attack",
    "AttackResult",
    "BeamSearch",
    "BudgetExhausted",
    "Candidates",
    "Change",
    "CharacterEdits",
    "Constraint",
    "DeepWordBug",
    "Examined",
    "Example",
    "FunctionVictim",
    "Goal",
    "GreedyWordSwap",
    "Interval",
    "MaxEditDistance",
    "ModelVictim",
    "NoRepeat",
    "NoStopWords",
    "Oracle",
    "RobustnessEvaluator",
    "RobustnessReport",
    "Search",
    "SearchContext",
    "SearchMethod",
    "Substitution",
    "Targeted",
    "TextSwaps",
    "TokenGradients",
    "Union",
    "Untargeted",
    "Victim",
    "WordNetSynonyms",
    "WordSwapAttack",
    "WordSwaps",
    "Words",
    "attacks",
    "run_attack",
]
