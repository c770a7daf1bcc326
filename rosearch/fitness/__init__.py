"""Fitness: terms, weighted sum, constraints and Pareto dominance."""

from rosearch.fitness.fitness import Fitness, Score, best_index, rank_order, wanted_first
from rosearch.fitness.pareto import (
    crowding_distance,
    hypervolume_contributions,
    non_dominated_ranks,
    pareto_front,
)
from rosearch.fitness.terms import FitnessTerm, fitness_terms

__all__ = [
    "Fitness",
    "FitnessTerm",
    "Score",
    "best_index",
    "crowding_distance",
    "fitness_terms",
    "hypervolume_contributions",
    "non_dominated_ranks",
    "pareto_front",
    "rank_order",
    "wanted_first",
]
