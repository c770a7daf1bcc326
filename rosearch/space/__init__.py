"""What can be searched: genomes, the space they live in, and hand-designed ones."""

from rosearch.space import templates
from rosearch.space.cost.additive import Cost, Task, genome_cost
from rosearch.space.cost.latency import LatencyTable
from rosearch.space.genome import Genome
from rosearch.space.mutations import MUTATIONS
from rosearch.space.nodes import Embedding, Node, TextEncoding
from rosearch.space.search_space import SearchSpace

__all__ = [
    "MUTATIONS",
    "Cost",
    "Embedding",
    "Genome",
    "LatencyTable",
    "Node",
    "SearchSpace",
    "Task",
    "TextEncoding",
    "genome_cost",
    "templates",
]
