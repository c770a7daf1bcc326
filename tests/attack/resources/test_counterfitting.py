"""Counter-fitting, compared with the equations of the paper, and its command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from rosearch.attack import WordVectors, counterfit, counterfit_from_model, find_vectors
from rosearch.attack.resources.counterfitting.__main__ import main
from rosearch.attack.resources.counterfitting.models import model_vectors, wordnet_pairs
from rosearch.errors import DataError, MissingResourceError
from rosearch.wordnet import WordNet

WORDS = [f"w{i}" for i in range(40)]


@pytest.fixture
def vectors() -> WordVectors:
    matrix = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    matrix[20:30] = matrix[10:20] + 0.2 * matrix[20:30]  # ten pairs of neighbours
    return WordVectors(WORDS, matrix)


SYNONYMS = [("w0", "w1"), ("w2", "w3"), ("w10", "w4"), ("w1", "w0"), ("w0", "absent")]
ANTONYMS = [("w5", "w6"), ("w7", "w8"), ("w2", "w3"), ("w9", "w9")]


def reference(vectors: WordVectors, passes: int, radius: float) -> np.ndarray:
    """Equations 1 to 3 for one pair after the other, with gradients by autograd."""
    start = torch.nn.functional.normalize(torch.tensor(vectors.matrix, dtype=torch.float64))
    apart = [(5, 6), (7, 8), (2, 3)]
    near = [(0, 1), (4, 10)]
    kept = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if 1 - start[i] @ start[j] <= radius and (i, j) not in apart + near
    ]
    assert len(kept) > 5
    table = start
    for _ in range(passes):
        moves = torch.zeros_like(table)
        counts = torch.zeros(40)
        limits = [
            *((pair, lambda d, _: torch.relu(1.0 - d)) for pair in apart),
            *((pair, lambda d, _: torch.relu(d)) for pair in near),
            *((pair, lambda d, before: torch.relu(d - before)) for pair in kept),
        ]
        for (i, j), cost in limits:
            own = table.clone().requires_grad_()
            d = 1 - torch.cosine_similarity(own[i], own[j], dim=0)
            value = cost(d, 1 - start[i] @ start[j])
            if value <= 1e-9:
                continue
            value.backward()
            moves -= 0.1 * own.grad
            counts[i] += 1
            counts[j] += 1
        table = torch.nn.functional.normalize(table + moves / counts.clamp(min=1)[:, None])
    return table.numpy()


@pytest.mark.parametrize("radius", [0.2, 0.5])
def test_vectors_are_those_of_the_equations(vectors: WordVectors, radius: float) -> None:
    got = counterfit(vectors, SYNONYMS, ANTONYMS, passes=5, radius=radius)
    np.testing.assert_allclose(got.matrix, reference(vectors, 5, radius), atol=1e-3)


def cosine(vectors: WordVectors, a: str, b: str) -> float:
    return float(vectors.cosines(vectors.rows([a])[0], vectors.rows([b]))[0])


def test_synonyms_move_together_and_antonyms_apart(vectors: WordVectors) -> None:
    got = counterfit(vectors, SYNONYMS, ANTONYMS, passes=40)
    assert cosine(got, "w0", "w1") > 0.95
    assert cosine(got, "w5", "w6") < 0.05
    assert cosine(got, "w2", "w3") < 0.05  # not treated as synonyms
    np.testing.assert_allclose(np.linalg.norm(got.matrix, axis=1), 1, atol=1e-5)
    assert list(got.words) == WORDS
    untouched = got.matrix[35] - vectors.matrix[35] / np.linalg.norm(vectors.matrix[35])
    np.testing.assert_allclose(untouched, 0, atol=1e-6)


def test_without_pairs_vectors_are_only_normalized(vectors: WordVectors) -> None:
    norms = np.linalg.norm(vectors.matrix, axis=1, keepdims=True)
    none = counterfit(vectors, [], [], passes=3)
    np.testing.assert_allclose(none.matrix, vectors.matrix / norms, atol=1e-3)


def test_initial_vectors_are_not_changed(vectors: WordVectors) -> None:
    before = vectors.matrix.copy()
    counterfit(vectors, SYNONYMS, ANTONYMS, passes=2)
    np.testing.assert_array_equal(vectors.matrix, before)


@pytest.mark.parametrize(("name", "value"), [("passes", 0), ("radius", 3)])
def test_settings_out_of_range(vectors: WordVectors, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        counterfit(vectors, SYNONYMS, ANTONYMS, **{name: value})


def test_wordnet_pairs_of_a_vocabulary(wordnet_folder: Path) -> None:
    words = ["film", "movie", "good", "bad", "goodness", "happy", "unhappy", "table"]
    synonyms, antonyms = wordnet_pairs(words, WordNet(wordnet_folder))
    assert ("film", "movie") in synonyms
    assert antonyms == [("bad", "good"), ("happy", "unhappy")]
    assert all(a < b for a, b in synonyms + antonyms)


def test_vectors_of_the_words_that_a_tokenizer_keeps_whole(tiny_bert: Any, tokenizer: Any) -> None:
    vectors = model_vectors(tiny_bert(), tokenizer)
    vocabulary = tokenizer.get_vocab()
    assert {"film", "good", "bad"} <= set(vectors.words)
    assert not any(w.startswith(("##", "[")) or not w.isalpha() for w in vectors.words)
    weight = tiny_bert().get_input_embeddings().weight.detach().numpy()
    raw = weight[vocabulary["film"]] - weight[vocabulary["good"]]
    film, good = vectors.matrix[vectors.rows(["film", "good"])]
    np.testing.assert_allclose(film - good, raw, atol=1e-6)
    np.testing.assert_allclose(vectors.matrix.mean(axis=0), 0, atol=1e-5)
    with pytest.raises(DataError, match="no tokenizer attribute"):
        model_vectors(torch.nn.Linear(2, 2))
    with pytest.raises(MissingResourceError, match="cannot be loaded"):
        model_vectors("/nowhere/at/all")


def test_whole_words_of_byte_level_and_sentencepiece_tokenizers() -> None:
    class Tokenizer:
        all_special_tokens = ("<s>",)

        def __init__(self, mark: str) -> None:
            tokens = "<s> film \u0120film \u0120Paris \u0120good \u0120Good \u0120,".split()
            self.vocabulary = {t.replace("\u0120", mark): k for k, t in enumerate(tokens)}
            self.mark = mark

        def get_vocab(self) -> dict[str, int]:
            return self.vocabulary

        def convert_tokens_to_string(self, tokens: list[str]) -> str:
            return "".join(tokens).replace(self.mark, " ")

    class Model:
        def get_input_embeddings(self) -> Any:
            return torch.nn.Embedding.from_pretrained(torch.eye(7))

    for mark in ("\u0120", "\u2581"):
        vectors = model_vectors(Model(), Tokenizer(mark))
        # "film" is the token after a space, "good" the one in lower case.
        words = ["film", "paris", "good"]
        assert sorted(vectors.words) == sorted(words)
        expected = np.eye(7)[[2, 3, 4]]
        found = vectors.matrix[vectors.rows(words)]
        np.testing.assert_allclose(found, expected - expected.mean(axis=0), atol=1e-6)


def test_vectors_of_a_model_follow_wordnet(
    tiny_bert: Any, tokenizer: Any, wordnet_folder: Path
) -> None:
    made = counterfit_from_model(tiny_bert(), tokenizer, wordnet=wordnet_folder)
    before = model_vectors(tiny_bert(), tokenizer)
    assert cosine(made, "film", "movie") > cosine(before, "film", "movie")
    assert cosine(made, "bad", "good") < max(0.1, cosine(before, "bad", "good"))


def test_command_makes_the_vectors_that_recipes_find(
    tiny_bert: Any,
    tokenizer: Any,
    wordnet_folder: Path,
    tmp_path: Path,
    no_installed_vectors: None,
) -> None:
    folder, other = str(tmp_path / "model"), str(tmp_path / "other")
    tiny_bert().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    run = partial(CliRunner().invoke, main)
    result = run([folder, "--wordnet", str(wordnet_folder)])
    assert result.exit_code == 0, result.output
    assert "film" in find_vectors().words
    result = run([folder, "--wordnet", str(wordnet_folder)])
    assert result.exit_code == 1
    assert "Delete it first" in result.output
    assert run([folder, "--wordnet", str(wordnet_folder), "--out", other]).exit_code == 0
    assert find_vectors(other).digest == find_vectors().digest
