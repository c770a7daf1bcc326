"""What a strategy is, and the registry that plug-ins join."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any, final

import numpy as np

from rosearch.errors import SpaceError
from rosearch.evolve.study.trials import TrialRecord
from rosearch.registry import Registry
from rosearch.space import Genome, SearchSpace

_PROPOSALS = 30
"""Proposals that may repeat a genome of the study before fresh samples are drawn."""
_SAMPLES = 300
"""Fresh samples that may repeat one before the space counts as exhausted."""


class Strategy(ABC):
    """A rule for the next genome, without memory of its own.

    Authors write :meth:`propose`. What it returns may depend on its arguments and on the
    strategy's settings only, so that an interrupted search goes on as if nothing had happened.
    Settings are public attributes set in ``__init__``, plain values that JSON can hold; private
    ones may keep what can be computed again.
    """

    @abstractmethod
    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A genome for trial ``number``.

        Called again, with the same generator moved on, when the study has the genome already.

        Args:
            space: Where genomes come from.
            trials: The finished trials in order of their numbers, failed ones included. Those that
                were stopped below the last rung have a score of their own rung, which is not to be
                compared with scores of another; :func:`rosearch.evolve.study.trials.comparable`
                orders them.
            number: Number of the trial that the genome is for, from 0.
            rng: The only source of randomness.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """Name and public attributes; a study is made for one set of them."""
        public = {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}
        return {"name": type(self).__qualname__, **public}

    def proposals(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Iterator[Genome]:
        """Genomes for trial ``number``, of which the search takes the first that it can use.

        It cannot use one that the study has, or one outside the limits that are known before
        training. By default :meth:`propose` is called again and again. A strategy that has
        ordered many genomes yields them in its order.

        Args:
            space: As for :meth:`propose`.
            trials: As for :meth:`propose`.
            number: As for :meth:`propose`.
            rng: As for :meth:`propose`.
        """
        for _ in range(_PROPOSALS):
            yield self.propose(space, trials, number=number, rng=rng)

    @final
    def new_genomes(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        taken: Collection[str],
        number: int,
        rng: np.random.Generator,
    ) -> Iterator[Genome]:
        """Genomes whose keys are not in ``taken``, each once: proposals, then fresh samples.

        Args:
            space: As for :meth:`propose`.
            trials: As for :meth:`propose`.
            taken: Keys of all genomes that the study has, running ones included.
            number: As for :meth:`propose`.
            rng: As for :meth:`propose`.

        Raises:
            SpaceError: Neither proposals nor fresh samples gave a genome that is new.
        """
        given = set(taken)
        with contextlib.suppress(SpaceError):  # a parent without neighbours; samples may do
            for genome in self.proposals(space, trials, number=number, rng=rng):
                if not isinstance(genome, Genome):
                    raise TypeError(f"{type(self).__name__} proposed no Genome but {genome!r}.")
                if genome.key not in given:
                    given.add(genome.key)
                    yield genome
        for _ in range(_SAMPLES):
            genome = space.sample(seed=rng)
            if genome.key not in given:
                given.add(genome.key)
                yield genome
        if len(given) == len(taken):
            raise SpaceError(
                f"No new architecture for candidate {number}: the proposals of "
                f"{type(self).__name__} and {_SAMPLES} samples of the space were all among the "
                f"{len(taken)} that the study has. Widen the search space or ask for fewer "
                f"candidates."
            )

    @final
    def next_genome(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        taken: Collection[str],
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """The first of :meth:`new_genomes`, which see."""
        return next(self.new_genomes(space, trials, taken=taken, number=number, rng=rng))

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.settings.items() if k != "name")
        return f"{type(self).__name__}({shown})"


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Strategy)):
        return "expected a subclass of Strategy."
    if getattr(item, "__abstractmethods__", None):
        return "define its method propose(space, trials, *, number, rng)."
    return None


registry: Registry[type[Strategy]] = Registry("strategy", group="rosearch.strategies", check=_check)
"""All strategies by name."""


def make(strategy: Strategy | str) -> Strategy:
    """A strategy from its registered name, with its default settings; a strategy as it is.

    Raises:
        RegistryError: Nothing has that name; the message lists those there are.
        TypeError: It is neither.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str):
        return registry.get(strategy)()
    raise TypeError(
        f"Expected a strategy or the name of one, such as strategy='nsga2' or "
        f"strategy=rs.RegularizedEvolution(population=8); got {strategy!r}."
    )
