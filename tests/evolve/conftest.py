"""What the tests of the search share."""

from __future__ import annotations

import pytest


@pytest.fixture
def url(tmp_path):
    """URL of a fresh SQLite database."""
    return f"sqlite:///{tmp_path}/search.db"
