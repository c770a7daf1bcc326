"""The base class of strategies and their registry."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import final

from numpy.random import Generator

from rosearch.checks import refused
from rosearch.errors import SpaceError
from rosearch.evolve.study.settings import PublicSettings
from rosearch.evolve.study.trials import TrialRecord
from rosearch.registry import Registry
from rosearch.space import Genome, SearchSpace

_MAX_PROPOSALS = 30
"""Calls of ``propose`` for one trial, before random samples are drawn."""
_MAX_SAMPLES = 300
"""Random samples drawn for one trial, before the space counts as exhausted."""


class Strategy(PublicSettings, ABC):
    """A rule that proposes the next genome; it has no state.

    A subclass defines :meth:`propose`. Its result may only depend on its arguments and on the
    strategy's settings, so that an interrupted search continues as if it had not stopped. Settings
    are public attributes set in ``__init__``, with values that JSON can hold. Private attributes
    may cache what can be computed again.
    """

    @abstractmethod
    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Genome:
        """A genome for trial ``number``.

        If the study has the genome already, it is called again with the advanced generator.

        Args:
            space: Where genomes come from.
            trials: The finished trials in the order of their numbers, including failed ones. A
                trial that was stopped below the last rung has the score of its own rung, which
                cannot be compared with scores of another;
                :func:`rosearch.evolve.study.trials.comparable` orders them.
            number: Number of the new trial, from 0.
            rng: The only source of randomness.
        """

    def proposals(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Iterator[Genome]:
        """Genomes for trial ``number``, the best first; the arguments are those of :meth:`propose`.

        The search takes the first genome that is new and satisfies the constraints that are known
        before training. Default: repeated calls of :meth:`propose`. Override it in a strategy that
        ranks many genomes.
        """
        for _ in range(_MAX_PROPOSALS):
            yield self.propose(space, trials, number=number, rng=rng)

    @final
    def new_genomes(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        taken: Collection[str],
        number: int,
        rng: Generator,
    ) -> Iterator[Genome]:
        """Genomes that are not in ``taken``, without repetition: proposals, then random samples.

        Args:
            space: As for :meth:`propose`.
            trials: As for :meth:`propose`.
            taken: Keys of all genomes of the study, including those of running trials.
            number: As for :meth:`propose`.
            rng: As for :meth:`propose`.

        Raises:
            ArgumentError: A proposal is not a genome.
            SpaceError: Neither the proposals nor the samples include a new genome.
        """
        given = set(taken)
        with contextlib.suppress(SpaceError):  # a parent without mutants
            for genome in self.proposals(space, trials, number=number, rng=rng):
                if not isinstance(genome, Genome):
                    raise refused(f"a proposal of {type(self).__name__}", "a Genome", genome)
                if genome.key not in given:
                    given.add(genome.key)
                    yield genome
        for _ in range(_MAX_SAMPLES):
            genome = space.sample(seed=rng)
            if genome.key not in given:
                given.add(genome.key)
                yield genome
        if len(given) == len(taken):
            raise SpaceError(
                f"No new architecture for candidate {number}: the study has all proposals of "
                f"{type(self).__name__} and {_MAX_SAMPLES} random samples already. Widen the "
                f"search space or ask for fewer candidates."
            )


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Strategy)):
        return "expected a subclass of Strategy."
    if getattr(item, "__abstractmethods__", None):
        return "define its method propose(space, trials, *, number, rng)."
    return None


registry: Registry[type[Strategy]] = Registry("strategy", group="rosearch.strategies", check=_check)
"""All strategies by name."""


def make(strategy: Strategy | str) -> Strategy:
    """The strategy itself, or the one with this registered name and its default settings.

    Raises:
        RegistryError: No strategy has that name; the message lists the registered ones.
        ArgumentError: It is neither a strategy nor a name.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str):
        return registry.get(strategy)()
    raise refused("strategy", "a Strategy or the name of one, such as 'nsga2'", strategy)
