"""Studies: storages that cannot be opened, settings that differ, who owns a trial."""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
import time

import optuna
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from rosearch.errors import StorageError, StudyMismatchError
from rosearch.evolve import Evolver, RandomSearch
from rosearch.evolve.study.settings import describe, differences
from rosearch.evolve.study.trial_parameters import ranges
from rosearch.fitness import Fitness
from rosearch.owners import Owner
from rosearch.space import SearchSpace
from tests.evolve.evaluations import FITNESS, SPACE, Log, failing, slow, synthetic


def evolver(evaluate=synthetic, fitness=FITNESS, space=SPACE, **settings):
    return Evolver(space, evaluate, fitness, **({"population": 5} | settings))


@pytest.mark.parametrize(
    ("storage", "text"),
    [
        ("search.db", "sqlite:///search.db"),
        ("sqlite:////no/such/folder/search.db", "folder /no/such/folder is not there"),
        ("journal:////no/such/folder/search.log", "folder /no/such/folder is not there"),
        ("nosuchdatabase://host/name", "knows no such database"),
        ("sqlite:///{tmp}", "is a folder"),
        ("sqlite:///{tmp}/text.db", "no SQLite database"),
        ("postgresql+nosuchdriver://me:secret@host/name", "postgresql"),
    ],
)
def test_a_storage_that_cannot_be_opened(storage, text, tmp_path):
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    calls = Log(tmp_path / "log")
    with pytest.raises(StorageError, match=text) as raised:
        evolver(calls, storage=storage.format(tmp=tmp_path))
    assert "secret" not in str(raised.value)
    assert not calls.lines()


def test_a_storage_that_cannot_be_written(tmp_path, url):
    evolver(storage=url)
    read_only = f"sqlite:///file:{tmp_path}/search.db?mode=ro&uri=true"
    with pytest.raises(StorageError, match="attempt to write a readonly database"):
        evolver(storage=read_only)


def test_a_journal_file_serves_as_well(tmp_path):
    storage = f"journal:///{tmp_path}/search.log"
    first = evolver(storage=storage).run(4, progress=False)
    again = evolver(storage=storage).run(6, progress=False)
    assert again.trials[:4] == first.trials
    assert [t.key for t in again.trials] == [t.key for t in evolver().run(6, progress=False).trials]


def test_an_optuna_storage_serves_as_well(url):
    result = evolver(storage=optuna.storages.RDBStorage(url)).run(3, progress=False)
    assert evolver(storage=url).run(3, progress=False).trials == result.trials


@pytest.fixture
def executed():
    """What is called with the connection and text of each SQL statement, and at each commit."""
    listeners = {"before_cursor_execute": [], "commit": []}

    def statement(connection, _, text, *others):
        for listener in listeners["before_cursor_execute"]:
            listener(connection, text)

    def commit(connection):
        for listener in listeners["commit"]:
            listener(connection)

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    yield lambda name, listener: listeners[name].append(listener)
    event.remove(Engine, "before_cursor_execute", statement)
    event.remove(Engine, "commit", commit)


def test_a_round_is_few_statements_and_two_commits(url, executed):
    search = evolver(storage=url)
    statements, commits = [], []
    for _ in range(3):
        candidate = search.ask()
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))

    def write(connection, text):
        statements.append(text)
        if not text.startswith("SELECT"):
            connection.info["written"] = True

    executed("before_cursor_execute", write)
    executed("commit", lambda c: c.info.pop("written", False) and commits.append(len(statements)))
    rounds = 4
    for _ in range(rounds):
        candidate = search.ask()
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
    assert len(commits) == 2 * rounds, "a commit for what is asked and one for what is told"
    assert len(statements) <= 64 * rounds  # of parameters alone there would be 72
    statements.clear()
    commits.clear()
    search.tell(search.ask(), ValueError("odd"))
    assert len(commits) == 2


def test_a_trial_that_optuna_adds_at_its_second_try_is_whole(url, executed, monkeypatch):
    search = evolver(storage=url)
    tries = []

    def fail(connection, text):
        if text.startswith("INSERT INTO trials"):
            tries.append(text)
            if len(tries) == 1:
                raise OperationalError(text, {}, Exception("deadlock"))

    executed("before_cursor_execute", fail)
    monkeypatch.setattr("random.random", lambda: 0.0)  # how long Optuna waits
    candidate = search.ask()
    search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
    (trial,) = optuna.load_study(study_name="rosearch", storage=url).trials
    assert len(tries) == 2
    assert list(trial.params) == list(ranges())
    assert trial.user_attrs["key"] == candidate.genome.key
    assert trial.state.name == "COMPLETE"


def test_an_outcome_that_cannot_be_written_in_full_is_not_written(url, executed, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.study.ledger._TRIES", 1)
    search = evolver(storage=url)
    candidate = search.ask()
    broken = [True]

    def fail(connection, text):
        if broken and text.startswith("UPDATE trials"):
            raise OperationalError(text, {}, Exception("disk full"))

    executed("before_cursor_execute", fail)
    with pytest.raises(StorageError, match="disk full"):
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
    (trial,) = optuna.load_study(study_name="rosearch", storage=url).trials
    assert "score" not in trial.user_attrs
    assert trial.state.name == "RUNNING"
    broken.clear()
    assert (
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed)).state == "complete"
    )


def test_optuna_reads_the_study(url):
    result = evolver(storage=url, study="mine").run(6, progress=False)
    study = optuna.load_study(study_name="mine", storage=url)
    assert study.best_trial.number == result.best.number
    assert study.best_trial.user_attrs["metrics"] == dict(result.best.metrics)
    assert study.best_trial.user_attrs["key"] == result.best.key


def test_optuna_knows_what_is_infeasible(url):
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.68, None)})
    settings = {"fitness": fitness, "strategy": RandomSearch(), "seed": 1}
    result = evolver(storage=url, study="limited", **settings).run(12, progress=False)
    feasible = {t.number for t in result.trials if t.score.feasible}
    assert 0 < len(feasible) < 12
    anyone = max(result.trials, key=lambda t: t.score.values[0])
    assert anyone.number not in feasible  # else there is nothing to tell
    study = optuna.load_study(study_name="limited", storage=url)
    assert study.best_trial.number == result.best.number
    for trial in study.trials:  # of any version, which differ in what a missing one means
        (violation,) = trial.system_attrs["constraints"]
        assert (violation <= 0) == (trial.number in feasible)


def test_optuna_is_told_again_what_is_infeasible_when_a_killed_search_goes_on(tmp_path):
    url = f"journal:///{tmp_path}/search.log"
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.99, None)})
    search = evolver(fitness=fitness, storage=url, study="killed")
    candidate = search.ask()
    ledger = search._ledger
    with pytest.MonkeyPatch.context() as patch:  # as if killed before the state is changed
        patch.setattr(ledger._storage, "set_trial_state_values", lambda *_: None)
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
    again = evolver(fitness=fitness, storage=url, study="killed")
    assert again._ledger.settle(candidate.number)
    (trial,) = optuna.load_study(study_name="killed", storage=again._ledger._storage).trials
    assert trial.state.name == "COMPLETE"
    assert trial.system_attrs["constraints"][0] > 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"fitness": Fitness({"robustness": 2.0, "accuracy": 1.0, "compression": 0.1})},
            "fitness.weights.robustness: 1.0 in the study, 2.0 now",
        ),
        ({"seed": 1}, "seed: 0 in the study, 1 now"),
        ({"population": 6}, "strategy.initial: 5 in the study, 6 now"),
        ({"strategy": RandomSearch()}, "strategy.initial: 5 in the study, not set now"),
        ({"evaluate": failing}, "evaluate.callable: 'tests.evolve.evaluations.synthetic' in"),
        ({"space": SearchSpace(widths=SPACE.widths[:1])}, "space.widths: "),
        ({"overlap": 2}, "overlap: None in the study, 2 now"),
    ],
)
def test_a_study_made_with_other_settings_is_refused(change, line, url):
    evolver(storage=url)
    with pytest.raises(StudyMismatchError) as raised:
        evolver(storage=url, **change)
    assert line in str(raised.value)
    assert "study=" in str(raised.value)
    evolver(storage=url, study="other", **change)  # another name will do
    evolver(storage=url)  # and the same settings always do


def test_the_settings_of_an_evaluation_count(url, tmp_path):
    class Tuned:
        def __init__(self, epochs):
            self.settings = {"distiller": {"epochs": epochs}}

        def __call__(self, genome, *, seed):
            return synthetic(genome, seed=seed)

    evolver(Tuned(3), storage=url)
    with pytest.raises(StudyMismatchError, match=r"evaluate.settings.distiller.epochs: 3 .* 4 now"):
        evolver(Tuned(4), storage=url)


def test_the_message_shows_what_differs():
    def settings(**last):
        attack = {"name": "long", "words": ["word"] * 100, **last}
        return {"attacks": [{"name": "first"}, attack], "examples": [1, 2]}

    def lines(stored, current):
        return list(differences(stored, current))

    assert lines(settings(keep=1), settings(keep=2)) == ["attacks[1].keep: 1 in the study, 2 now"]
    assert lines(settings(), {**settings(), "examples": [2, 1]}) == [
        "examples: [1, 2] in the study, [2, 1] now"
    ]
    (line,) = lines(settings(words=["word"] * 99 + ["a"]), settings(words=["word"] * 99 + ["b"]))
    assert "'word', 'a'] in the study, ...word', " in line
    assert line.endswith("'word', 'b'] now")
    assert len(line) < 300
    (line,) = lines({"a": "x" * 500}, {"a": "y" + "x" * 500})
    assert line == f"a: 'x{'x' * 118}... in the study, 'y{'x' * 118}... now"
    (line,) = lines({"attacks": [{"name": "a"}] * 30}, {"attacks": [{"name": "a"}] * 29})
    assert line.count("{") < 12
    assert lines(settings(), settings()) == []


def test_settings_that_are_no_plain_data_are_refused(tmp_path):
    class Odd(Log):
        settings = {"device": object()}

    with pytest.raises(TypeError, match="plain data"):
        evolver(Odd(tmp_path / "log"))


def test_a_partial_is_known_by_its_function_and_arguments():
    a = describe(functools.partial(synthetic, epochs=3))
    assert a == describe(functools.partial(synthetic, epochs=3))
    assert a != describe(functools.partial(synthetic, epochs=4))
    assert "0x" not in str(describe(functools.partial(synthetic, model=object())))


def test_a_method_is_known_by_the_settings_of_its_object():
    class Trainer:
        def __init__(self, epochs):
            self.settings = {"epochs": epochs}

        def measure(self, genome, *, seed):
            return synthetic(genome, seed=seed)

    assert describe(Trainer(3).measure) == describe(Trainer(3).measure)
    assert describe(Trainer(3).measure) != describe(Trainer(4).measure)


def test_a_study_of_another_program_is_refused(url):
    study = optuna.create_study(study_name="rosearch", storage=url, direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="did not make"):
        evolver(storage=url)


def test_a_trial_of_another_program_is_named(url):
    search = evolver(storage=url)
    study = optuna.load_study(study_name="rosearch", storage=url)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="Trial 0"):
        search.run(2, progress=False)


def test_optunas_logger_is_quiet_and_left_as_it_was(url, caplog):
    logger = logging.getLogger("optuna")
    level, handlers = logger.level, list(logger.handlers)
    logger.propagate, before = True, logger.propagate
    try:
        with caplog.at_level(logging.INFO):
            evolver(storage=url).run(3, progress=False)
    finally:
        logger.propagate = before
    assert not caplog.records
    assert logger.level == level
    assert logger.handlers == handlers


def test_owner_of_a_live_and_of_a_dead_process():
    me = Owner.this_process()
    other = Owner.this_process()
    assert me.judge(me.leased(-1)) == "mine"
    assert me.judge(None) == "gone"
    # Another evolver of this process: only the time tells.
    assert me.judge(other.leased(60)) == "alive"
    assert me.judge(other.leased(-1)) == "gone"
    code = (
        "import json; from rosearch.owners import Owner;"
        "print(json.dumps(Owner.this_process().leased(3600)), flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    theirs = json.loads(process.stdout.readline())
    assert me.judge(theirs) == "alive"
    assert me.judge(theirs | {"until": 0.0}) == "alive"  # the process table knows better
    assert me.judge(theirs | {"started": theirs["started"] - 1}) == "gone"  # number used again
    process.kill()
    deadline = time.monotonic() + 10
    while me.judge(theirs) != "gone" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert me.judge(theirs) == "gone"  # a zombie, not yet waited for
    process.communicate()
    assert me.judge(theirs) == "gone"
    # From another machine only the time tells.
    assert me.judge(theirs | {"host": "elsewhere"}) == "alive"
    assert me.judge(theirs | {"host": "elsewhere", "until": 0.0}) == "gone"


def test_a_live_candidate_of_another_evolver_is_left_alone(url):
    first, second = evolver(storage=url), evolver(storage=url)
    a, b = first.ask(), second.ask()
    assert (a.number, b.number) == (0, 1)
    assert a.genome.key != b.genome.key
    first.tell(a, synthetic(a.genome, seed=a.seed))
    second.tell(b, synthetic(b.genome, seed=b.seed))
    assert [t.state for t in first.result.trials] == ["complete", "complete"]


def test_two_processes_that_add_a_trial_at_once_get_different_genomes(url, monkeypatch):
    first, second = evolver(storage=url), evolver(storage=url)
    add = first._ledger.add

    def raced(genome, seed, **given):
        second.ask()
        return add(genome, seed, **given)

    monkeypatch.setattr(first._ledger, "add", raced)
    candidate = first.ask()
    trials = first.result.trials
    assert candidate.number == 1
    assert trials[1].key == candidate.genome.key != trials[0].key
    assert trials[1].seed == candidate.seed


def test_a_run_gives_signs_of_life_for_what_is_under_way(url, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.runner.RENEW_SECONDS", 0.02)
    storage = optuna.storages.RDBStorage(url)
    seen = []

    def evaluate(genome, *, seed):
        for _ in range(2):
            attributes = storage.get_all_trials(1)[-1].user_attrs
            seen.append(attributes["owner"]["until"])
            time.sleep(0.5)
        return synthetic(genome, seed=seed)

    evolver(evaluate, storage=url).run(1, progress=False)
    assert seen[1] > seen[0] > time.time()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_several_processes_share_one_study(url, tmp_path):
    evolver(Log(tmp_path / "log", slow), storage=url)
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                evolver(Log(tmp_path / "log", slow), storage=url).run(15, progress=False)
            except BaseException:  # noqa: BLE001
                os._exit(1)
            os._exit(0)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    trials = evolver(Log(tmp_path / "log", slow), storage=url).result.trials
    assert 15 <= len(trials) <= 17  # each may have begun one when another took the last
    assert {t.state for t in trials} == {"complete"}
    assert [t.number for t in trials] == list(range(len(trials)))
    lines = Log(tmp_path / "log").lines()
    assert len(lines) == len(trials)
