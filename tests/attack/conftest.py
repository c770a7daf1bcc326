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
from tests.attack.textattack_helpers import BagOfWords, sentences, some_wrong


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


@pytest.fixture(params=["bag of words", "a Hugging Face model"])
def victim(request: Any, textattack: Any, trained_bert: Any, tokenizer: Any, dataset: Any) -> Any:
    """Keyword arguments for ``check_agreement``: 200 texts, labels and a victim for each side."""
    if request.param == "bag of words":
        bag, texts = BagOfWords(), sentences(200)
        labels = some_wrong(bag(texts).argmax(axis=1).tolist())
        return {"texts": texts, "labels": labels, "victim": bag}
    trained_bert.tokenizer = tokenizer
    return {
        "texts": [str(text) for text in dataset.texts],
        "labels": some_wrong([int(label) for label in dataset.labels]),
        "victim": trained_bert,
        "model_wrapper": textattack.models.wrappers.HuggingFaceModelWrapper(
            trained_bert, tokenizer
        ),
    }
