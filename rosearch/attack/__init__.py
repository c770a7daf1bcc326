"""How a classifier is broken: attacks, the engine that runs them, and the evaluator."""

from rosearch.attack import recipes as recipes
from rosearch.attack.base import (
    Answer,
    Attack,
    BudgetExhausted,
    Search,
    SearchContext,
    attacks,
)
from rosearch.attack.constraints import (
    Constraint,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.engine import Example, run_attack
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.greedy import (
    WordSwaps,
    greedy_word_swap,
    rank_by_unknown,
    rank_by_weighted_saliency,
)
from rosearch.attack.recipes import PWWS, DeepWordBug
from rosearch.attack.results import AttackResult, Interval, RobustnessReport
from rosearch.attack.substitutions import CharacterEdits, Substitution, WordNetSynonyms
from rosearch.attack.text import Words
from rosearch.attack.victim import FunctionVictim, ModelVictim, Victim

__all__ = [
    "PWWS",
    "Answer",
    "Attack",
    "AttackResult",
    "BudgetExhausted",
    "CharacterEdits",
    "Constraint",
    "DeepWordBug",
    "Example",
    "FunctionVictim",
    "Goal",
    "Interval",
    "MaxEditDistance",
    "ModelVictim",
    "NoRepeat",
    "NoStopWords",
    "RobustnessEvaluator",
    "RobustnessReport",
    "Search",
    "SearchContext",
    "Substitution",
    "Untargeted",
    "Victim",
    "WordNetSynonyms",
    "WordSwaps",
    "Words",
    "attacks",
    "greedy_word_swap",
    "rank_by_unknown",
    "rank_by_weighted_saliency",
    "run_attack",
]
