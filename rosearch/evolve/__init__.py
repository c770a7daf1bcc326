"""How the search moves: strategies, the ledger of trials, parallel work, the evolver."""

from rosearch.evolve.comparison.compare import compare
from rosearch.evolve.confirmation.confirm import confirm
from rosearch.evolve.evolver import Evolver
from rosearch.evolve.strategies import (
    NSGA2,
    SMSEMOA,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    SurrogateEvolution,
)
from rosearch.evolve.study.load import load_search
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.trials import Candidate, Failure, Parent, TrialRecord
from rosearch.evolve.successive_halving import Fidelity, SuccessiveHalving
from rosearch.evolve.workers.ray import RayExecutor

__all__ = [
    "NSGA2",
    "SMSEMOA",
    "Candidate",
    "Evolver",
    "Failure",
    "Fidelity",
    "Parent",
    "RandomSearch",
    "RayExecutor",
    "RegularizedEvolution",
    "SearchResult",
    "Strategy",
    "SuccessiveHalving",
    "SurrogateEvolution",
    "TrialRecord",
    "compare",
    "confirm",
    "load_search",
]
