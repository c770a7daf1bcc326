"""Adversarial attacks: recipes and their parts, the engine, and the robustness evaluator."""

from rosearch.attack.base import Answer as Answer
from rosearch.attack.base import AskGradients as AskGradients
from rosearch.attack.base import Attack as Attack
from rosearch.attack.base import BudgetExhausted as BudgetExhausted
from rosearch.attack.base import Search as Search
from rosearch.attack.base import SearchContext as SearchContext
from rosearch.attack.base import attacks as attacks
from rosearch.attack.certificates.certificate import Certificate as Certificate
from rosearch.attack.certificates.certificate import certify as certify
from rosearch.attack.certificates.explanation import Explanation as Explanation
from rosearch.attack.certificates.explanation import explain as explain
from rosearch.attack.engine.attack_run import Example as Example
from rosearch.attack.engine.engine import run_attack as run_attack
from rosearch.attack.evaluator import RobustnessEvaluator as RobustnessEvaluator
from rosearch.attack.goals import Goal as Goal
from rosearch.attack.goals import Targeted as Targeted
from rosearch.attack.goals import Untargeted as Untargeted
from rosearch.attack.report.results import AttackResult as AttackResult
from rosearch.attack.report.results import RobustnessReport as RobustnessReport
from rosearch.attack.resources.counterfitting import counterfit as counterfit
from rosearch.attack.resources.counterfitting import counterfit_from_model as counterfit_from_model
from rosearch.attack.resources.masked_lm import MaskedLM as MaskedLM
from rosearch.attack.resources.oracles import Ask as Ask
from rosearch.attack.resources.oracles import Oracle as Oracle
from rosearch.attack.resources.sentence_encoders import SentenceEncoder as SentenceEncoder
from rosearch.attack.resources.taggers import Tagger as Tagger
from rosearch.attack.resources.word_vectors import WordVectors as WordVectors
from rosearch.attack.resources.word_vectors import find_vectors as find_vectors
from rosearch.attack.text import Words as Words
from rosearch.attack.training.adversary import AdversarialTexts as AdversarialTexts
from rosearch.attack.training.augmentation import (
    SubstitutionAugmentation as SubstitutionAugmentation,
)
from rosearch.attack.training.exchanges import WordExchanges as WordExchanges
from rosearch.attack.training.word_replacements import WordReplacements as WordReplacements
from rosearch.attack.victim.function import FunctionVictim as FunctionVictim
from rosearch.attack.victim.model import ModelVictim as ModelVictim
from rosearch.attack.victim.victim import Victim as Victim
from rosearch.attack.word_swaps.attack import WordSwapAttack as WordSwapAttack
from rosearch.attack.word_swaps.candidates import WordSwaps as WordSwaps
from rosearch.attack.word_swaps.constraints import *  # noqa: F403
from rosearch.attack.word_swaps.recipes import *  # noqa: F403
from rosearch.attack.word_swaps.screening import Screened as Screened
from rosearch.attack.word_swaps.searches import *  # noqa: F403
from rosearch.attack.word_swaps.substitutions import *  # noqa: F403
