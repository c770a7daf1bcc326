"""Tests that every strategy must pass, which authors of plug-ins can run on theirs.

Subclass :class:`StrategySuite` in a pytest module and make the strategy::

    from rosearch.testing import StrategySuite

    class TestMine(StrategySuite):
        def make(self):
            return MyStrategy()
"""

from __future__ import annotations

import copy
import json
import pickle
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from rosearch.evolve.strategies.base import Strategy
from rosearch.evolve.study.trials import Failure, TrialRecord
from rosearch.fitness import Score
from rosearch.fitness.terms import Direction
from rosearch.seeding import generator
from rosearch.space import Genome, SearchSpace


def make_trial(
    number: int,
    genome: Genome,
    values: Sequence[float] | None,
    *,
    violation: float = 0.0,
    rung: int | None = None,
    stopped: bool = False,
    directions: Sequence[Direction] | None = None,
) -> TrialRecord:
    """A finished trial.

    Args:
        number: The trial's number.
        genome: The architecture.
        values: Its objectives; ``None`` for a failed trial.
        violation: Violation of the constraints; 0 makes it feasible.
        rung: The highest rung finished; the score is the same at all of them.
        stopped: Whether the fidelity rule ended it there.
        directions: One for each objective; all are maximised if omitted.
    """
    score = None
    if values is not None:
        ways: tuple[Direction, ...] = tuple(directions or ["maximize" for _ in values])
        score = Score(tuple(map(float, values)), ways, {}, violation == 0, violation)
    rungs = 0 if rung is None or score is None else rung + 1
    return TrialRecord(
        number=number,
        genome=genome,
        key=genome.key,
        seed=number,
        state="failed" if score is None else "stopped" if stopped else "complete",
        metrics={},
        score=score,
        seconds=1.0,
        failure=Failure("RuntimeError", "out of luck", "") if score is None else None,
        rung=rung,
        rungs=({},) * rungs,
        scores=(score,) * rungs if score else (),
    )


class StrategySuite:
    """Tests of determinism, of settings, and of failures, rungs, constraints and objectives."""

    trials = 40
    """Number of finished trials that the strategy gets; more than its population."""

    @abstractmethod
    def make(self) -> Strategy:
        """Return a new strategy with the settings to test."""

    def space(self) -> SearchSpace:
        """The search space."""
        return SearchSpace(
            operators=["attention", "convolution", "feed_forward", "max_pooling"],
            nodes=(0, 6),
            widths=(64, 128, 256),
            embedding_widths=(32, 64, 128),
        )

    def histories(self) -> dict[str, list[TrialRecord]]:
        """Finished trials of different kinds of searches, by name."""
        genomes = [self.space().sample(seed=k) for k in range(self.trials)]

        def history(values: Any, **more: Any) -> list[TrialRecord]:
            return [
                make_trial(k, genome, values(k), **{n: f(k) for n, f in more.items()})
                for k, genome in enumerate(genomes)
            ]

        def number(k: int) -> float:
            return (k * 7 % 11) / 10

        return {
            "none": [],
            "one": history(lambda _: [1.0])[:1],
            "failed": history(lambda _: None),
            "weighted": history(lambda k: [number(k)]),
            "equal": history(lambda _: [0.5]),
            "some failed": history(lambda k: None if k % 3 else [number(k)]),
            "infeasible": history(lambda k: [number(k)], violation=lambda k: 0.1 + number(k)),
            "some infeasible": history(
                lambda k: [number(k)], violation=lambda k: max(0.0, number(k) - 0.5)
            ),
            "stopped": history(lambda k: [number(k)], rung=lambda _: 0, stopped=lambda _: True),
            "rungs": history(
                lambda k: [number(k) + k % 3],
                rung=lambda k: k % 3,
                stopped=lambda k: k % 3 < 2,
            ),
            "two objectives": history(
                lambda k: [number(k), number(k + 3)],
                directions=lambda _: ("maximize", "minimize"),
            ),
            "three objectives": history(lambda k: [number(k), number(k + 3), number(2 * k)]),
            "four objectives": history(
                lambda k: [number(k), number(k + 3), number(2 * k), number(k + 5)]
            ),
            "a gap": history(lambda k: [number(k)])[::2],
        }

    def test_settings_are_plain(self) -> None:
        """JSON can hold the settings, and using the strategy does not change them."""
        strategy = self.make()
        before = json.dumps(strategy.settings)
        assert json.loads(before) == strategy.settings == self.make().settings
        self._propose(strategy, self.histories()["weighted"])
        assert json.dumps(strategy.settings) == before

    def test_proposals_are_in_the_space(self) -> None:
        """Every proposal is a genome of the space."""
        for name, trials in self.histories().items():
            for seed in range(3):
                genome = self._propose(self.make(), trials, seed=seed)
                assert genome in self.space(), name

    def test_the_same_arguments_give_the_same_genome(self) -> None:
        """A proposal depends on the arguments only, not on earlier calls or the instance."""
        used = self.make()
        for name, trials in self.histories().items():
            fresh = self._propose(self.make(), trials)
            assert self._propose(used, trials) == fresh, name
            assert self._propose(used, trials) == fresh, f"{name}, asked again"
            copied = pickle.loads(pickle.dumps(trials))  # noqa: S301 - made one line above
            assert self._propose(used, copied) == fresh, f"{name}, from another process"
            sent = pickle.loads(pickle.dumps(used))  # noqa: S301 - likewise
            assert self._propose(sent, trials) == fresh, f"{name}, in another process"

    def test_a_used_strategy_proposes_what_a_new_one_does(self) -> None:
        """A strategy that has seen a search grow proposes what a new one does."""
        for name in ("weighted", "some failed", "rungs", "two objectives"):
            trials = self.histories()[name]
            grown = self.make()
            for count in range(len(trials) + 1):
                seen = self._propose(grown, trials[:count])
                if count % 9 == 0 or count == len(trials):
                    assert seen == self._propose(self.make(), trials[:count]), (name, count)

    def test_a_late_trial_counts(self) -> None:
        """A trial that finishes after later ones is taken into account."""
        trials = self.histories()["weighted"]
        for late in (3, len(trials) - 2):
            used = self.make()
            for known in (trials[:late] + trials[late + 1 :], trials):
                expected = self._propose(self.make(), known)
                assert self._propose(used, known) == expected, late

    def test_the_generator_is_the_only_randomness(self) -> None:
        """Different seeds give different genomes."""
        trials = self.histories()["weighted"]
        keys = {self._propose(self.make(), trials, seed=seed).key for seed in range(8)}
        assert len(keys) > 1

    def test_arguments_are_not_changed(self) -> None:
        """The strategy does not change the space or the trials."""
        for name, trials in self.histories().items():
            space = self.space()
            before = copy.deepcopy(trials), space.settings
            self.make().propose(space, trials, number=self.trials, rng=generator(0, "suite"))
            assert (trials, space.settings) == before, name

    def test_a_tiny_space_is_searched_completely(self) -> None:
        """All genomes of a tiny space are proposed, each once."""
        space = SearchSpace(
            operators=["identity"],
            nodes=(0, 0),
            widths=(64,),
            embedding_widths=(32, 64, 96),
            embeddings=["subword_embedding"],
            poolings=("mean", "max", "first", "attention"),
        )
        strategy = self.make()
        trials: list[TrialRecord] = []
        for number in range(12):
            taken = {trial.key for trial in trials}
            rng = generator(0, "suite", number)
            new = strategy.new_genomes(space, trials, taken=taken, number=number, rng=rng)
            genome = next(new)
            trials.append(make_trial(number, genome, [float(number % 5)]))
        assert len({trial.key for trial in trials}) == 12

    def _propose(
        self, strategy: Strategy, trials: Sequence[TrialRecord], *, seed: int = 0
    ) -> Genome:
        number = trials[-1].number + 1 if trials else 0
        rng = generator(seed, "suite")
        return strategy.propose(self.space(), tuple(trials), number=number, rng=rng)
