"""Strategies, which propose the next architecture, and their registry."""

from rosearch.evolve.strategies.base import Strategy, make, registry
from rosearch.evolve.strategies.nsga2 import NSGA2
from rosearch.evolve.strategies.random_search import RandomSearch
from rosearch.evolve.strategies.regularized_evolution import RegularizedEvolution
from rosearch.evolve.strategies.smsemoa import SMSEMOA
from rosearch.evolve.strategies.surrogate.surrogate import SurrogateEvolution

register = registry.register
get = registry.get
names = registry.names
unregister = registry.unregister

__all__ = [
    "NSGA2",
    "SMSEMOA",
    "RandomSearch",
    "RegularizedEvolution",
    "Strategy",
    "SurrogateEvolution",
    "get",
    "make",
    "names",
    "register",
    "registry",
    "unregister",
]
