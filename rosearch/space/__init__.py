"""What can be searched: genomes, the space they live in, and hand-designed ones."""

from rosearch.space import templates
from rosearch.space.genome import Genome, Node
from rosearch.space.search_space import SearchSpace
from rosearch.space.variation import MUTATIONS

__all__ = ["MUTATIONS", "Genome", "Node", "SearchSpace", "templates"]
