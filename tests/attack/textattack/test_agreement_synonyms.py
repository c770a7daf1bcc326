"""TextFooler and the genetic search: same texts, verdicts and query counts as TextAttack 0.3.11."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    Change,
    Genetic,
    NearestNeighbours,
    SentenceSimilarity,
    TextFooler,
    WordCosine,
    Words,
    WordSwapAttack,
    WordVectors,
)
from rosearch.attack.base import SearchContext
from rosearch.stop_words import TEXTFOOLER_STOP_WORDS
from tests.attack.textattack.agreement import (
    BagOfWords,
    attacked_by_textattack,
    attacked_here,
    check_agreement,
    sentences,
    some_wrong,
    statuses,
    wrapper,
)
from tests.attack.textattack.counterparts import build, greedy, their_vectors, usual
from tests.attack.word_swaps.helpers import finished

pytestmark = [pytest.mark.slow, pytest.mark.textattack]


def clustered_vectors(texts: Sequence[str]) -> WordVectors:
    """Unit vectors in ten clusters for nine words of ten, and an entry of two words."""
    words = sorted({word.lower() for text in texts for word in Words.of(text).words})
    words = [word for k, word in enumerate(words) if k % 10] + ["well known", "so-called"]
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(10, 24))
    matrix = centres[rng.integers(10, size=len(words))] + 0.9 * rng.normal(size=(len(words), 24))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return WordVectors(words, matrix.astype(np.float32))


def tag(word: str, before: str) -> str:
    """A tag that depends on the word and the one before."""
    letters = word[-1:].lower() + ("x" if before[-1:] in "aeiou" else "y")
    return ("NOUN", "VERB", "ADJ", "NOUN", "ADV", "ADJ")[zlib.crc32(letters.encode()) % 6]


def tag_all(sentences: list[list[str]]) -> list[list[str]]:
    return [
        [tag(word, before) for before, word in zip(["", *words], words, strict=False)]
        for words in sentences
    ]


def encode(texts: Sequence[str]) -> np.ndarray:
    """A bag of words with places: unit vectors for each word, weighted by where it stands."""
    rows = np.zeros((len(texts), 16), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for place, word in enumerate(text.split(" ")):
            rng = np.random.default_rng(zlib.crc32(word.encode("utf-8", "surrogatepass")))
            row += rng.normal(size=16) * (1 + 0.1 * (place % 3))
    return rows


def their_encoder(**settings: Any) -> Any:
    """TextAttack's similarity constraint with ``encode`` as its encoder."""
    from textattack.constraints.semantics.sentence_encoders import SentenceEncoder

    class Encoder(SentenceEncoder):
        def encode(self, texts: list[str]) -> Any:
            return encode(texts)

    return Encoder(**settings)


def their_attack(
    vectors: WordVectors, *, neighbours: int, tagger: bool, similarity: dict[str, Any] | None
) -> Any:
    """TextAttack's TextFooler on our vectors, tagger and encoder, as a function of the model."""
    import nltk
    from textattack.constraints.grammaticality import PartOfSpeech as TheirPartOfSpeech
    from textattack.constraints.pre_transformation import (
        RepeatModification,
        StopwordModification,
    )
    from textattack.constraints.semantics import WordEmbeddingDistance
    from textattack.transformations import WordSwapEmbedding

    class Tagged(TheirPartOfSpeech):
        def _get_pos(self, *context: Any) -> Any:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    nltk,
                    "pos_tag",
                    lambda words, **_: list(zip(words, tag_all([list(words)])[0], strict=True)),
                )
                return super()._get_pos(*context)

    table = their_vectors(vectors)
    constraints = [
        RepeatModification(),
        StopwordModification(stopwords=set(TEXTFOOLER_STOP_WORDS)),
        WordEmbeddingDistance(embedding=table, min_cos_sim=0.5),
    ]
    if tagger:
        constraints.append(Tagged(allow_verb_noun_swap=True))
    if similarity is not None:
        constraints.append(their_encoder(**similarity))
    near = WordSwapEmbedding(max_candidates=neighbours, embedding=table)
    return partial(build, near, constraints, greedy("delete"))


def test_textfooler_without_encoder(textattack: Any, victim: dict[str, Any]) -> None:
    vectors = clustered_vectors(victim["texts"])
    attack = TextFooler(vectors=vectors, tagger=False, encoder=False)
    theirs = their_attack(vectors, neighbours=50, tagger=False, similarity=None)
    got = check_agreement(textattack, attack, theirs, **victim)
    assert statuses(got) >= {"skipped", "succeeded"}


@pytest.mark.parametrize("kind", ["as in the recipe", "short window", "whole text"])
def test_textfooler_with_everything(textattack: Any, victim: dict[str, Any], kind: str) -> None:
    vectors = clustered_vectors(victim["texts"])
    ours = TextFooler(
        neighbours=12, vectors=vectors, tagger=tag_all, encoder=encode, min_similarity=0.840845057
    )
    similarity: dict[str, Any] = {
        "threshold": 0.840845057,
        "metric": "angular",
        "compare_against_original": False,
        "window_size": 15,
        "skip_text_shorter_than_window": True,
    }
    attack: WordSwapAttack = ours
    if kind != "as in the recipe":
        window = 4 if kind == "short window" else None
        similarity = {
            "threshold": 0.6 if window else 0.75,
            "metric": "cosine",
            "compare_against_original": True,
            "window_size": window,
            "skip_text_shorter_than_window": False,
        }
        constraint = SentenceSimilarity(encode, similarity["threshold"], window=window)
        attack = WordSwapAttack(
            ours.substitution, [*ours.constraints[:-1], constraint], ours.search_method
        )
    theirs = their_attack(vectors, neighbours=12, tagger=True, similarity=similarity)
    got = check_agreement(textattack, attack, theirs, **victim)
    unlimited = attacked_here(
        TextFooler(neighbours=12, vectors=vectors, tagger=False, encoder=False),
        victim["texts"],
        victim["labels"],
        victim["victim"],
    )
    assert got != unlimited  # the constraints did something
    assert statuses(got) >= {"skipped", "succeeded", "failed"}


@pytest.mark.parametrize(
    ("metric", "window", "short", "original"),
    [
        ("cosine", None, False, True),
        ("angular", 3, False, False),
        ("angular", 6, True, True),
        ("cosine", 15, True, False),
    ],
)
def test_similarities(
    textattack: Any, metric: Any, window: int | None, short: bool, original: bool
) -> None:
    """The numbers themselves, on one change after the other."""
    from textattack.shared import AttackedText

    theirs = their_encoder(
        threshold=0.7,
        metric=metric,
        compare_against_original=original,
        window_size=window,
        skip_text_shorter_than_window=short,
    )
    ours = SentenceSimilarity(
        encode,
        0.7,
        metric=metric,
        window=window,
        skip_short=short,
        against="original" if original else "previous",
    )
    for text in sentences(60):
        first, their_first = Words.of(text), AttackedText(text)
        for index in range(0, len(first), 3):
            current = first.replace((index + 1) % len(first), "Alpha")
            their_current = their_first.replace_word_at_index((index + 1) % len(first), "Alpha")
            new = ["beta", "Gamma", "x"]
            change = Change(first, current, index, [current.replace(index, w) for w in new])
            moves = [their_current.replace_word_at_index(index, w) for w in new]
            theirs._check_constraint_many(moves, their_first if original else their_current)
            expected = [float(move.attack_attrs["similarity_score"]) for move in moves]
            found = finished(ours.examine(change))
            np.testing.assert_allclose(found.similarities, expected, atol=2e-6)
            assert found.allowed == [value >= 0.7 for value in expected]


def their_genetic(vectors: WordVectors, attack: Genetic) -> Any:
    """TextAttack's recipe without language model, its draws taken from our generators."""
    from textattack.constraints.overlap import MaxWordsPerturbed
    from textattack.constraints.semantics import WordEmbeddingDistance
    from textattack.search_methods import AlzantotGeneticAlgorithm
    from textattack.search_methods import alzantot_genetic_algorithm as child_module
    from textattack.search_methods import genetic_algorithm as module
    from textattack.transformations import WordSwapEmbedding

    class Draws:
        """NumPy, but for its global generator."""

        rng: np.random.Generator

        def __getattr__(self, name: str) -> Any:
            return self if name == "random" else getattr(np, name)

        def choice(self, *args: Any, **settings: Any) -> Any:
            p = np.asarray(settings.pop("p"), dtype=np.float64)
            return self.rng.choice(*args, **settings, p=p / p.sum())

        def uniform(self) -> float:
            return self.rng.random()

    draws = Draws()

    class Search(AlzantotGeneticAlgorithm):
        def perform_search(self, initial_result: Any) -> Any:
            text = initial_result.attacked_text.text
            self.context = SearchContext(0.0, (), text, 0, attack.name)
            self.generation, self.child = 0, -1
            return super().perform_search(initial_result)

        def _perturb(self, *args: Any, **settings: Any) -> Any:
            if self.generation == 0:
                self.child += 1
                draws.rng = self.context.rng("genetic", 0, self.child)
            return super()._perturb(*args, **settings)

        def _crossover(self, *args: Any) -> Any:
            self.child += 1
            draws.rng = self.context.rng("genetic", self.generation, self.child)
            return super()._crossover(*args)

    class Counted(list):
        """The generations, counted as the search draws parents for each."""

    plain_choice = draws.choice

    def choice(*args: Any, size: int | None = None, p: Any) -> Any:
        search = Counted.search  # type: ignore[attr-defined]
        if size is None:
            return plain_choice(*args, p=p)
        if search.parents % 2 == 0:
            search.generation += 1
            search.child = -1
            draws.rng = search.context.rng("genetic", search.generation)
        search.parents += 1
        return plain_choice(*args, size=size, p=p)

    draws.choice = choice  # type: ignore[method-assign]
    search = Search(
        pop_size=attack.search_method.population,
        max_iters=attack.search_method.generations,
        post_crossover_check=False,
    )
    search.parents = 0
    Counted.search = search  # type: ignore[attr-defined]
    module.np = draws
    child_module.np = draws
    table = their_vectors(vectors)
    limit = next(c.max_distance for c in attack.constraints if isinstance(c, WordCosine))
    limits = [
        *usual(),
        MaxWordsPerturbed(max_percent=0.2),
        WordEmbeddingDistance(embedding=table, max_mse_dist=limit),
    ]
    near = WordSwapEmbedding(max_candidates=8, embedding=table)
    return partial(build, near, limits, search)


def test_genetic(textattack: Any) -> None:
    texts = sentences(60)
    bag = BagOfWords()
    labels = some_wrong(bag(texts).argmax(axis=1).tolist())
    vectors = clustered_vectors(texts)
    # Without the entry of two words: crossing texts of different lengths fails in TextAttack.
    kept = [k for k, word in enumerate(vectors.words) if " " not in word]
    vectors = WordVectors([vectors.words[k] for k in kept], vectors.matrix[kept])
    attack = Genetic(vectors=vectors, population=6, generations=4, max_word_distance=1.0)
    theirs = their_genetic(vectors, attack)
    try:
        expected = attacked_by_textattack(theirs(wrapper(textattack, bag)), texts, labels)
    finally:
        from textattack.search_methods import alzantot_genetic_algorithm, genetic_algorithm

        genetic_algorithm.np = alzantot_genetic_algorithm.np = np
    got = attacked_here(attack, texts, labels, bag)
    differing = [(a, b) for a, b in zip(got, expected, strict=True) if a != b]
    assert len(differing) <= 1, differing[:3]
    assert statuses(got) >= {"skipped", "succeeded", "failed"}


def test_neighbours_and_their_case(textattack: Any) -> None:
    from textattack.transformations import WordSwapEmbedding

    vectors = clustered_vectors(sentences(60))
    theirs = WordSwapEmbedding(max_candidates=9, embedding=their_vectors(vectors))
    ours = NearestNeighbours(9, vectors=vectors)
    for word in vectors.words[:120]:
        for written in (word, word.upper(), word.capitalize(), word[:1] + word[1:].upper()):
            expected = [w for w in theirs._get_replacement_words(written) if w != written]
            assert list(ours.propose(written)) == list(dict.fromkeys(expected))
