"""Populations computed from the finished trials, so that a strategy stores no state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from rosearch.evolve.strategies.ordering import same, scored
from rosearch.evolve.study.trials import TrialRecord


class Replay:
    """Replays the generations of a search: trial ``n`` is a child of generation ``n // size``.

    The survivors of each generation are cached (with 500 trials, replaying everything takes a
    quarter of a second). A trial that finishes late only changes the generations after it.

    Args:
        size: Children in a generation.
        select: Selects the next population from a population and its children.
    """

    def __init__(self, size: int, select: Callable[[list[TrialRecord]], list[TrialRecord]]) -> None:
        self._size = size
        self._select = select
        self._survivors: dict[int, tuple[list[TrialRecord], list[TrialRecord]]] = {}
        """For each generation: population and children, and the survivors among them."""

    def __getstate__(self) -> dict[str, Any]:
        return vars(Replay(self._size, self._select))  # without the cache

    def population(self, trials: Sequence[TrialRecord], *, number: int) -> list[TrialRecord]:
        """The population that trial ``number`` is bred from.

        Args:
            trials: Finished trials in the order of their numbers. Those of the generation of
                ``number``, and of later ones, do not count.
            number: A trial's number.
        """
        end = number // self._size * self._size
        population: list[TrialRecord] = []
        earlier = (trial for trial in scored(trials) if trial.number < end)
        for generation, children in groupby(earlier, key=lambda t: t.number // self._size):
            everyone = [*population, *children]
            before, population = self._survivors.get(generation, ([], []))
            if not same(before, everyone):
                population = self._select(everyone)
                self._survivors[generation] = everyone, population
        return population
