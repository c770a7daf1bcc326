"""Adversarial attacks: recipes and their parts, the engine, and the robustness evaluator."""

from rosearch.attack.base import (
    Answer,
    AskGradients,
    Attack,
    BudgetExhausted,
    Search,
    SearchContext,
    attacks,
)
from rosearch.attack.engine.engine import run_attack
from rosearch.attack.engine.search_run import Example
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.goals import Goal, Targeted, Untargeted
from rosearch.attack.report.results import AttackResult, Interval, RobustnessReport
from rosearch.attack.resources.counterfitting import counterfit, counterfit_from_model
from rosearch.attack.resources.masked_lm import MaskedLM
from rosearch.attack.resources.oracles import Ask, Oracle
from rosearch.attack.resources.sentence_encoders import SentenceEncoder
from rosearch.attack.resources.taggers import Tagger
from rosearch.attack.resources.word_vectors import WordVectors, find_vectors
from rosearch.attack.text import Words
from rosearch.attack.training.adversary import AdversarialTexts
from rosearch.attack.training.augmentation import SubstitutionAugmentation
from rosearch.attack.training.word_replacements import WordReplacements
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.victim import Victim
from rosearch.attack.word_swaps import recipes as recipes
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.candidates import Candidates, TextSwaps, WordSwaps
from rosearch.attack.word_swaps.constraints import (
    Change,
    Constraint,
    Examined,
    MaxChangedShare,
    MaxEditDistance,
    MaxLikelihoodDrop,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    PartOfSpeech,
    SentenceSimilarity,
    WordCosine,
)
from rosearch.attack.word_swaps.recipes import (
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
from rosearch.attack.word_swaps.screening import Screened
from rosearch.attack.word_swaps.searches import (
    BeamSearch,
    GeneticSearch,
    GreedyWordSwap,
    LazyGreedyWordSwap,
    SearchMethod,
)
from rosearch.attack.word_swaps.substitutions import (
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
    "MaxLikelihoodDrop",
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
    "run_attack",
]
