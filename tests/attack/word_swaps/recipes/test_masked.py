"""BAE, BERT-Attack and A2T: conformance, and what is specific to each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import (
    A2T,
    BAE,
    BertAttack,
    FunctionVictim,
    RobustnessEvaluator,
    Screened,
    Words,
    attacks,
)
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.testing import AttackConformance
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.data import Text, TextDataset
from rosearch.errors import EvaluationError, RegistryError
from rosearch.tokens import TokenizedText
from tests.attack.resources import masked_models
from tests.attack.word_swaps.recipes.attacking import TEXTS


def tags(sentences: list[list[str]]) -> list[list[str]]:
    """A tagger by the last letter."""
    return [["NOUN" if word[-1:] in "aeiouy" else "ADJ" for word in words] for words in sentences]


def embed(texts: list[str]) -> np.ndarray:
    """An encoder that counts letters."""
    return np.array([[text.lower().count(c) + 0.1 for c in "abcdefghijklmno"] for text in texts])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def lm(tokenizer: Any) -> tuple[Any, Any]:
    return masked_models.wordpiece(tokenizer)


@pytest.fixture(scope="module")
def vectors() -> WordVectors:
    words = sorted({word.lower() for text in TEXTS for word in Words.of(text).words})
    rows = np.random.default_rng(0).normal(size=(len(words), 8)) + 1.0
    return WordVectors(words, rows.astype(np.float32))


def _row(text: str) -> tuple[int, ...]:
    return tuple(zlib.crc32(w.encode("utf-8", "replace")) % 997 for w in Words.of(text).words)


@pytest.fixture
def white_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Random gradients for plain functions, the same for the same words."""
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(997, 4)).astype(np.float32))

    def gradients(
        self: FunctionVictim, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        found = []
        for text in texts:
            words = Words.of(text if isinstance(text, str) else text[side])
            row = _row(words.text)
            slopes = np.random.default_rng(list(row)).normal(size=(len(row), 4)).astype(np.float32)
            spans = np.array(words.spans, dtype=np.int64).reshape(-1, 2)
            found.append(
                TokenGradients(
                    spans,
                    slopes,
                    TokenizedText(row),
                    slopes,
                    table,
                    lambda variants: [TokenizedText(_row(v)) for v in variants],
                )
            )
        return found

    monkeypatch.setattr(FunctionVictim, "gradients", gradients)
    return iter(())


class TestBAEConforms(AttackConformance):
    @pytest.fixture
    def attack(self, lm: tuple[Any, Any]) -> BAE:
        return BAE(masked_lm=lm, candidates=5, tagger=tags, encoder=embed)


class TestBertAttackConforms(AttackConformance):
    @pytest.fixture
    def attack(self, lm: tuple[Any, Any]) -> BertAttack:
        return BertAttack(masked_lm=lm, candidates=3, encoder=embed)


@pytest.mark.usefixtures("white_box")
class TestA2TConforms(AttackConformance):
    @pytest.fixture
    def attack(self, vectors: WordVectors) -> A2T:
        return A2T(vectors=vectors, min_word_cosine=0.5, tagger=tags, encoder=embed)


@pytest.mark.usefixtures("white_box")
class TestScreenedConforms(AttackConformance):
    @pytest.fixture
    def attack(self, lm: tuple[Any, Any]) -> Screened:
        return Screened(BAE(masked_lm=lm, candidates=6, tagger=False, encoder=False), keep=2)


def test_registered_under_their_names() -> None:
    assert [attacks.get(name) for name in ("bae", "bert-attack", "a2t")] == [BAE, BertAttack, A2T]


def test_settings_hold_every_threshold(lm: tuple[Any, Any], vectors: WordVectors) -> None:
    bae = BAE(masked_lm=lm, tagger=tags, encoder=embed).settings
    names = [part["name"] for part in bae["constraints"]]
    assert names == ["no-repeat", "no-stop-words", "part-of-speech", "sentence-similarity"]
    assert bae["constraints"][2]["allow_verb_noun_swap"] is True
    similarity = bae["constraints"][3]
    shown = ("threshold", "metric", "window", "skip_short", "against")
    assert [similarity[k] for k in shown] == [0.936338023, "cosine", 15, True, "original"]
    assert bae["substitution"]["masked_lm"]["count"] == 50
    assert bae["substitution"]["min_confidence"] == 0
    assert bae["search_method"]["ranking"] == "deletion"

    bert = BertAttack(masked_lm=lm, encoder=embed).settings
    assert bert["substitution"]["method"] == "bert-attack"
    assert bert["substitution"]["masked_lm"]["count"] == 8
    assert bert["constraints"][2]["share"] == 0.4
    assert (bert["constraints"][3]["threshold"], bert["constraints"][3]["window"]) == (0.2, None)
    assert bert["search_method"]["ranking"] == "unknown"

    a2t = A2T(vectors=vectors, tagger=tags, encoder=embed).settings
    limits = {part["name"]: part for part in a2t["constraints"]}
    assert (limits["max-changed-share"]["share"], limits["max-changed-share"]["at_least"]) == (
        0.1,
        4,
    )
    assert limits["word-cosine"]["minimum"] == 0.8
    assert limits["part-of-speech"]["allow_verb_noun_swap"] is False
    assert limits["sentence-similarity"]["threshold"] == 0.9
    assert a2t["substitution"]["count"] == 20
    assert a2t["search_method"]["ranking"] == "gradient"

    mlm = A2T(mlm=True, masked_lm=lm, tagger=False, encoder=False).settings
    assert mlm["substitution"]["masked_lm"]["count"] == 20
    assert "word-cosine" not in [part["name"] for part in mlm["constraints"]]


def test_a2t_changes_few_words(trained_bert: Any, tokenizer: Any, dataset: Any) -> None:
    lm = masked_models.wordpiece(tokenizer)
    attack = A2T(
        mlm=True, masked_lm=lm, max_changed=0.0, changed_at_least=1, tagger=False, encoder=False
    )
    evaluator = RobustnessEvaluator(attack, dataset, examples=30, progress=False)
    report = evaluator.evaluate(trained_bert, tokenizer)
    assert report.errors == 0
    assert report.succeeded > 0
    assert max(len(r.changed) for r in report.examples) == 1
    # One query, at most twenty for each word, and none for the ranking.
    assert all(r.queries <= 1 + 20 * r.words for r in report.examples)


def test_a2t_needs_a_victim_with_gradients(dataset: Any, vectors: WordVectors) -> None:
    attack = A2T(vectors=vectors, tagger=False, encoder=False)
    data = TextDataset(["a good film"], [1], classes=["no", "yes"])
    with pytest.raises(EvaluationError, match="needs the victim's gradients"):
        RobustnessEvaluator(attack, data, progress=False).evaluate(lambda t: [[0.1, 0.9]] * len(t))


def test_second_victim_needs_no_masked_language_model(
    lm: tuple[Any, Any], trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    attack = BAE(masked_lm=lm, candidates=5, tagger=tags, encoder=embed)
    evaluator = RobustnessEvaluator(attack, dataset, examples=10, progress=False)
    first = evaluator.evaluate(trained_bert, tokenizer)
    oracle = attack.substitution.masked_lm
    computed = oracle.computed
    assert computed > 10
    second = evaluator.evaluate(trained_bert, tokenizer)
    assert oracle.computed == computed
    assert [r.perturbed for r in second.examples] == [r.perturbed for r in first.examples]


def test_screened_attack_has_the_settings_of_the_inner_attack(lm: tuple[Any, Any]) -> None:
    screened = Screened(BAE(masked_lm=lm, tagger=False, encoder=False), keep=3)
    assert screened.settings["name"] == "screened-bae"
    assert (screened.settings["keep"], screened.settings["attack"]["name"]) == (3, "bae")
    with pytest.raises(RegistryError):
        Screened("no such attack")
