"""Handing out candidates: abandoned ones first, then what the strategy proposes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rosearch.errors import EvaluationError, SpaceError
from rosearch.evolve.ledger import Ledger
from rosearch.evolve.records import Candidate, Parent, TrialRecord, comparable
from rosearch.evolve.strategies import Strategy
from rosearch.seeding import child_seed, generator
from rosearch.space import Genome, SearchSpace

_DRAWS = 64
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

    def is_ready(self) -> bool:
        """Whether all trials that the next new one waits for are finished."""
        trials = self._ledger.trials()
        if self._overlap is None or len(trials) < len(self._seeds):
            return True
        return all(trial.state != "running" for trial in self._known(len(trials), trials))

    def propose(self, lease: float) -> Candidate:
        """Store the next new trial as running, for ``lease`` seconds, and return it.

        Raises:
            SpaceError: The space has no genome that the study does not have.
            EvaluationError: A trial that this one waits for is not finished.
        """
        if not self.is_ready():
            raise EvaluationError(
                f"The next candidate waits until those up to overlap={self._overlap} before it "
                f"are finished. Tell their outcome first."
            )
        trials = self._ledger.trials()
        planned = self._plan(len(trials), trials)
        number = self._ledger.add(planned.genome, planned.seed, lease=lease, parent=_of(planned))
        if number != len(trials):
            # Another process added a trial meanwhile, so this one is not what was planned for.
            planned = self._plan(number, self._ledger.trials()[:number])
            self._ledger.reassign(number, planned.genome, planned.seed, _of(planned))
        return planned

    def known_to(self, number: int) -> Sequence[TrialRecord]:
        """The trials that trial ``number`` may know; itself may be among them."""
        return self._known(number, self._ledger.trials())

    def take_up(
        self,
        lease: float,
        *,
        own: bool,
        busy: Collection[int] = (),
        below: int | None = None,
    ) -> Candidate | None:
        """Claim the first running trial that nobody evaluates: abandoned, or up for its next rung.

        Args:
            lease: Seconds for which it then counts as alive.
            own: Whether trials that this evolver handed out are among those to take up.
            busy: Numbers of trials that are being evaluated here.
            below: Look only at trials with smaller numbers.
        """
        for trial in self._ledger.trials()[:below]:
            if trial.state != "running" or trial.number in busy:
                continue
            owner = self._ledger.judge(trial.number)
            if owner == "alive" or (owner == "mine" and not own):
                continue
            if not self._ledger.settle(trial.number):
                self._ledger.claim(trial.number, lease=lease)
                return self._candidate(trial.number, trial.genome, len(trial.scores), trial.line)
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
        finished = [t for t in self._known(number, trials) if t.state != "running"]
        taken = {t.key for t in trials}
        rng = generator(self._seed, "proposal", number)
        outside: list[tuple[float, Genome]] = []
        while len(outside) < _DRAWS:
            try:
                genome = self._strategy.next_genome(
                    self._space, finished, taken=taken, number=number, rng=rng
                )
            except SpaceError:
                if not outside:
                    raise
                break  # all that is new is outside the limits
            excess = 0.0 if self._excess is None else self._excess(genome)
            if excess == 0:
                return genome
            outside.append((excess, genome))
            taken.add(genome.key)
        return min(outside, key=lambda drawn: drawn[0])[1]

    def _seed_of(self, genome: Genome) -> int:
        # Not from the number: a genome means one training run, whoever runs it and whenever.
        return child_seed(self._seed, "candidate", genome.key)


def parent_of(genome: Genome, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial whose weights a student of ``genome`` inherits; ``None`` if none shares a node.

    It is the one that shares the most nodes: of equal width, with the same identity and operator.
    Of equals it is the best, see :func:`~rosearch.evolve.records.comparable`.

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
    for i, genome in enumerate(seeds):
        if not isinstance(genome, Genome):
            raise SpaceError(f"seeds[{i}] must be a Genome, got {genome!r}.")
        if genome.key in first:
            raise SpaceError(f"seeds[{first[genome.key]}] and seeds[{i}] are the same genome.")
        first[genome.key] = i
        space.require(genome)
    return tuple(seeds)
