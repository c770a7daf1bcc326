"""Evolution guided by a Gaussian process."""

from rosearch.evolve.strategies.surrogate.surrogate import SurrogateEvolution

__all__ = ["SurrogateEvolution"]
