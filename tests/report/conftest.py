"""What the tests of reports share."""

from __future__ import annotations

import pytest

from tests.space.encodings import registered


@pytest.fixture
def encodings():
    """The encodings of :mod:`tests.space.encodings` are registered."""
    with registered():
        yield
