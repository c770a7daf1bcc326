"""Studies: storages that cannot be opened, settings that differ, who owns a trial."""

from __future__ import annotations

import logging
import os
import time

import optuna
import pytest
from optuna.exceptions import StorageInternalError

from rosearch.errors import StorageError, StudyMismatchError
from rosearch.evolve import Evolver, RandomSearch
from rosearch.evolve.study.storage import open_storage
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace
from tests.evolve.evaluations import FITNESS, SPACE, Log, failing, slow, synthetic


def evolver(evaluate=synthetic, fitness=FITNESS, space=SPACE, **settings):
    return Evolver(space, evaluate, fitness, **({"population": 5} | settings))


@pytest.mark.parametrize(
    ("storage", "text"),
    [
        ("search.db", "sqlite:///search.db"),
        ("sqlite:////no/such/folder/search.db", "folder /no/such/folder does not exist"),
        ("journal:////no/such/folder/search.log", "folder /no/such/folder does not exist"),
        ("nosuchdatabase://host/name", "does not know this database"),
        ("sqlite:///{tmp}", "is a folder"),
        ("sqlite:///{tmp}/text.db", "not an SQLite database"),
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


def test_a_journal_file_gives_the_same_search(tmp_path):
    storage = f"journal:///{tmp_path}/search.log"
    first = evolver(storage=storage).run(4, progress=False)
    again = evolver(storage=storage).run(6, progress=False)
    assert again.trials[:4] == first.trials
    assert [t.key for t in again.trials] == [t.key for t in evolver().run(6, progress=False).trials]


def test_an_optuna_storage_is_accepted(url):
    result = evolver(storage=optuna.storages.RDBStorage(url)).run(3, progress=False)
    assert evolver(storage=url).run(3, progress=False).trials == result.trials


def test_an_outcome_that_cannot_be_written_is_told_again(url, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.study.ledger._TRIES", 1)
    storage = open_storage(url)
    search = evolver(storage=storage)
    candidate = search.ask()
    metrics = synthetic(candidate.genome, seed=candidate.seed)

    def full(*_):
        raise StorageInternalError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "set_trial_state_values", full)
        with pytest.raises(StorageError, match="disk full"):
            search.tell(candidate, metrics)
    assert search.result.trials[0].state == "running"
    assert search.tell(candidate, metrics).state == "complete"


def test_optuna_reads_the_study(url):
    result = evolver(storage=url, study="mine").run(6, progress=False)
    study = optuna.load_study(study_name="mine", storage=url)
    assert study.best_trial.number == result.best.number
    assert study.best_trial.user_attrs["metrics"] == dict(result.best.metrics)
    assert study.best_trial.user_attrs["key"] == result.best.key


def test_optuna_has_the_constraint_violations(url):
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


def test_optuna_is_told_what_is_infeasible_when_a_killed_search_goes_on(url, monkeypatch):
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.99, None)})
    storage = open_storage(url)
    search = evolver(fitness=fitness, storage=storage, study="killed")
    candidate = search.ask()
    with monkeypatch.context() as patch:  # as if killed before the state is changed
        patch.setattr(storage, "set_trial_state_values", lambda *_: None)
        search.tell(candidate, synthetic(candidate.genome, seed=candidate.seed))
    evolver(fitness=fitness, storage=url, study="killed").ask()
    trial = optuna.load_study(study_name="killed", storage=url).trials[0]
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


def test_settings_of_the_evaluation_are_compared(url, tmp_path):
    class Tuned:
        def __init__(self, epochs):
            self.settings = {"distiller": {"epochs": epochs}}

        def __call__(self, genome, *, seed):
            return synthetic(genome, seed=seed)

    evolver(Tuned(3), storage=url)
    with pytest.raises(StudyMismatchError, match=r"evaluate.settings.distiller.epochs: 3 .* 4 now"):
        evolver(Tuned(4), storage=url)


def test_settings_must_be_plain_data(tmp_path):
    class Odd(Log):
        settings = {"device": object()}

    with pytest.raises(TypeError, match="plain data"):
        evolver(Odd(tmp_path / "log"))


def test_a_study_of_another_program_is_refused(url):
    study = optuna.create_study(study_name="rosearch", storage=url, direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="did not make"):
        evolver(storage=url)


def test_an_error_names_a_trial_of_another_program(url):
    search = evolver(storage=url)
    study = optuna.load_study(study_name="rosearch", storage=url)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="Trial 0"):
        search.run(2, progress=False)


def test_optunas_logger_is_silenced_and_restored(url, caplog):
    logger = logging.getLogger("optuna")
    level, handlers = logger.level, list(logger.handlers)
    logger.propagate, before = True, logger.propagate
    try:
        with caplog.at_level(logging.INFO):
            evolver(storage=url).run(3, progress=False)
    finally:
        logger.propagate = before
    assert not [r for r in caplog.records if r.name.startswith("optuna")]
    assert logger.level == level
    assert logger.handlers == handlers


def test_a_candidate_leased_by_another_evolver_is_not_taken_over(url):
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


def test_a_run_renews_its_leases(url, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.search_run.RENEW_SECONDS", 0.02)
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
