"""Handing out candidates: abandoned ones first, then what the strategy proposes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from rosearch.errors import SpaceError
from rosearch.evolve.strategies import Strategy
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trials import Candidate, Parent, TrialRecord, comparable
from rosearch.seeding import child_seed, generator
from rosearch.space import Genome, SearchSpace

_DRAWS = 256
"""Genomes that are drawn for one candidate before one outside the limits is taken."""


class Proposals:
    """The candidates of one study, each a function of the seed and the trials before it.

    Args:
        space: Where genomes come from.
        strategy: Rule for the next one.
        ledger: The study's trials.
        seeds: Genomes that come first.
        seed: Root of all randomness.
        overlap: Candidate ``n`` may know candidates 0 to ``n - overlap``, and waits for them;
            ``None``: it knows what is finished.
        excess: How far a genome is outside the limits that can be told before training, 0 for
            one inside; it may depend on the genome only. ``None``: there are no such limits.
        rungs: Rungs of the evaluation; 1 without fidelity.
        inherits: Whether candidates inherit weights.

    Raises:
        SpaceError: A genome of ``seeds`` is not in the space, or is there twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        strategy: Strategy,
        ledger: Ledger,
        *,
        seeds: Sequence[Genome],
        seed: int,
        overlap: int | None,
        excess: Callable[[Genome], float] | None = None,
        rungs: int = 1,
        inherits: bool = False,
    ) -> None:
        self._space = space
        self._strategy = strategy
        self._ledger = ledger
        self._seeds = tuple(seeds)
        self._seed = seed
        self._overlap = overlap
        self._excess = excess
        self._rungs = rungs
        self._inherits = inherits
        self._past = _Past()
        self.reserved: set[int] = set()
        """Trials of this process that wait for others before their genome is known."""

    def propose(self, lease: float) -> Candidate | None:
        """Store the next new trial as running, for ``lease`` seconds, and return it.

        It is planned for the study as it was last read, by :meth:`take_up` for example.

        Returns:
            ``None`` if trials that it waits for are not finished. If other processes added trials
            meanwhile, a number is reserved then, which :meth:`take_up` returns when it is time.

        Raises:
            SpaceError: The space has no genome that the study does not have.
        """
        trials = self._ledger.seen()
        if not self._is_ready(len(trials), trials):
            return None
        planned = self._plan(len(trials), trials)
        number = self._ledger.add(
            planned.genome, planned.seed, lease=lease, parent=_of(planned), planned_for=len(trials)
        )
        if number == planned.number:
            return planned
        self.reserved.add(number)
        return self._planned_anew(number, self._ledger.trials())

    def known_to(self, number: int, trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        """Those of ``trials`` that the verdict on trial ``number`` may know; all if no one waits.

        Itself may be among them.
        """
        return trials if self._overlap is None else self._known(number, trials)

    def take_up(
        self,
        lease: float,
        *,
        own: bool,
        busy: Collection[int] = (),
        below: int | None = None,
    ) -> Candidate | None:
        """Claim the first running trial that nobody evaluates: abandoned, or up for its next rung.

        One that got its number in place of another is planned for its own number first.

        Args:
            lease: Seconds for which it then counts as alive.
            own: Whether trials that this evolver handed out are among those to take up.
            busy: Numbers of trials that are being evaluated here.
            below: Look only at trials with smaller numbers, and at those reserved here.
        """
        trials = self._ledger.trials()
        for trial in self._past.running(trials):
            number = trial.number
            reserved = number in self.reserved
            if number in busy or (below is not None and number >= below and not reserved):
                continue
            if not trial.is_planned and not self._is_ready(number, trials):
                continue
            owner = self._ledger.judge(number)
            if owner == "alive" or (owner == "mine" and not (own or reserved)):
                continue
            if self._ledger.settle(number):
                continue
            if owner == "mine":
                self._ledger.claim(number, lease=lease)
            elif not self._ledger.take_over(number, lease=lease):
                continue
            if trial.is_planned:
                return self._candidate(number, trial.genome, len(trial.scores), trial.line)
            planned = self._planned_anew(number, self._ledger.trials())
            if planned is not None:
                return planned
        return None

    def upcoming(self) -> list[Genome]:
        """Genomes that are known to be evaluated next: abandoned, given, or proposed."""
        trials = self._ledger.trials()
        known = [t.genome for t in trials if t.state == "running"]
        known += self._seeds[len(trials) :]
        if not known:
            known.append(self._genome(len(trials), trials))
        return known

    def _known(self, number: int, trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        end = number if self._overlap is None else number - self._overlap + 1
        return trials[: max(0, end)]

    def _is_ready(self, number: int, trials: Sequence[TrialRecord]) -> bool:
        """Whether all that the genome of trial ``number`` depends on is there."""
        if self._overlap is None or number < len(self._seeds):
            return True
        known = len(self._known(number, trials))
        return all(
            trial.is_planned and trial.number >= known
            for trial in self._past.running(trials)
            if trial.number < number
        )

    def _planned_anew(self, number: int, trials: Sequence[TrialRecord]) -> Candidate | None:
        """Plan a stored trial for its own number; ``None`` if that has to wait."""
        if not self._is_ready(number, trials):
            return None
        # With overlap the trials above must not matter; else none of them may be repeated.
        others = trials[:number] if self._overlap else [t for t in trials if t.number != number]
        planned = self._plan(number, others)
        self._ledger.reassign(number, planned.genome, planned.seed, _of(planned))
        self.reserved.discard(number)
        return planned

    def _plan(self, number: int, trials: Sequence[TrialRecord]) -> Candidate:
        """What trial ``number`` is to be."""
        genome = self._genome(number, trials)
        parent = parent_of(genome, self._known(number, trials)) if self._inherits else None
        return self._candidate(number, genome, 0, None if parent is None else parent.as_parent())

    def _candidate(
        self, number: int, genome: Genome, rung: int, parent: Parent | None
    ) -> Candidate:
        level = rung if self._rungs > 1 else None
        return Candidate(number, genome, self._seed_of(genome), level, parent)

    def _genome(self, number: int, trials: Sequence[TrialRecord]) -> Genome:
        if number < len(self._seeds):
            return self._seeds[number]
        finished = self._past.finished(self._known(number, trials))
        taken = self._past.keys(trials)
        rng = generator(self._seed, "proposal", number)
        outside: list[tuple[float, Genome]] = []
        try:
            for genome in self._strategy.new_genomes(
                self._space, finished, taken=taken, number=number, rng=rng
            ):
                self._space.require(genome)
                excess = 0.0 if self._excess is None else self._excess(genome)
                if excess == 0:
                    return genome
                outside.append((excess, genome))
                if len(outside) == _DRAWS:
                    break
        except SpaceError:
            if not outside:
                raise
        # The strategy has no other: the one that is least outside the limits.
        return min(outside, key=lambda drawn: drawn[0])[1]

    def _seed_of(self, genome: Genome) -> int:
        # Not from the number: a genome means one training run, whoever runs it and whenever.
        return child_seed(self._seed, "candidate", genome.key)


class _Past:
    """What the finished trials at the start of a study come to: they stay as they are."""

    def __init__(self) -> None:
        self._finished: list[TrialRecord] = []
        self._keys: set[str] = set()

    def running(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The running ones of all trials."""
        return [t for t in trials[self._update(trials) :] if t.state == "running"]

    def finished(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The finished ones of the first trials of the study."""
        end = self._update(trials)
        return self._finished[:end] + [t for t in trials[end:] if t.state != "running"]

    def keys(self, trials: Sequence[TrialRecord]) -> set[str]:
        """Keys of the genomes of trials that begin with all those of the past."""
        return self._keys | {t.key for t in trials[self._update(trials) :]}

    def _update(self, trials: Sequence[TrialRecord]) -> int:
        """Add what has come to the past; how many of ``trials`` are in it."""
        for trial in trials[len(self._finished) :]:
            if trial.state == "running" or trial.number != len(self._finished):
                break
            self._finished.append(trial)
            self._keys.add(trial.key)
        return min(len(trials), len(self._finished))


def parent_of(genome: Genome, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial whose weights a student of ``genome`` inherits; ``None`` if none shares a node.

    It is the one that shares the most nodes: of equal width, with the same identity and operator.
    Of equals it is the best, see :func:`~rosearch.evolve.study.trials.comparable`.

    Args:
        genome: The architecture to be.
        trials: Those that it may know.
    """
    wanted = _nodes(genome)
    best, most = None, 0
    for trial in comparable(trials):
        shared = len(wanted & _nodes(trial.genome)) if trial.genome.width == genome.width else 0
        if shared > most:
            best, most = trial, shared
    return best


def _nodes(genome: Genome) -> set[tuple[str, str]]:
    operators = (node.operator for node in genome.nodes)
    return set(zip(genome.identities, operators, strict=True))


def _of(candidate: Candidate) -> int | None:
    return None if candidate.parent is None else candidate.parent.number


def check_seeds(seeds: Sequence[Genome], space: SearchSpace) -> tuple[Genome, ...]:
    """``seeds`` as a tuple.

    Raises:
        SpaceError: One is not in the space, is no genome, or is there twice.
    """
    first: dict[str, int] = {}
    given: Any = seeds
    if not isinstance(given, Iterable):
        raise SpaceError(f"seeds is a sequence of genomes, got {seeds!r}.")
    for i, genome in enumerate(seeds):
        if not isinstance(genome, Genome):
            raise SpaceError(f"seeds[{i}] must be a Genome, got {genome!r}.")
        if genome.key in first:
            raise SpaceError(f"seeds[{first[genome.key]}] and seeds[{i}] are the same genome.")
        first[genome.key] = i
        space.require(genome)
    return tuple(seeds)
