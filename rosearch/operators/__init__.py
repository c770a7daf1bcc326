"""What a genome's parts compute: the operators, and the registry that plug-ins join."""

from rosearch.operators import (  # noqa: F401
    attention,
    convolution,
    excitation,
    feedforward,
    fourier_mixing,
    lightweight,
    pooling,
    recurrent,
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
from rosearch.operators.inputs import characters, smoothing, synonyms  # noqa: F401
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.operators.inputs.vocabulary import Lexicon, Vocabulary
from rosearch.operators.merging import MERGES, POOLINGS, Merge, Pool

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
