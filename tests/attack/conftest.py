"""What tests of attacks share."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def textattack(wordnet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """TextAttack, where it is installed, with the NLTK data it reads; nothing is downloaded."""
    if importlib.util.find_spec("textattack") is None:
        pytest.skip("textattack is not installed")
    from rosearch.attack.textattack.loading import load_textattack

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        module = load_textattack()
        module.shared.logger.setLevel("ERROR")
        # Parts of TextAttack ask for data when they are made, though it is here.
        patch.setattr(importlib.import_module("nltk"), "download", lambda *_, **__: True)
        yield module
