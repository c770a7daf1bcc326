"""Evolution with a Gaussian process as surrogate model."""

from rosearch.evolve.strategies.surrogate.surrogate import SurrogateEvolution

__all__ = ["SurrogateEvolution"]
