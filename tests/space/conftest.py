"""What the tests of genomes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.space.encodings import registered


@pytest.fixture(scope="module")
def encodings() -> Iterator[None]:
    """The encodings of :mod:`tests.space.encodings` are registered."""
    with registered():
        yield
