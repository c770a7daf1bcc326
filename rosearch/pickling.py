"""What is left out of pickles."""

from __future__ import annotations

from functools import cached_property
from typing import Any


def state_without_cached(instance: object) -> dict[str, Any]:
    """Return an instance's attributes without the values of its cached properties.

    For ``__getstate__``: making these again in another process is cheaper than sending them.
    """
    kinds = (item for kind in type(instance).__mro__ for item in vars(kind).items())
    cached = {name for name, value in kinds if isinstance(value, cached_property)}
    return {name: value for name, value in vars(instance).items() if name not in cached}
