"""What tests of attacks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosearch.attack.resources import find_wordnet
from rosearch.errors import MissingResourceError


@pytest.fixture(scope="session")
def wordnet_folder() -> Path:
    """WordNet's database, where it is on this machine."""
    try:
        return find_wordnet()
    except MissingResourceError as error:
        pytest.skip(str(error))
