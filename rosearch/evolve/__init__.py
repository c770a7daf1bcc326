"""How the search moves: strategies, the ledger of trials, parallel work, the evolver."""

from rosearch.evolve.claims import confirm
from rosearch.evolve.evolver import Evolver
from rosearch.evolve.executors import process_pool
from rosearch.evolve.fidelity import Fidelity, SuccessiveHalving
from rosearch.evolve.loading import load_search
from rosearch.evolve.ray import RayExecutor
from rosearch.evolve.records import Candidate, Failure, Parent, TrialRecord
from rosearch.evolve.result import SearchResult
from rosearch.evolve.simulate import compare, simulate
from rosearch.evolve.strategies import (
    NSGA2,
    SMSEMOA,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    SurrogateEvolution,
)

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
    "process_pool",
    "simulate",
]
