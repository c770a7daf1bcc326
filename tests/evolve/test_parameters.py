"""Optuna's tools work on a study of rosearch as it is."""

from __future__ import annotations

import optuna
import pytest

from rosearch.evolve import Evolver, RandomSearch
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trial_parameters import parameters, ranges
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace
from rosearch.space.descriptors import descriptors
from tests.evolve.evaluations import FITNESS, SPACE, synthetic

RANGES = ranges()


def wide(genome, *, seed):
    """Only the width matters."""
    return {"accuracy": genome.width / 256, "accuracy_under_attack": 0.5, "compression": 1.0}


@pytest.fixture(scope="module")
def search():
    storage = optuna.storages.InMemoryStorage()
    search = Evolver(SPACE, wide, FITNESS, strategy=RandomSearch(), storage=storage)
    search.run(100, progress=False)
    return storage, search


def test_every_genome_has_the_same_parameters_within_their_ranges():
    for space in (SPACE, SearchSpace()):
        for seed in range(40):
            genome = space.sample(seed=seed)
            values, distributions = parameters(genome, descriptors(genome), RANGES)
            assert distributions == RANGES
            assert list(values) == list(RANGES)
            optuna.trial.create_trial(value=0.0, params=values, distributions=distributions)


def test_parameters_are_what_describes_the_genome_and_stay_in_range():
    genome = SPACE.sample(seed=1)
    described = descriptors(genome)
    values, _ = parameters(genome, described, RANGES)
    assert values["width"] == genome.width
    assert values["nodes"] == len(genome.nodes)
    assert values["pooling"] == genome.pooling
    assert values["family_convolution"] == described["family_convolution"]
    far = {"paths": 1e30, "mean_path": 99.0, "width": 1.0}
    values, _ = parameters(genome, described | far, RANGES)
    assert (values["paths"], values["mean_path"], values["width"]) == (4096, 24.0, 8)


def test_a_large_space_has_ranges_of_its_own():
    space = SearchSpace(nodes=(1, 40), widths=(512, 1536, 3072), embedding_widths=(64, 2048))
    storage = optuna.storages.InMemoryStorage()
    search = Evolver(space, wide, FITNESS, strategy=RandomSearch(), storage=storage)
    found = search.run(40, progress=False)
    study = optuna.load_study(study_name="rosearch", storage=storage)
    for name in ("width", "embedding_width", "nodes", "edges", "depth"):
        assert [t.params[name] for t in study.trials] == [
            descriptors(t.genome)[name] for t in found.trials
        ]
    assert max(t.params["nodes"] for t in study.trials) > 24
    assert len({str(t.distributions) for t in study.trials}) == 1


def test_a_trial_holds_descriptors_and_versions(search):
    storage, searched = search
    study = optuna.load_study(study_name="rosearch", storage=storage)
    for trial, record in zip(study.trials, searched.result.trials, strict=True):
        assert trial.user_attrs["descriptors"] == descriptors(record.genome)
        assert trial.params == parameters(record.genome, descriptors(record.genome), RANGES)[0]
        assert trial.user_attrs["versions"]["optuna"] == optuna.__version__


def test_importances_find_what_matters(search):
    study = optuna.load_study(study_name="rosearch", storage=search[0])
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert set(importances) == set(RANGES)
    assert next(iter(importances)) == "width"


def test_the_default_importances_too(search):
    pytest.importorskip("sklearn")
    study = optuna.load_study(study_name="rosearch", storage=search[0])
    assert next(iter(optuna.importance.get_param_importances(study))) == "width"


def test_plots_and_names_of_the_objectives(search):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from optuna.visualization import matplotlib as plots

    storage, _ = search
    study = optuna.load_study(study_name="rosearch", storage=storage)
    assert study.metric_names == ["fitness"]
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        axes = plots.plot_parallel_coordinate(study, params=["width", "nodes", "pooling"])
    assert {"width", "nodes", "pooling"} <= {t.get_text() for t in axes.get_xticklabels()}
    pareto = Fitness.pareto(["robustness", "compression"])
    Evolver(SPACE, synthetic, pareto, storage=storage, study="pareto").run(3, progress=False)
    study = optuna.load_study(study_name="pareto", storage=storage)
    assert study.metric_names == ["robustness", "compression"]
    assert len(study.best_trials) >= 1


def test_a_database_holds_the_parameters_that_optuna_would_have_written(url):
    search = Evolver(SPACE, wide, FITNESS, storage=url)
    search.run(2, progress=False)
    first, second = optuna.load_study(study_name="rosearch", storage=url).trials
    genome = search.result.trials[1].genome
    assert second.params == parameters(genome, descriptors(genome), RANGES)[0]
    assert list(second.params) == list(first.params) == list(RANGES)
    assert second.distributions == RANGES
    copy = optuna.create_study(storage=url, study_name="copy", direction="maximize")
    copy.add_trial(second)
    assert copy.trials[0].params == second.params
    assert copy.trials[0].distributions == second.distributions


def test_a_table_of_parameters_that_is_not_known_is_left_to_optuna(url, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.study.storage._PARAMETER_COLUMNS", {"another"})
    search = Evolver(SPACE, wide, FITNESS, storage=url)
    search.run(1, progress=False)
    (trial,) = optuna.load_study(study_name="rosearch", storage=url).trials
    genome = search.result.trials[0].genome
    assert trial.params == parameters(genome, descriptors(genome), RANGES)[0]


def test_a_trial_that_gets_another_genome_is_described_anew(url):
    ledger = Ledger(url, "study", settings={}, directions=["maximize"])
    first, second = SPACE.sample(seed=1), SPACE.sample(seed=2)
    number = ledger.add(first, 1, lease=60)
    ledger.reassign(number, second, 2)
    trial = optuna.load_study(study_name="study", storage=url).trials[0]
    assert trial.params == parameters(first, descriptors(first), RANGES)[0]  # Optuna changes none
    assert trial.user_attrs["descriptors"] == descriptors(second)
