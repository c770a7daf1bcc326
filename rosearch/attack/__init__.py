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
    MaxChangedShare,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    PartOfSpeech,
    SentenceSimilarity,
    Tagger,
    WordCosine,
)
from rosearch.attack.counterfitting import counterfit, counterfit_from_model
from rosearch.attack.encoders import SentenceEncoder
from rosearch.attack.engine import Example, run_attack
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.goals import Goal, Targeted, Untargeted
from rosearch.attack.gradients import TokenGradients
from rosearch.attack.hardening import AdversarialTexts, SubstitutionAugmentation
from rosearch.attack.masked_lm import MaskedLM
from rosearch.attack.oracles import Ask, Oracle
from rosearch.attack.racing import RaceResult, race
from rosearch.attack.recipes import (
    A2T,
    BAE,
    PWWS,
    BertAttack,
    DeepWordBug,
    Genetic,
    Pruthi,
    TextBugger,
    TextFooler,
    TextFoolerAdjusted,
)
from rosearch.attack.replacements import WordReplacements
from rosearch.attack.replay import Replay, TransferReport
from rosearch.attack.results import AttackResult, Interval, RobustnessReport
from rosearch.attack.screening import Screened
from rosearch.attack.searches import (
    BeamSearch,
    GeneticSearch,
    GreedyWordSwap,
    LazyGreedyWordSwap,
    SearchMethod,
)
from rosearch.attack.substitutions import (
    CharacterDeletion,
    CharacterEdits,
    CharacterInsertion,
    CharacterSubstitution,
    CharacterSwap,
    Homoglyphs,
    KeyboardNeighbours,
    MaskedWords,
    NearestNeighbours,
    Substitution,
    Union,
    WordNetSynonyms,
)
from rosearch.attack.swaps import Candidates, TextSwaps, WordSwaps
from rosearch.attack.text import Words
from rosearch.attack.vectors import WordVectors, find_vectors
from rosearch.attack.victim import FunctionVictim, ModelVictim, Victim

__all__ = [
    "A2T",
    "AdversarialTexts",
    "Answer",
    "Ask",
    "AskGradients",
    "Attack",
    "AttackResult",
    "BAE",
    "BeamSearch",
    "BertAttack",
    "BudgetExhausted",
    "Candidates",
    "Change",
    "CharacterDeletion",
    "CharacterEdits",
    "CharacterInsertion",
    "CharacterSubstitution",
    "CharacterSwap",
    "Constraint",
    "DeepWordBug",
    "Examined",
    "Example",
    "FunctionVictim",
    "Genetic",
    "GeneticSearch",
    "Goal",
    "GreedyWordSwap",
    "LazyGreedyWordSwap",
    "Homoglyphs",
    "Interval",
    "KeyboardNeighbours",
    "MaskedLM",
    "MaskedWords",
    "MaxChangedShare",
    "MaxEditDistance",
    "MaxWordsChanged",
    "MinWordLength",
    "ModelVictim",
    "NearestNeighbours",
    "NoRepeat",
    "NoStopWords",
    "Oracle",
    "PWWS",
    "PartOfSpeech",
    "Pruthi",
    "RaceResult",
    "Replay",
    "RobustnessEvaluator",
    "RobustnessReport",
    "Screened",
    "Search",
    "SearchContext",
    "SearchMethod",
    "SentenceEncoder",
    "SentenceSimilarity",
    "Substitution",
    "SubstitutionAugmentation",
    "Tagger",
    "Targeted",
    "TextBugger",
    "TextFooler",
    "TextFoolerAdjusted",
    "TextSwaps",
    "TokenGradients",
    "TransferReport",
    "Union",
    "Untargeted",
    "Victim",
    "WordCosine",
    "WordNetSynonyms",
    "WordReplacements",
    "WordSwapAttack",
    "WordSwaps",
    "WordVectors",
    "Words",
    "attacks",
    "counterfit",
    "counterfit_from_model",
    "find_vectors",
    "race",
    "run_attack",
]
