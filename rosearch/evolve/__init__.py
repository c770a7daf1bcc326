"""How the search moves: strategies, the ledger of trials, parallel work, the evolver."""

from rosearch.evolve.evolver import Evolver
from rosearch.evolve.executors import process_pool
from rosearch.evolve.records import Candidate, Failure, TrialRecord
from rosearch.evolve.result import SearchResult
from rosearch.evolve.strategies import RandomSearch, RegularizedEvolution, Strategy

__all__ = [
    "Candidate",
    "Evolver",
    "Failure",
    "RandomSearch",
    "RegularizedEvolution",
    "SearchResult",
    "Strategy",
    "TrialRecord",
    "process_pool",
]
