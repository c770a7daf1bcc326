"""What a genome's parts compute: the operators, and the registry that plug-ins join."""

from rosearch.operators import (  # noqa: F401
    attention,
    characters,
    convolution,
    excitation,
    feedforward,
    fourier,
    lightweight,
    recurrent,
    smoothing,
    synonyms,
    window,
)
from rosearch.operators.base import (
    Choice,
    LinearEnding,
    Operator,
    complete,
    names,
    registry,
    require,
    unpadded,
)
from rosearch.operators.cost import OperatorCost, cost
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
    "LinearEnding",
    "Merge",
    "Operator",
    "OperatorCost",
    "Pool",
    "Vocabulary",
    "complete",
    "cost",
    "get",
    "names",
    "register",
    "registry",
    "require",
    "unpadded",
]
