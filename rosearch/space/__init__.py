"""What can be searched: genomes, the space they live in, and hand-designed ones."""

from rosearch.space import templates
from rosearch.space.genome import Embedding, Genome, Node
from rosearch.space.search_space import SearchSpace
from rosearch.space.variation import MUTATIONS

__all__ = ["MUTATIONS", "Embedding", "Genome", "Node", "SearchSpace", "templates"]
