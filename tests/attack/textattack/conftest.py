"""TextAttack and victims for both sides; tests that need TextAttack are skipped without it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attack.textattack.agreement import BagOfWords, sentences, some_wrong


@pytest.fixture(scope="session")
def textattack(wordnet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package TextAttack with the NLTK data it reads; nothing is downloaded."""
    if importlib.util.find_spec("textattack") is None:
        pytest.skip("textattack is not installed")
    from rosearch.attack.textattack.loading import load_textattack

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        module = load_textattack()
        module.shared.logger.setLevel("ERROR")
        # Parts of TextAttack ask for data when they are made, even where it is available.
        patch.setattr(importlib.import_module("nltk"), "download", lambda *_, **__: True)
        yield module


@pytest.fixture(params=["bag of words", "a Hugging Face model"])
def kind(request: Any) -> str:
    """The kind of the victim."""
    return str(request.param)


@pytest.fixture
def make_victim(
    kind: str, textattack: Any, trained_bert: Any, tokenizer: Any
) -> Callable[..., dict[str, Any]]:
    """``make_victim(texts, labels)``: keyword arguments of ``check_agreement``.

    They are texts, labels of which some are wrong, and a victim for each side. ``labels`` are those
    of the Hugging Face model; the bag of words labels the texts itself.
    """

    def make(texts: list[str], labels: list[int]) -> dict[str, Any]:
        if kind == "bag of words":
            bag = BagOfWords()
            labels = some_wrong(bag(texts).argmax(axis=1).tolist())
            return {"texts": texts, "labels": labels, "victim": bag}
        trained_bert.tokenizer = tokenizer
        return {
            "texts": texts,
            "labels": some_wrong(labels),
            "victim": trained_bert,
            "model_wrapper": textattack.models.wrappers.HuggingFaceModelWrapper(
                trained_bert, tokenizer
            ),
        }

    return make


@pytest.fixture
def victim(kind: str, make_victim: Callable[..., dict[str, Any]], dataset: Any) -> dict[str, Any]:
    """Keyword arguments of ``check_agreement`` with 200 texts that suit the victim."""
    texts = sentences(200) if kind == "bag of words" else list(map(str, dataset.texts))
    return make_victim(texts, list(map(int, dataset.labels)))
