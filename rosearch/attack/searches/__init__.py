"""How a search moves among the replacements."""

from rosearch.attack.searches.base import SearchMethod
from rosearch.attack.searches.beam import BeamSearch
from rosearch.attack.searches.genetic import GeneticSearch
from rosearch.attack.searches.greedy import GreedyWordSwap, LazyGreedyWordSwap
from rosearch.attack.searches.rankings import RANKINGS

__all__ = [
    "RANKINGS",
    "BeamSearch",
    "GeneticSearch",
    "GreedyWordSwap",
    "LazyGreedyWordSwap",
    "SearchMethod",
]
