"""Recipes of ours side by side with TextAttack's, put together from TextAttack's own parts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from rosearch.attack import PWWS, Attack, DeepWordBug, Pruthi, TextBugger, Words
from rosearch.attack.resources.word_vectors import WordVectors
from tests.attack.textattack_helpers import with_our_draws


class Counterparts(NamedTuple):
    """An attack of ours and TextAttack's own."""

    attack: Attack
    build: Callable[[Any], Any]
    """Makes TextAttack's from a model wrapper."""
    before: Callable[[str], object] = lambda text: None
    """To be called with each text before TextAttack attacks it."""


def pwws(textattack: Any) -> Counterparts:
    return Counterparts(PWWS(), textattack.attack_recipes.PWWSRen2019.build)


def deepwordbug(textattack: Any, limit: int = 30) -> Counterparts:
    """With our random edits plugged in."""
    from textattack.constraints.overlap import LevenshteinEditDistance
    from textattack.search_methods import GreedyWordSwapWIR

    attack = DeepWordBug(max_edit_distance=limit)
    edits = with_our_draws(textattack, attack)
    limits = [*_usual(), LevenshteinEditDistance(limit)]
    return Counterparts(attack, partial(build, edits, limits, GreedyWordSwapWIR()), edits.begin)


def textbugger(textattack: Any, texts: Sequence[str]) -> Counterparts:
    """With our random edits plugged in; look-alikes and near words are TextAttack's own."""
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.shared import WordEmbedding
    from textattack.transformations import CompositeTransformation, WordSwapEmbedding

    vectors = random_vectors(texts)
    attack = TextBugger(vectors=vectors, encoder=False)
    edits = with_our_draws(textattack, attack, parts=(0, 1, 2))
    words = list(vectors.words)
    distances = np.stack([((vectors.matrix - row) ** 2).sum(axis=1) for row in vectors.matrix])
    table = WordEmbedding(
        vectors.matrix,
        {word: index for index, word in enumerate(words)},
        dict(enumerate(words)),
        # Without it, version 0.3.11 fails where it computes neighbours.
        nn_matrix=distances.argsort(axis=1),
    )
    near = WordSwapEmbedding(max_candidates=5, embedding=table)
    bugs = CompositeTransformation([edits, their_homoglyphs(), near])
    search = GreedyWordSwapWIR(wir_method="delete")
    return Counterparts(attack, partial(build, bugs, _usual(), search), edits.begin)


def pruthi(textattack: Any, max_words: int = 1) -> Counterparts:
    """With the letters put in plugged in; the other three edits are TextAttack's own."""
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
    limits = [*_usual(), MinWordLength(min_length=4), MaxWordsPerturbed(max_num_words=max_words)]
    return Counterparts(attack, partial(build, typos, limits, GreedySearch()), insertion.begin)


def build(transformation: Any, limits: list[Any], search: Any, model: Any) -> Any:
    """TextAttack's attack on ``model``, a wrapper, with its untargeted goal."""
    from textattack import Attack as Theirs
    from textattack.goal_functions import UntargetedClassification

    return Theirs(UntargetedClassification(model), limits, transformation, search)


def _usual() -> list[Any]:
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification

    return [RepeatModification(), StopwordModification()]


def their_homoglyphs(**settings: Any) -> Any:
    """TextAttack's look-alikes; a table for another attack, which its wheel lacks, left empty."""
    from textattack.transformations.word_swaps import word_swap_homoglyph_swap as module

    with mock.patch.object(module, "open", return_value=io.StringIO(), create=True):
        return module.WordSwapHomoglyphSwap(**settings)


def random_vectors(texts: Sequence[str]) -> WordVectors:
    """Vectors of unit length for every second word of ``texts``."""
    words = sorted({word.lower() for text in texts for word in Words.of(text).words})[::2]
    matrix = np.random.default_rng(0).normal(size=(len(words), 16))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return WordVectors(words, matrix.astype(np.float32))
