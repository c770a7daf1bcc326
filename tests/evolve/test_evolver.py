"""The evolver: failures, asking and telling, housekeeping, results."""

from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rosearch.errors import EvaluationError, MissingResourceError, SpaceError
from rosearch.evolve import Evolver, Failure, RandomSearch, Strategy
from rosearch.fitness import Fitness, FitnessTerm, fitness_terms
from rosearch.space import SearchSpace
from tests.evolve.evaluations import FITNESS, SPACE, failing, synthetic


def tiny(widths=1):
    """A space of four architectures for each width: residual or not, read beside or not."""
    return SearchSpace(
        operators={"identity": {}},
        nodes=(1, 1),
        widths=SPACE.widths[:widths],
        embedding_widths=SPACE.embedding_widths[:1],
        embeddings=["subword_embedding"],
        poolings=SPACE.poolings[:1],
    )


def evolver(evaluate=synthetic, fitness=FITNESS, **settings):
    return Evolver(SPACE, evaluate, fitness, **({"population": 5} | settings))


def every(period, action):
    """``synthetic``, except that every so many candidates ``action`` decides."""
    calls = 0

    def evaluate(genome, *, seed):
        nonlocal calls
        calls += 1
        return action(genome, seed) if calls % period == 0 else synthetic(genome, seed=seed)

    return evaluate


def boom(genome, seed):
    raise MemoryError("no room for the student")


@pytest.mark.parametrize(
    ("action", "kind", "text"),
    [
        (boom, "MemoryError", "no room"),
        (
            lambda g, seed: synthetic(g, seed=seed) | {"accuracy": math.nan},
            "EvaluationError",
            "nan",
        ),
        (lambda g, seed: {"accuracy": 0.5}, "EvaluationError", "returned accuracy"),
        (lambda g, seed: {"accuracy": "high"}, "EvaluationError", "not a number"),
        (lambda g, seed: 0.5, "EvaluationError", "mapping"),
    ],
)
def test_failed_candidates_are_recorded_and_the_search_continues(action, kind, text, url):
    result = evolver(every(3, action), storage=url).run(9, progress=False)
    failed = [t for t in result.trials if t.state == "failed"]
    assert [t.number for t in failed] == [2, 5, 8]
    assert all(t.failure.kind == kind and text in t.failure.message for t in failed)
    assert all("Traceback" in t.failure.traceback for t in failed)
    assert all(t.score is None and not t.metrics for t in failed)
    assert len(result.trials) == 9
    assert result.best.state == "complete"


def test_ctrl_c_ends_the_run_and_the_next_run_continues(url):
    def interrupt(genome, seed):
        raise KeyboardInterrupt

    search = evolver(every(4, interrupt), storage=url)
    with pytest.raises(KeyboardInterrupt, match=r"3 of 8 candidates.*stored; call run again"):
        search.run(8, progress=False)
    with pytest.raises(KeyboardInterrupt, match=r"3 of 8 .*in memory until this process ends"):
        evolver(every(4, interrupt)).run(8, progress=False)
    assert [t.state for t in search.result.trials] == ["complete"] * 3 + ["running"]
    resumed = evolver(synthetic_named_as(search.evaluate), storage=url)
    whole = evolver().run(8, progress=False)
    assert [t.key for t in resumed.run(8, progress=False).trials] == [t.key for t in whole.trials]


def synthetic_named_as(function):
    """``synthetic`` under the name by which a study knows ``function``."""

    def evaluate(genome, *, seed):
        return synthetic(genome, seed=seed)

    evaluate.__qualname__ = function.__qualname__
    return evaluate


def test_ask_and_tell_give_what_run_gives():
    by_hand = evolver()
    for _ in range(8):
        candidate = by_hand.ask()
        trial = by_hand.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
        assert trial.number == candidate.number
    automatic = evolver().run(8, progress=False)
    assert [(t.key, t.seed, t.score) for t in by_hand.result.trials] == [
        (t.key, t.seed, t.score) for t in automatic.trials
    ]


def test_tell_records_failures_and_refuses_a_second_outcome():
    search = evolver()
    first, second, third = search.ask(), search.ask(), search.ask()
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert search.tell(first, ValueError("bad")).failure.kind == "ValueError"
    assert search.tell(second, Failure("Lost", "gone", "")).failure.message == "gone"
    assert search.tell(third, {"accuracy": 0.5}).state == "failed"
    with pytest.raises(EvaluationError, match="failed already"):
        search.tell(third, synthetic(third.genome, seed=third.seed))


def test_a_metric_that_the_fitness_does_not_read_may_be_nan(url):
    def evaluate(genome, *, seed):
        return synthetic(genome, seed=seed) | {"loss": math.nan, "bound": math.inf}

    result = evolver(evaluate, storage=url).run(2, progress=False)
    assert all(t.state == "complete" for t in result.trials)
    assert math.isnan(result.best.metrics["loss"])
    assert result.best.metrics["bound"] == math.inf


def test_ask_refuses_more_candidates_than_overlap():
    search = evolver(overlap=2)
    first, second = search.ask(), search.ask()
    with pytest.raises(EvaluationError, match="waits"):
        search.ask()
    search.tell(second, synthetic(second.genome, seed=second.seed))
    with pytest.raises(EvaluationError, match="waits"):
        search.ask()
    search.tell(first, synthetic(first.genome, seed=first.seed))
    assert search.ask().number == 2


def test_run_evaluates_candidates_that_were_asked_but_not_told():
    search = evolver()
    asked = search.ask()
    result = search.run(3, progress=False)
    assert [t.state for t in result.trials] == ["complete"] * 3
    assert result.trials[0].key == asked.genome.key


def test_a_candidates_seed_depends_on_its_genome():
    a = evolver(seed=5).run(6, progress=False)
    b = evolver(seed=5, initial_genomes=[a.trials[3].genome]).run(1, progress=False)
    assert b.trials[0].seed == a.trials[3].seed
    c = evolver(seed=6, initial_genomes=[a.trials[3].genome]).run(1, progress=False)
    assert c.trials[0].seed != a.trials[3].seed


def test_initial_genomes_are_evaluated_first():
    genomes = [SPACE.sample(seed=s) for s in (100, 101)]
    result = evolver(initial_genomes=genomes).run(6, progress=False)
    assert [t.genome for t in result.trials[:2]] == genomes
    assert len({t.key for t in result.trials}) == 6


def test_initial_genomes_must_be_distinct_and_in_the_space():
    inside = SPACE.sample(seed=1)
    with pytest.raises(SpaceError, match=r"initial_genomes\[0\] and initial_genomes\[1\]"):
        evolver(initial_genomes=[inside, inside])
    narrow = SearchSpace(widths=[w for w in SPACE.widths if w != inside.width][:1])
    with pytest.raises(SpaceError, match="width"):
        Evolver(narrow, synthetic, FITNESS, initial_genomes=[inside])


def test_without_feasible_candidates_best_has_the_smallest_violation():
    fitness = Fitness({"accuracy": 1.0}, constraints={"compression": (1000.0, None)})
    result = evolver(fitness=fitness).run(6, progress=False)
    assert result.front == ()
    assert not result.best.score.feasible
    assert "none feasible" in repr(result)
    assert f"candidate {result.best.number}, " in repr(result)
    assert f"constraints, {result.best.score.violation:.3g}" in repr(result)
    assert "none feasible" not in repr(evolver().run(2, progress=False))
    assert "none feasible" not in repr(evolver().result)  # nothing is known yet
    assert result.best.metrics["compression"] == max(
        t.metrics["compression"] for t in result.trials
    )


def test_repr_of_results_and_trials_is_short_for_large_genomes():
    genome = max((SPACE.sample(seed=s) for s in range(30)), key=lambda g: len(g.nodes))
    assert len(genome.nodes) == 8
    result = evolver(initial_genomes=[genome]).run(1, progress=False)
    lines = repr(result).splitlines()
    assert lines[1].startswith("  best: candidate 0, in the search fitness ")
    assert f"Genome {genome.key}" in lines[2]
    assert len(lines) <= 11
    assert max(map(len, lines)) <= 120
    assert "more: print(best.genome)" in lines[-1]
    assert len(repr(result.best)) < 350
    assert repr(result.best).startswith(f"TrialRecord(number=0, key='{genome.key}'")
    failed = evolver(failing).run(1, progress=False).trials[0]
    assert "failure=Failure(kind='RuntimeError', message='no luck with" in repr(failed)


def test_the_best_of_a_pareto_search_is_on_the_front():
    fitness = Fitness.pareto(["robustness", "compression"])
    result = evolver(fitness=fitness).run(15, progress=False)
    assert result.best in result.front
    assert result.best.score.values[0] == max(t.score.values[0] for t in result.trials)
    robust = sorted(result.front, key=lambda t: t.score.values[0])
    sizes = [t.score.values[1] for t in robust]
    assert sizes == sorted(sizes, reverse=True)


class Kept:
    """An evaluation that keeps students, as a pipeline does."""

    settings = {"what": "kept"}

    def __init__(self, refuse=None):
        self.students = {}
        self.loads = 0
        self.checked = []
        self.refuse = refuse

    def __call__(self, genome, *, seed):
        self.students[genome.key, seed] = f"student {genome.key}"
        return synthetic(genome, seed=seed)

    def load(self, genome, *, seed):
        self.loads += 1
        return self.students[genome.key, seed]

    def discard(self, genome, *, seed):
        self.students.pop((genome.key, seed), None)

    def check(self, genome):
        self.checked.append(genome)
        if self.refuse:
            raise self.refuse


def test_students_of_the_front_are_kept_and_loaded_on_first_use():
    evaluate = Kept()
    result = evolver(evaluate).run(15, progress=False)
    assert set(evaluate.students) == {(t.key, t.seed) for t in (*result.front, result.best)}
    assert len(evaluate.students) < 15
    assert evaluate.loads == 0
    best = result.best
    assert best.student == f"student {best.key}"
    assert best.student is best.student
    assert evaluate.loads == 1


def test_a_student_left_by_a_killed_run_is_discarded_by_the_next(url):
    evaluate = Kept()
    evolver(evaluate, storage=url).run(8, progress=False)
    result = evolver(evaluate, storage=url).result
    gone = next(t for t in result.trials if (t.key, t.seed) not in evaluate.students)
    evaluate.students[gone.key, gone.seed] = "left by a killed run"
    result = evolver(evaluate, storage=url).run(9, progress=False)
    assert set(evaluate.students) == {(t.key, t.seed) for t in (*result.front, result.best)}


def test_student_raises_without_kept_students():
    result = evolver().run(2, progress=False)
    with pytest.raises(EvaluationError, match="not kept"):
        _ = result.best.student


def test_an_error_in_discard_is_a_warning():
    evaluate = Kept()
    evaluate.discard = lambda genome, *, seed: 1 / 0
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError"):
        result = evolver(evaluate).run(8, progress=False)
    assert len(result.trials) == 8


def test_check_is_called_before_the_first_training():
    genomes = [SPACE.sample(seed=1)]
    evaluate = Kept(refuse=MissingResourceError("WordNet is missing"))
    search = evolver(evaluate, initial_genomes=genomes)
    with pytest.raises(MissingResourceError, match="WordNet"):
        search.run(3, progress=False)
    assert search.result.trials == ()
    assert not evaluate.students
    evaluate.refuse = None
    search.run(3, progress=False)
    assert evaluate.checked[-1] == genomes[0]


def test_an_exhausted_space_is_an_error_and_keeps_finished_trials():
    class OnlyTwo(Strategy):
        def propose(self, space, trials, *, number, rng):
            return space.sample(seed=number % 2)

    for strategy in (OnlyTwo(), None):
        search = Evolver(tiny(), synthetic, FITNESS, strategy=strategy)
        with pytest.raises(SpaceError, match="No new architecture"):
            search.run(500, progress=False)
        result = search.result
        assert 1 <= len(result.trials) < 500
        assert len({t.key for t in result.trials}) == len(result.trials)
        assert all(t.state == "complete" for t in result.trials)


def test_running_candidates_finish_when_the_space_is_exhausted():
    done = []

    def evaluate(genome, *, seed):
        time.sleep(0.05 + 0.1 * (len(done) % 2))
        done.append(genome.key)
        return synthetic(genome, seed=seed)

    search = Evolver(tiny(), evaluate, FITNESS)
    with ThreadPoolExecutor(2) as executor:
        for _ in range(2):
            with pytest.raises(SpaceError, match="No new architecture"):
                search.run(10, executor=executor, progress=False)
            assert [t.state for t in search.result.trials] == ["complete"] * 4
    assert len(done) == len(set(done)) == 4  # the second run trains nothing


@pytest.fixture
def own_term():
    """Registers a term for one test."""
    names = []

    def register(name, term):
        fitness_terms.register(name)(term)
        names.append(name)

    yield register
    for name in names:
        fitness_terms.unregister(name)


@pytest.mark.parametrize("method", ["value", "scaled"])
def test_a_fitness_term_that_raises_fails_only_its_candidate(method, own_term, url):
    class Fragile(FitnessTerm):
        metric = "accuracy"
        direction = "maximize"

    def fails_on_some(self, read):
        accuracy = read["accuracy"] if method == "value" else read
        return math.log10(0.0 if accuracy > 0.7 else accuracy)

    setattr(Fragile, method, fails_on_some)
    own_term("fragile", Fragile)
    result = evolver(fitness=Fitness({"fragile": 1.0}), storage=url).run(12, progress=False)
    failed = [t for t in result.trials if t.state == "failed"]
    assert 0 < len(failed) < len(result.trials) == 12
    assert all(t.failure.kind == "ValueError" for t in failed)
    assert all("fails_on_some" in t.failure.traceback for t in failed)


def test_records_cannot_be_changed():
    result = evolver().run(2, progress=False)
    with pytest.raises(AttributeError):
        result.trials = ()
    with pytest.raises(AttributeError):
        result.best.seed = 1


def test_to_pandas_without_pandas_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingResourceError, match=r"pip install .rosearch\[pandas\]"):
        evolver().run(2, progress=False).to_pandas()


def test_to_pandas():
    pytest.importorskip("pandas")
    frame = evolver(every(3, boom)).run(4, progress=False).to_pandas()
    assert list(frame["number"]) == [0, 1, 2, 3]
    assert list(frame["state"]) == ["complete", "complete", "failed", "complete"]
    assert frame["metric_accuracy"].notna().sum() == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: evolver("synthetic"),
        lambda: evolver(fitness={"accuracy": 1.0}),
        lambda: evolver(study=""),
        lambda: evolver(overlap=0),
        lambda: evolver(population=1),
        lambda: evolver(initial_genomes=SPACE.sample(seed=0)),
        lambda: Evolver(None, synthetic, FITNESS),
        lambda: evolver().run(2, time_limit="1"),
        lambda: evolver().run(0),
        lambda: evolver().run(2, executor=0),
        lambda: evolver().run(2, executor="four"),
    ],
)
def test_invalid_arguments_are_refused(make):
    with pytest.raises((TypeError, ValueError)):
        make()


def test_no_progress_bar_for_a_short_run(capfd):
    evolver().run(2, progress=True)
    evolver(strategy=RandomSearch()).run(2, progress=False)
    assert "candidate" not in capfd.readouterr().err  # too quick for a bar


def test_sys_exit_fails_only_its_candidate():
    result = evolver(every(3, lambda *_: sys.exit("cannot"))).run(6, progress=False)
    failed = [t for t in result.trials if t.state == "failed"]
    assert failed
    assert {t.failure.kind for t in failed} == {"SystemExit"}
    assert len(result.trials) == 6


class Stray(Strategy):
    """Proposes what it was given."""

    def __init__(self, genome):
        self._genome = genome

    def propose(self, space, trials, *, number, rng):
        return self._genome


def test_a_proposal_outside_the_space_is_an_error():
    outside = SearchSpace(nodes=(12, 20), widths=(512,)).sample(seed=0)
    with pytest.raises(SpaceError, match=outside.key):
        evolver(strategy=Stray(outside)).run(3, progress=False)
    with pytest.raises(ValueError, match="a proposal of Stray must be a Genome"):
        evolver(strategy=Stray(None)).run(3, progress=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda: evolver(overlap=2.5),
        lambda: evolver(seed=1.9),
        lambda: evolver(seed=None),
        lambda: evolver(population=2.9),
        lambda: evolver().run(2.5),
        lambda: evolver().run("3"),
        lambda: evolver().run(0),
    ],
)
def test_arguments_must_be_whole_numbers(call):
    with pytest.raises(ValueError, match="whole number"):
        call()
