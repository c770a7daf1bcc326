"""Examples as modules, on small material."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from rosearch import TextDataset
from tests.examples import material


@pytest.fixture
def load_example(dataset: TextDataset) -> Iterator[Callable[[str], ModuleType]]:
    """``load_example(name)``: the example as a module; what it imported is gone afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield lambda name: material.load(name, dataset)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(material.EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
