"""TextAttack attacks that the tests run in TextAttack and in rosearch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SENTENCES = """\
A gorgeously elaborate story, so huge that words cannot describe it.
Effective but too-tepid biopic, with a well-made opening and a dull, dull end!
If you sometimes like to go to the movies to have fun, it's a good place to start.
Emerges as something rare: an issue movie that's so honest and keenly observed.
It's so laddish and juvenile, only teenage boys could possibly find it funny ...
A thoughtful, provocative, insistently humanizing film; better men are hard to find.
Spiderman rocks
""".splitlines()


Parts = Callable[[], tuple[list[Any], Any, Any]]


def pwws() -> Any:
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.transformations import WordSwapWordNet

    constraints = [RepeatModification(), StopwordModification()]
    return constraints, WordSwapWordNet(), GreedyWordSwapWIR("weighted-saliency")


def typos() -> Any:
    from textattack.constraints.overlap import LevenshteinEditDistance
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.transformations import (
        CompositeTransformation,
        WordSwapNeighboringCharacterSwap,
        WordSwapQWERTY,
        WordSwapRandomCharacterInsertion,
    )

    typos = [
        WordSwapNeighboringCharacterSwap(),
        WordSwapRandomCharacterInsertion(),
        WordSwapQWERTY(),
    ]
    search = GreedyWordSwapWIR()
    return [LevenshteinEditDistance(30)], CompositeTransformation(typos), search


def genetic() -> Any:
    from textattack.constraints.overlap import MaxWordsPerturbed
    from textattack.search_methods import AlzantotGeneticAlgorithm

    constraints, transformation, _ = pwws()
    constraints += [MaxWordsPerturbed(max_percent=0.4)]
    return constraints, transformation, AlzantotGeneticAlgorithm(pop_size=6, max_iters=4)


def swarm() -> Any:
    from textattack.search_methods import ParticleSwarmOptimization

    constraints, transformation, _ = pwws()
    return constraints, transformation, ParticleSwarmOptimization(pop_size=4, max_iters=3)


def deletions() -> Any:
    from textattack.search_methods import GreedySearch
    from textattack.transformations import WordDeletion

    return [], WordDeletion(), GreedySearch()


def insertions() -> Any:
    from textattack.constraints.pre_transformation import RepeatModification
    from textattack.search_methods import BeamSearch
    from textattack.transformations import WordInsertionRandomSynonym

    return [RepeatModification()], WordInsertionRandomSynonym(), BeamSearch(2)


ATTACKS = [pwws, typos, genetic, swarm, deletions, insertions]


def build(parts: Parts, victim: Any, *, budget: int | None = None, columns: bool = False) -> Any:
    from textattack import Attack
    from textattack.constraints.pre_transformation import InputColumnModification
    from textattack.goal_functions import UntargetedClassification

    constraints, transformation, search = parts()
    if columns:
        constraints += [InputColumnModification(["premise", "hypothesis"], {"premise"})]
    attack = Attack(UntargetedClassification(victim), constraints, transformation, search)
    if budget is not None:
        attack.goal_function.query_budget = budget
    return attack
