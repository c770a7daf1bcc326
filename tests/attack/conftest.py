"""Fixtures of the tests of attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosearch.attack.resources import find_wordnet
from rosearch.errors import MissingResourceError


@pytest.fixture(scope="session")
def wordnet_folder() -> Path:
    """The folder of WordNet's database; tests that need it are skipped where there is none."""
    try:
        return find_wordnet()
    except MissingResourceError as error:
        pytest.skip(str(error))
