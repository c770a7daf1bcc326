"""Rungs: who goes on, what the ledger holds, and that nothing finished is done twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import EvaluationError, StudyMismatchError
from rosearch.evolve import Evolver, Fidelity, SuccessiveHalving
from rosearch.evolve.proposals import parent_of
from rosearch.evolve.strategies import SurrogateEvolution
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trials import Candidate, comparable
from rosearch.fitness import Fitness, Score
from tests.evolve.evaluations import FITNESS, SPACE, Log, Runged
from tests.evolve.helpers import dies, in_a_fork, needs_fork

CANDIDATES = 12
PARETO = Fitness.pareto(["robustness", "accuracy"])


def journal(folder):
    """A journal takes a third of the time that a database does."""
    return f"journal:///{folder}/search.log"


def evolver(folder=None, evaluate=None, fitness=FITNESS, **given):
    if evaluate is None:
        evaluate = Runged(os.devnull if folder is None else folder / "log")
    storage = None if folder is None else journal(folder)
    # A tenth of the default pool: which genomes are proposed matters little here.
    strategy = SurrogateEvolution(initial=4, pool=20)
    settings = {"strategy": strategy, "seed": 3, "storage": storage} | given
    return Evolver(SPACE, evaluate, fitness, **settings)


def sequence(search):
    """All of the ledger that does not depend on the clock."""
    return [
        (t.number, t.key, t.seed, t.state, dict(t.metrics), t.score, t.rung, t.rungs, t.scores,
         t.parent, None if t.failure is None else str(t.failure))
        for t in search.trials
    ]  # fmt: skip


def score(value, violation=0.0):
    return Score((value,), ("maximize",), {}, violation == 0, violation)


scores = st.builds(score, st.integers(0, 6).map(float), st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0]))


def beats(a, b):
    if a.feasible != b.feasible:
        return a.feasible
    return a.violation < b.violation if not a.feasible else a.values > b.values


@settings(deadline=None)
@given(scores, st.lists(scores, max_size=20), st.integers(1, 5))
def test_halving_keeps_the_best_third(own, others, reduction):
    finished = len(others) + 1
    better = sum(beats(other, own) for other in others)
    expected = finished < reduction or better < finished // reduction
    rule = SuccessiveHalving(reduction, lenience=0)
    assert rule.goes_on(own, others, rung=0) is expected
    feasible = sum(s.feasible for s in (own, *others))
    if 2 * feasible >= finished:  # half of them keep the limits as they are
        assert SuccessiveHalving(reduction).goes_on(own, others, rung=0) is expected


@settings(deadline=None)
@given(scores, st.lists(scores, max_size=20), st.integers(1, 5), st.sampled_from([1, 10, 15, 20]))
def test_every_second_place_goes_to_the_best_within_relaxed_limits(own, others, reduction, share):
    rule = SuccessiveHalving(reduction, lenience=share / 20)
    together = [own, *others]
    places = len(together) // reduction
    order = sorted(range(len(together)), key=lambda i: sum(beats(s, together[i]) for s in together))
    first = order[: places - places // 2]
    limit = sorted(s.violation for s in together)[(share * len(together) + 19) // 20 - 1]
    rest = [
        score(together[i].values[0], max(0.0, together[i].violation - limit))
        for i in range(len(together))
        if i not in first
    ]
    if len(together) < reduction or 0 in first:
        expected = True
    else:
        expected = sum(beats(s, rest[0]) for s in rest) < places // 2
    assert rule.goes_on(own, others, rung=0) is expected


def test_a_student_close_to_a_limit_goes_on():
    # Three of twelve keep the limit, and are bad else.
    others = [score(1.0), score(2.0), score(3.0), *(score(4.0, 0.1 * k) for k in range(1, 9))]
    near = score(9.0, 0.15)
    assert SuccessiveHalving(3).goes_on(near, others, rung=0)
    assert not SuccessiveHalving(3, lenience=0).goes_on(near, others, rung=0)
    assert not SuccessiveHalving(3).goes_on(score(9.0, 0.9), others, rung=0)


@pytest.mark.parametrize("lenience", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_lenience_must_be_from_0_to_1(lenience):
    with pytest.raises(ValueError, match="from 0 to 1"):
        SuccessiveHalving(lenience=lenience)


@given(st.permutations(range(9)))
def test_the_first_two_candidates_always_go_on(order):
    rule = SuccessiveHalving(3)
    known = []
    for value in order:
        goes_on = rule.goes_on(score(value), known, rung=0)
        known.append(score(value))
        rank = sorted((s.values[0] for s in known), reverse=True).index(value)
        assert goes_on is (len(known) < 3 or rank < len(known) // 3)


def test_several_objectives_are_compared_by_rank_and_crowding():
    def point(a, b):
        return Score((a, b), ("maximize", "maximize"), {}, True, 0.0)

    others = [point(3, 1), point(1, 3), point(0, 0), point(0, 1), point(0.5, 0.5)]
    assert SuccessiveHalving(2).goes_on(point(2, 2), others, rung=0)
    assert not SuccessiveHalving(2).goes_on(point(0.1, 0.1), others, rung=0)


def naive(trials, number, rung, reduction, rungs, overlap):
    """What became of a trial at a rung, from the numbers alone."""
    if rung == rungs - 1:
        return "complete"
    last = number if overlap is None else number - overlap + 1
    known = [t.scores[rung].values[0] for t in trials[: max(0, last)] if len(t.scores) > rung]
    own = trials[number].scores[rung].values[0]
    finished = len(known) + 1
    if finished < reduction or sum(v > own for v in known) < finished // reduction:
        return "goes on"
    return "stopped"


@pytest.mark.parametrize("overlap", [None, 1, 3])
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_a_search_applies_the_fidelity_rule(overlap, reduction):
    search = evolver(overlap=overlap, fidelity=SuccessiveHalving(reduction))
    trials = search.run(30, progress=False).trials
    for t in trials:
        for rung in range(len(t.rungs)):
            expected = "goes on" if rung < len(t.rungs) - 1 else t.state
            assert naive(trials, t.number, rung, reduction, 3, overlap) == expected
        assert t.rung == len(t.rungs) - 1
        assert t.metrics == t.rungs[-1]
        assert t.score == t.scores[-1]
    states = {t.state for t in trials}
    assert states == ({"complete"} if reduction == 1 else {"complete", "stopped"})


def test_front_and_best_only_contain_complete_trials():
    # The lower a rung, the better it looks.
    result = evolver(evaluate=Runged(os.devnull, slope=-0.1)).run(20, progress=False)
    assert result.best.state == "complete"
    assert {t.state for t in result.front} == {"complete"}
    assert any(t.score.values > result.best.score.values for t in result.trials)
    assert f"{sum(t.state == 'stopped' for t in result.trials)} stopped" in repr(result)
    order = comparable(result.trials)
    assert [t.rung for t in order] == sorted((t.rung for t in order), reverse=True)
    assert order[0].number == result.best.number
    assert all(t.scores for t in result.trials)
    assert [t for t in result.trials if len(t.scores) > 2] == [
        t for t in result.trials if t.state == "complete"
    ]


def test_ask_and_tell_go_rung_by_rung(tmp_path):
    search = evolver(tmp_path, fidelity=SuccessiveHalving(1))
    for rung in range(3):
        candidate = search.ask()
        assert (candidate.number, candidate.rung) == (0, rung)
        assert candidate.arguments == {"seed": candidate.seed, "rung": rung}
        told = search.tell(candidate, search.evaluate(candidate.genome, **candidate.arguments),
                           seconds=2.0)  # fmt: skip
        assert told.state == ("running" if rung < 2 else "complete")
        assert told.seconds == 2.0 * (rung + 1)
        with pytest.raises(EvaluationError, match="nothing was recorded"):
            search.tell(candidate, {"accuracy": 1.0})
        with pytest.raises(EvaluationError, match="nothing was recorded"):
            search.tell(candidate, RuntimeError("late"))
    assert search.ask().number == 1
    with pytest.raises(EvaluationError, match=r"rung=None is not of .* 3 rungs"):
        search.tell(Candidate(1, candidate.genome, 0), {})


def test_optuna_has_intermediate_values_and_pruned_trials(tmp_path):
    storage = f"sqlite:///{tmp_path}/search.db"
    result = evolver(tmp_path, storage=storage).run(CANDIDATES, progress=False)
    study = optuna.load_study(study_name="rosearch", storage=storage)
    states = {"complete": "COMPLETE", "stopped": "PRUNED"}
    for ours, theirs in zip(result.trials, study.trials, strict=True):
        assert states[ours.state] == theirs.state.name
        assert theirs.intermediate_values == {k: s.values[0] for k, s in enumerate(ours.scores)}
        assert theirs.value == ours.score.values[0]
    assert study.best_trial.number == result.best.number


def test_halving_with_several_objectives(tmp_path):
    result = evolver(tmp_path, fitness=PARETO).run(CANDIDATES, progress=False)
    assert {t.state for t in result.trials} == {"complete", "stopped"}
    assert sequence(result) == sequence(evolver(fitness=PARETO).run(CANDIDATES, progress=False))


class Unlucky(Runged):
    """Fails at the second rung of every third genome."""

    def __call__(self, genome, *, seed, rung):
        metrics = super().__call__(genome, seed=seed, rung=rung)
        if rung == 1 and seed % 3 == 0:
            raise RuntimeError("out of luck")
        return metrics


def test_a_candidate_that_fails_at_a_higher_rung(tmp_path):
    search = evolver(tmp_path, Unlucky(tmp_path / "log"), fidelity=SuccessiveHalving(2))
    result = search.run(20, progress=False)
    failed = [t for t in result.trials if t.state == "failed"]
    assert failed
    for t in failed:
        assert (t.rung, len(t.rungs), t.score, t.metrics) == (0, 1, None, {})
    assert all(t.scores for t in result.trials)


# Method of the ledger, number of the call, killed before or after it, repeated rungs.
MOMENTS = [
    ("add", 5, True, 0),
    ("record", 1, False, 1),
    ("record", 9, False, 1),
    ("record", 9, True, 0),
    ("_end", 1, False, 0),  # the last rung is recorded, the end of its trial is not
    ("_end", 6, False, 0),
    ("_finish", 1, False, 0),
    ("_finish", CANDIDATES, False, 0),
    ("lease", 1, True, 0),  # taken up for the next rung
    ("lease", 3, False, 0),
    *[("_write", call, after, None) for call in (2, 7) for after in (False, True)],
]


@pytest.fixture(scope="module")
def uninterrupted():
    return sequence(evolver().run(CANDIDATES, progress=False))


@pytest.fixture(scope="module")
def work(tmp_path_factory, uninterrupted):
    """The evaluations of a search that is not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert sequence(evolver(folder).run(CANDIDATES, progress=False)) == uninterrupted
    return Log(folder / "log").lines()


@needs_fork
@pytest.mark.parametrize(("name", "call", "after", "repeated"), MOMENTS)
def test_killed_at_any_step(tmp_path, uninterrupted, work, name, call, after, repeated):
    def search():
        setattr(Ledger, name, dies(getattr(Ledger, name), call, after=after))
        evolver(tmp_path).run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    result = evolver(tmp_path).run(CANDIDATES, progress=False)
    assert sequence(result) == uninterrupted
    lines = Log(tmp_path / "log").lines()
    assert list(dict.fromkeys(lines)) == work
    more = len(lines) - len(work)
    assert more in (0, 1) if repeated is None else more == repeated


@needs_fork
def test_killed_repeatedly_during_rungs(tmp_path, uninterrupted, work):
    for _ in range(6):

        def search():
            evaluate = Runged(tmp_path / "log")
            evaluate.inner = dies(evaluate.inner, 4, after=False)
            evolver(tmp_path, evaluate).run(CANDIDATES, progress=False)

        in_a_fork(search)
    assert sequence(evolver(tmp_path).run(CANDIDATES, progress=False)) == uninterrupted
    assert list(dict.fromkeys(Log(tmp_path / "log").lines())) == work


@pytest.mark.parametrize("inherits", [False, True])
def test_rungs_in_threads_give_the_serial_result(inherits):
    from concurrent.futures import ThreadPoolExecutor

    results = []
    for count in (1, 2, 2):
        evaluate = Runged(os.devnull, pause=0.003, inherits=inherits)
        with ThreadPoolExecutor(count) as executor:
            search = evolver(evaluate=evaluate, overlap=2)
            results.append(search.run(CANDIDATES, executor=executor, progress=False))
    assert sequence(results[0]) == sequence(results[1]) == sequence(results[2])


@pytest.mark.slow
def test_rungs_in_processes_give_the_serial_result(tmp_path):
    pair = evolver(evaluate=Runged(tmp_path / "log", pause=0.02), overlap=2)
    parallel = pair.run(CANDIDATES, executor=2, progress=False)
    assert sequence(parallel) == sequence(evolver(overlap=2).run(CANDIDATES, progress=False))


def test_fidelity_needs_rungs_and_counts_as_a_setting(tmp_path):
    assert evolver().fidelity.reduction == 3
    assert evolver(evaluate=Log(os.devnull)).fidelity is None
    with pytest.raises(ValueError, match="fidelity must be None for an evaluation without rungs"):
        evolver(evaluate=Log(os.devnull), fidelity=SuccessiveHalving())
    with pytest.raises(ValueError, match="fidelity must be a Fidelity"):
        evolver(fidelity=3)
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="reduction must be a whole number"):
            SuccessiveHalving(wrong)
    odd = Runged(os.devnull)
    odd.rungs = 0
    with pytest.raises(ValueError, match=r"evaluate.rungs must be a whole number"):
        evolver(evaluate=odd)
    evolver(tmp_path)
    with pytest.raises(StudyMismatchError, match=r"fidelity.reduction: 3 in the study, 2 now"):
        evolver(tmp_path, fidelity=SuccessiveHalving(2))


class OnlyEven(Fidelity):
    """A rule of one's own."""

    def goes_on(self, score, others, *, rung):
        return len(others) % 2 == 0


def test_a_custom_fidelity_rule():
    trials = evolver(fidelity=OnlyEven()).run(6, progress=False).trials
    assert [len(t.rungs) > 1 for t in trials] == [True, False] * 3


def test_the_parent_shares_the_most_nodes(tmp_path):
    search = evolver(evaluate=Runged(os.devnull, inherits=True), overlap=2)
    trials = search.run(30, progress=False).trials
    assert any(t.parent is not None for t in trials)
    for t in trials:
        known = [o for o in trials[: max(0, t.number - 1)] if o.score is not None]
        shared = {}
        for o in known:
            same = [
                (i, n.operator)
                for i, n in zip(t.genome.identities, t.genome.nodes, strict=True)
                if o.genome.width == t.genome.width
                and (i, n.operator)
                in [(j, m.operator) for j, m in
                    zip(o.genome.identities, o.genome.nodes, strict=True)]
            ]  # fmt: skip
            shared[o.number] = len(same)
        most = max(shared.values(), default=0)
        if not most:
            assert t.parent is None
            continue
        equals = [trials[n] for n, count in shared.items() if count == most]
        top = max(o.rung for o in equals)
        best = max(o.score.values for o in equals if o.rung == top)
        expected = [o.number for o in equals if o.rung == top and o.score.values == best]
        assert t.parent == expected[0]
        assert t.line.genome == trials[t.parent].genome
        assert t.line.rung == trials[t.parent].rung
    assert parent_of(trials[0].genome, ()) is None


def test_parents_of_parents_are_passed_on_and_loaded(tmp_path):
    evaluate = Runged(tmp_path / "log", inherits=True)
    search = evolver(tmp_path, evaluate)
    result = search.run(20, progress=False)
    assert result.trials == evolver(tmp_path, Runged(tmp_path / "log", inherits=True)).result.trials
    for t in result.trials:
        line = t.line
        while line is not None:
            of = result.trials[line.number]
            assert (line.genome, line.seed, line.rung) == (of.genome, of.seed, of.rung)
            assert (line.parent.number if line.parent else None) == of.parent
            line = line.parent
    assert any(t.line is not None and t.line.parent is not None for t in result.trials)


def test_inherited_weights_survive_a_kill(tmp_path):
    whole = evolver(evaluate=Runged(os.devnull, inherits=True)).run(CANDIDATES, progress=False)

    def search():
        Ledger.record = dies(Ledger.record, 11, after=True)
        evolver(tmp_path, Runged(tmp_path / "log", inherits=True)).run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    again = evolver(tmp_path, Runged(tmp_path / "log", inherits=True))
    assert sequence(again.run(CANDIDATES, progress=False)) == sequence(whole)


class Keeping(Runged):
    """Keeps a file for each student, and one for each work in progress."""

    def __init__(self, folder, **given):
        super().__init__(os.devnull, **given)
        self.folder = Path(folder)

    def __call__(self, genome, *, seed, rung, parent=None):
        (self.folder / f"work-{genome.key}").touch()
        (self.folder / genome.key).touch()
        return super().__call__(genome, seed=seed, rung=rung, parent=parent)

    def where(self, genome, **arguments):
        return self.folder / genome.key

    def discard(self, genome, **arguments):
        (self.folder / genome.key).unlink(missing_ok=True)

    def finish(self, genome, **arguments):
        (self.folder / f"work-{genome.key}").unlink(missing_ok=True)

    def load(self, genome, **arguments):
        return self.folder / genome.key, arguments

    def files(self):
        return {path.name for path in self.folder.iterdir()}


def test_students_of_the_front_and_the_best_are_kept(tmp_path):
    evaluate = Keeping(tmp_path)
    result = evolver(evaluate=evaluate).run(15, progress=False)
    assert evaluate.files() == {t.key for t in [*result.front, comparable(result.trials)[0]]}
    for t in result.trials:
        assert t.weights == str(tmp_path / t.key)
    assert result.best.student == (tmp_path / result.best.key, result.best.arguments)


def test_possible_parents_are_kept_until_the_search_is_over(tmp_path):
    evaluate = Keeping(tmp_path, inherits=True)
    result = evolver(evaluate=evaluate).run(8, progress=False)
    assert evaluate.files() == {t.key for t in result.front} | {result.best.key}
    other = evolver(evaluate=evaluate, seed=4)
    keys = set()
    while len(keys) < 5:
        candidate = other.ask()
        told = other.tell(candidate, evaluate(candidate.genome, **candidate.arguments))
        keys |= {told.key} if told.state != "running" else set()
    assert keys <= evaluate.files()
