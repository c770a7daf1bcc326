"""Operators of nodes and inputs, and their registry, which plug-ins join."""

from rosearch.operators import (  # noqa: F401
    attention,
    convolution,
    excitation,
    feedforward,
    fourier_mixing,
    lightweight,
    recurrent,
)
from rosearch.operators.base import (
    LinearEnding,
    Operator,
    complete,
    names,
    registry,
    require,
)
from rosearch.operators.cost import cost
from rosearch.operators.defaults import EMBEDDINGS, OPERATORS
from rosearch.operators.inputs import characters, smoothing, synonyms  # noqa: F401
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.operators.inputs.vocabulary import NearestWords, Vocabulary
from rosearch.operators.merging import MERGES, Merge
from rosearch.operators.pooling import POOLINGS, Pool
from rosearch.operators.token_scores import TokenScores
from rosearch.parameters import Choice

register = registry.register
get = registry.get

__all__ = [
    "EMBEDDINGS",
    "MERGES",
    "OPERATORS",
    "POOLINGS",
    "Choice",
    "EmbeddingOperator",
    "InputShape",
    "LinearEnding",
    "Merge",
    "NearestWords",
    "Operator",
    "Pool",
    "TokenScores",
    "Vocabulary",
    "complete",
    "cost",
    "get",
    "names",
    "register",
    "registry",
    "require",
]
