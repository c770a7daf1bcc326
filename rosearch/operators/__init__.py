"""What a genome's parts compute: the operators, and the registry that plug-ins join."""

from rosearch.operators import attention, convolution, feedforward, recurrent, window  # noqa: F401
from rosearch.operators.base import Choice, Operator, complete, names, registry, require, unpadded
from rosearch.operators.embedding import EmbeddingOperator, InputShape
from rosearch.operators.mixing import MERGES, POOLINGS, Merge, Pool
from rosearch.operators.vocabulary import Lexicon, Vocabulary

register = registry.register
get = registry.get

__all__ = [
    "MERGES",
    "POOLINGS",
    "Choice",
    "EmbeddingOperator",
    "InputShape",
    "Lexicon",
    "Merge",
    "Operator",
    "Pool",
    "Vocabulary",
    "complete",
    "get",
    "names",
    "register",
    "registry",
    "require",
    "unpadded",
]
