"""What a node computes: the operators, and the registry that plug-ins join."""

from rosearch.operators import attention, convolution, feedforward, recurrent, window  # noqa: F401
from rosearch.operators.base import Choice, Operator, complete, registry
from rosearch.operators.mixing import MERGES, POOLINGS, Merge, pool

register = registry.register
get = registry.get
names = registry.names

__all__ = [
    "MERGES",
    "POOLINGS",
    "Choice",
    "Merge",
    "Operator",
    "complete",
    "get",
    "names",
    "pool",
    "register",
    "registry",
]
