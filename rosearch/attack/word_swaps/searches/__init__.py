"""Search methods: which words to replace, and by which of their candidates."""

from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.attack.word_swaps.searches.beam import BeamSearch
from rosearch.attack.word_swaps.searches.genetic import GeneticSearch
from rosearch.attack.word_swaps.searches.greedy import GreedyWordSwap, LazyGreedyWordSwap

__all__ = [
    "BeamSearch",
    "GeneticSearch",
    "GreedyWordSwap",
    "LazyGreedyWordSwap",
    "SearchMethod",
]
