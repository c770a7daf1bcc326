"""Hand out candidates: first those that no process evaluates any more, then new ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from rosearch.checks import instance, refused
from rosearch.errors import SpaceError
from rosearch.evolve.strategies import Strategy
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trials import Candidate, Parent, TrialRecord, comparable
from rosearch.seeding import child_seed, generator
from rosearch.space import Genome, SearchSpace

_MAX_DRAWS = 256
"""Genomes that are drawn for one candidate before one outside the limits is taken."""


@dataclass(kw_only=True)
class Proposals:
    """The candidates of one study, each a function of the seed and the trials before it.

    Args:
        space: Where genomes come from.
        strategy: Proposes the next genome.
        ledger: The trials of the study.
        initial_genomes: Genomes to evaluate first.
        seed: Root of all randomness.
        overlap: Candidate ``n`` depends on candidates 0 to ``n - overlap`` and waits for them;
            ``None``: it depends on whatever is finished.
        excess: Returns by how much a genome exceeds the limits that can be checked before
            training, 0 if it does not. It may depend on the genome only. ``None``: there are no
            such limits.
        rungs: Rungs of the evaluation; 1 without fidelity.
        inherits: Whether candidates inherit weights.

    Attributes:
        reserved: Trials of this process whose genome depends on trials that are not finished.
    """

    space: SearchSpace
    strategy: Strategy
    ledger: Ledger
    initial_genomes: Sequence[Genome]
    seed: int
    overlap: int | None
    excess: Callable[[Genome], float] | None
    rungs: int
    inherits: bool
    reserved: set[int] = field(default_factory=set, init=False)

    def propose(self, lease: float) -> Candidate | None:
        """Store the next new trial as running, leased for ``lease`` seconds, and return it.

        Returns:
            ``None`` if it has to wait for trials that are not finished. If another process added a
            trial meanwhile, a number is reserved, which :meth:`take_up` returns when it can.

        Raises:
            SpaceError: The space has no genome that the study does not have.
        """
        trials = self.ledger.trials()
        if not self._is_ready(len(trials), trials):
            return None
        planned = self._plan(len(trials), trials)
        number = self.ledger.add(planned, lease)
        if number == planned.number:
            return planned
        self.reserved.add(number)
        return self._plan_again(number)

    def visible_to(self, number: int, trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        """The trials that the fate of trial ``number`` may depend on, possibly including itself."""
        return trials if self.overlap is None else self._before(number, trials)

    def take_up(
        self, lease: float, *, own: bool, busy: Collection[int] = (), below: int | None = None
    ) -> Candidate | None:
        """Lease the first running trial that is not being evaluated.

        Its process has died, or it goes on to its next rung. If another process got the number that
        it was planned for, it is first planned again for its own number.

        Args:
            lease: Seconds for which to lease it.
            own: Whether trials that this evolver handed out are included.
            busy: Numbers of trials that are being evaluated by this evolver.
            below: Only consider trials with smaller numbers, and reserved ones.
        """
        trials = self.ledger.trials()
        for trial in trials:
            number = trial.number
            reserved = number in self.reserved
            if trial.state != "running" or number in busy:
                continue
            if below is not None and number >= below and not reserved:
                continue
            if not trial.is_planned and not self._is_ready(number, trials):
                continue
            owner = self.ledger.judge(number)
            if owner == "alive" or (owner == "mine" and not (own or reserved)):
                continue
            if self.ledger.settle(number):
                continue
            if owner == "mine":
                self.ledger.lease(number, lease)
            elif not self.ledger.take_over(number, lease):
                continue
            if trial.is_planned:
                return self._candidate(number, trial.genome, len(trial.scores), trial.line)
            planned = self._plan_again(number)
            if planned is not None:
                return planned
        return None

    def upcoming(self) -> list[Genome]:
        """Genomes that are evaluated next: running and initial ones, or else the next proposal."""
        trials = self.ledger.trials()
        known = [trial.genome for trial in trials if trial.state == "running"]
        known += self.initial_genomes[len(trials) :]
        return known or [self._genome(len(trials), trials)]

    def _before(self, number: int, trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        """The trials that the genome of trial ``number`` may depend on."""
        end = number if self.overlap is None else number - self.overlap + 1
        return trials[: max(0, end)]

    def _is_ready(self, number: int, trials: Sequence[TrialRecord]) -> bool:
        """Whether everything that the genome of trial ``number`` depends on is known."""
        if self.overlap is None or number < len(self.initial_genomes):
            return True
        before = len(self._before(number, trials))
        return all(
            trial.state != "running" or (trial.is_planned and trial.number >= before)
            for trial in trials[:number]
        )

    def _plan_again(self, number: int) -> Candidate | None:
        """Plan a stored trial for its own number; ``None`` if that has to wait."""
        trials = self.ledger.trials()
        if not self._is_ready(number, trials):
            return None
        # With overlap the trials above must not matter; without, none of them may be repeated.
        others = trials[:number] if self.overlap else [t for t in trials if t.number != number]
        planned = self._plan(number, others)
        self.ledger.reassign(planned)
        self.reserved.discard(number)
        return planned

    def _plan(self, number: int, trials: Sequence[TrialRecord]) -> Candidate:
        genome = self._genome(number, trials)
        parent = parent_of(genome, self._before(number, trials)) if self.inherits else None
        return self._candidate(number, genome, 0, None if parent is None else parent.as_parent())

    def _candidate(
        self, number: int, genome: Genome, rung: int, parent: Parent | None
    ) -> Candidate:
        # The seed does not depend on the number: a genome stands for one training run.
        seed = child_seed(self.seed, "candidate", genome.key)
        return Candidate(number, genome, seed, rung if self.rungs > 1 else None, parent)

    def _genome(self, number: int, trials: Sequence[TrialRecord]) -> Genome:
        if number < len(self.initial_genomes):
            return self.initial_genomes[number]
        finished = [t for t in self._before(number, trials) if t.state != "running"]
        taken = {trial.key for trial in trials}
        rng = generator(self.seed, "proposal", number)
        outside: list[tuple[float, Genome]] = []
        try:
            for genome in self.strategy.new_genomes(
                self.space, finished, taken=taken, number=number, rng=rng
            ):
                self.space.require(genome)
                excess = 0.0 if self.excess is None else self.excess(genome)
                if excess == 0:
                    return genome
                outside.append((excess, genome))
                if len(outside) == _MAX_DRAWS:
                    break
        except SpaceError:
            if not outside:
                raise
        return min(outside, key=lambda drawn: drawn[0])[1]


def parent_of(genome: Genome, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial whose weights a student of ``genome`` inherits; ``None`` if none shares a node.

    It is the trial of the same width that shares the most nodes, that is nodes with the same
    identity and operator. Of equals it is the best, see
    :func:`~rosearch.evolve.study.trials.comparable`.
    """
    wanted = _nodes(genome)
    best, maximum = None, 0
    for trial in comparable(trials):
        shared = len(wanted & _nodes(trial.genome)) if trial.genome.width == genome.width else 0
        if shared > maximum:
            best, maximum = trial, shared
    return best


def check_initial_genomes(genomes: Sequence[Genome], space: SearchSpace) -> tuple[Genome, ...]:
    """Validate the argument ``initial_genomes``.

    Raises:
        ArgumentError: It is not a list of genomes.
        SpaceError: A genome is not in the space, or occurs twice.
    """
    first: dict[str, int] = {}
    if not isinstance(genomes, Sequence):
        raise refused("initial_genomes", "a list of genomes", genomes)
    for i, genome in enumerate(genomes):
        instance(f"initial_genomes[{i}]", genome, Genome, "a Genome")
        if genome.key in first:
            places = f"initial_genomes[{first[genome.key]}] and initial_genomes[{i}]"
            raise SpaceError(f"{places} are the same genome.")
        first[genome.key] = i
        space.require(genome)
    return tuple(genomes)


def _nodes(genome: Genome) -> set[tuple[str, str]]:
    operators = (node.operator for node in genome.nodes)
    return set(zip(genome.identities, operators, strict=True))
