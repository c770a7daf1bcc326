"""Rosearch's recipes with their counterparts, composed of TextAttack's own parts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from rosearch.attack import PWWS, Attack, DeepWordBug, Pruthi, TextBugger, Words
from rosearch.attack.resources.word_vectors import WordVectors
from tests.attack.textattack.agreement import with_our_draws


class Counterparts(NamedTuple):
    """An attack of rosearch and the same one of TextAttack."""

    attack: Attack
    build: Callable[[Any], Any]
    """Makes TextAttack's attack from a model wrapper."""
    before: Callable[[str], object] = lambda text: None
    """Call it with each text before TextAttack attacks it."""


def pwws(textattack: Any) -> Counterparts:
    return Counterparts(PWWS(), textattack.attack_recipes.PWWSRen2019.build)


def deepwordbug(textattack: Any, limit: int = 30) -> Counterparts:
    """With rosearch's random edits."""
    from textattack.constraints.overlap import LevenshteinEditDistance

    attack = DeepWordBug(max_edit_distance=limit)
    edits = with_our_draws(textattack, attack)
    limits = [*usual(), LevenshteinEditDistance(limit)]
    return Counterparts(attack, partial(build, edits, limits, greedy("unk")), edits.begin)


def textbugger(textattack: Any, texts: Sequence[str]) -> Counterparts:
    """With rosearch's random edits; homoglyphs and nearest words are TextAttack's own."""
    from textattack.transformations import CompositeTransformation, WordSwapEmbedding

    vectors = random_vectors(texts)
    attack = TextBugger(vectors=vectors, encoder=False)
    edits = with_our_draws(textattack, attack, parts=(0, 1, 2))
    near = WordSwapEmbedding(max_candidates=5, embedding=their_vectors(vectors))
    bugs = CompositeTransformation([edits, their_homoglyphs(), near])
    return Counterparts(attack, partial(build, bugs, usual(), greedy("delete")), edits.begin)


def pruthi(textattack: Any, max_words: int = 1) -> Counterparts:
    """With rosearch's insertions; the other three edits are TextAttack's own."""
    from textattack import transformations
    from textattack.constraints.overlap import MaxWordsPerturbed
    from textattack.constraints.pre_transformation import MinWordLength
    from textattack.search_methods import GreedySearch

    attack = Pruthi(max_words=max_words)
    insertion = with_our_draws(textattack, attack, parts=(2,))
    every = {"random_one": False, "skip_first_char": True, "skip_last_char": True}
    typos = transformations.CompositeTransformation(
        [
            transformations.WordSwapNeighboringCharacterSwap(**every),
            transformations.WordSwapRandomCharacterDeletion(**every),
            insertion,
            transformations.WordSwapQWERTY(**every),
        ]
    )
    limits = [*usual(), MinWordLength(min_length=4), MaxWordsPerturbed(max_num_words=max_words)]
    return Counterparts(attack, partial(build, typos, limits, GreedySearch()), insertion.begin)


def build(transformation: Any, limits: list[Any], search: Any, model: Any) -> Any:
    """TextAttack's attack on ``model``, a wrapper, with its untargeted goal."""
    from textattack import Attack as Theirs
    from textattack.goal_functions import UntargetedClassification

    return Theirs(UntargetedClassification(model), limits, transformation, search)


def usual() -> list[Any]:
    """TextAttack's constraints against repeated changes and changes of stop words."""
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification

    return [RepeatModification(), StopwordModification()]


def greedy(ranking: str) -> Any:
    """TextAttack's greedy search; rankings are ``"unk"``, ``"delete"`` and others."""
    from textattack.search_methods import GreedyWordSwapWIR

    return GreedyWordSwapWIR(wir_method=ranking)


def their_vectors(vectors: WordVectors) -> Any:
    """Vectors as TextAttack's table."""
    from textattack.shared import WordEmbedding

    words = list(vectors.words)
    distances = np.linalg.norm(vectors.matrix[:, None] - vectors.matrix, axis=2)
    return WordEmbedding(
        vectors.matrix,
        {word: index for index, word in enumerate(words)},
        dict(enumerate(words)),
        # Without it, version 0.3.11 fails when it computes neighbours.
        nn_matrix=distances.argsort(axis=1, kind="stable"),
    )


def their_homoglyphs(**settings: Any) -> Any:
    """TextAttack's homoglyphs; a table for another attack, which its wheel lacks, is left empty."""
    from textattack.transformations.word_swaps import word_swap_homoglyph_swap as module

    with mock.patch.object(module, "open", return_value=io.StringIO(), create=True):
        return module.WordSwapHomoglyphSwap(**settings)


def random_vectors(texts: Sequence[str]) -> WordVectors:
    """Vectors of unit length for every second word of ``texts``."""
    words = sorted({word.lower() for text in texts for word in Words.of(text).words})[::2]
    matrix = np.random.default_rng(0).normal(size=(len(words), 16))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return WordVectors(words, matrix.astype(np.float32))
