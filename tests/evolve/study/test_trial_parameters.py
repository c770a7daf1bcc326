"""Optuna's tools work on a study of rosearch as it is."""

from __future__ import annotations

import optuna
import pytest

from rosearch.errors import StudyMismatchError
from rosearch.evolve import Evolver, RandomSearch, load_search
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trial_parameters import distributions, parameters
from rosearch.evolve.study.trials import Candidate
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace
from rosearch.space.descriptors import descriptors
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.space.encodings import registered

RANGES = distributions({})


@pytest.fixture
def encodings():
    with registered():
        yield


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
            values = parameters(genome, descriptors(genome), RANGES)
            assert set(values) == set(RANGES)
            optuna.trial.create_trial(value=0.0, params=values, distributions=RANGES)


def test_parameters_are_descriptors_of_the_genome_within_their_ranges():
    genome = SPACE.sample(seed=1)
    described = descriptors(genome)
    values = parameters(genome, described, RANGES)
    assert values["width"] == genome.width
    assert values["nodes"] == len(genome.nodes)
    assert values["pooling"] == genome.pooling
    assert values["family_convolution"] == described["family_convolution"]
    values = parameters(genome, described | {"edges": 1e30, "width": 1.0}, RANGES)
    assert (values["edges"], values["width"]) == (96, 8)


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
        assert trial.params == parameters(record.genome, descriptors(record.genome), RANGES)
        assert trial.user_attrs["versions"]["optuna"] == optuna.__version__


def test_pedanova_ranks_the_only_relevant_descriptor_first(search):
    study = optuna.load_study(study_name="rosearch", storage=search[0])
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert set(importances) == set(RANGES)
    assert next(iter(importances)) == "width"


def test_default_importances_rank_the_only_relevant_descriptor_first(search):
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


def test_a_reassigned_trial_gets_the_descriptors_of_its_genome(url):
    ledger = Ledger.open(url, "study", settings={}, fitness=FITNESS)
    first, second = SPACE.sample(seed=1), SPACE.sample(seed=2)
    number = ledger.add(Candidate(0, first, 1), 60)
    ledger.reassign(Candidate(number, second, 2))
    trial = optuna.load_study(study_name="study", storage=url).trials[0]
    assert trial.params == parameters(first, descriptors(first), RANGES)  # Optuna changes none
    assert trial.user_attrs["descriptors"] == descriptors(second)


@pytest.mark.usefixtures("encodings")
def test_encodings_are_parameters_if_the_space_has_any():
    encodings = {"merged": {"strength": (0.1, 0.2)}, "lower_case": {}, "shortened": {}}
    space = SearchSpace(encodings=encodings)
    ranges = distributions(space.settings)
    own = {name: (d.low, d.high) for name, d in ranges.items() if name not in RANGES}
    assert own == {
        "encoding_merged": (0, 1), "encoding_merged.strength": (0, 0.2),
        "encoding_lower_case": (0, 1), "encoding_shortened": (0, 1),
        "encoding_shortened.length": (0, 8), "encoding_shortened.side=left": (0, 1),
        "encoding_shortened.side=right": (0, 1),
    }  # fmt: skip
    seen = set()
    for seed in range(40):
        genome = space.sample(seed=seed)
        values = parameters(genome, descriptors(genome), ranges)
        optuna.trial.create_trial(value=0.0, params=values, distributions=ranges)
        strength = [e.parameters["strength"] for e in genome.encodings if e.name == "merged"]
        assert [values["encoding_merged.strength"]] == (strength or [0.0])
        seen.add(values["encoding_merged.strength"])
    assert seen == {0.0, 0.1, 0.2}


@pytest.mark.usefixtures("encodings")
def test_a_study_with_encodings_is_resumed_with_the_same_ones_only(url):
    def evolver(**encodings):
        space = SearchSpace(nodes=(0, 3), encodings=encodings or None)
        return Evolver(space, synthetic, FITNESS, storage=url)

    begun = evolver(merged={}, lower_case={}).run(4, progress=False)
    resumed = evolver(merged={}, lower_case={}).run(12, progress=False)
    assert [t.key for t in resumed.trials[:4]] == [t.key for t in begun.trials]
    assert len({t.genome.encodings for t in resumed.trials}) > 2
    assert load_search(url).trials[-1].genome == resumed.trials[-1].genome
    with pytest.raises(StudyMismatchError, match=r"space.encodings: .* in the study, not set now"):
        evolver()
    with pytest.raises(StudyMismatchError, match=r"space.encodings.lower_case: {} in the study"):
        evolver(merged={})


def test_bounds_are_parameters_if_the_space_has_any():
    ranges = distributions(SearchSpace(bounds=[0.3, 1.0, None]).settings)
    assert (ranges["bound"].high, ranges["bounded"].high) == (1.0, 1.0)
    for genome in (SearchSpace(bounds=[0.3, None]).sample(seed=seed) for seed in range(6)):
        found = parameters(genome, descriptors(genome), ranges)
        assert found["bound"] == (genome.bound or 0.0)
        assert found["bounded"] == float(genome.bound is not None)
    assert "bound" not in RANGES


def test_the_input_is_a_category():
    genomes = [SearchSpace().sample(seed=seed) for seed in range(20)]
    found = [parameters(g, descriptors(g), RANGES)["input"] for g in genomes]
    assert found == [g.embedding.operator for g in genomes]
    assert len(set(found)) > 2
    named = distributions({"embeddings": {"a_plug_in": {}, "subword_embedding": {}}})
    assert {"a_plug_in", "character_embedding"} <= set(named["input"].choices)
    few = RANGES | {"input": optuna.distributions.CategoricalDistribution(["a_plug_in", "other"])}
    assert parameters(genomes[0], descriptors(genomes[0]), few)["input"] == "other"


def test_scopes_are_a_parameter_if_the_space_has_them():
    space = SearchSpace(bounds=[0.5, None], scopes=True)
    ranges = distributions(space.settings)
    for genome in (space.sample(seed=seed) for seed in range(6)):
        assert parameters(genome, descriptors(genome), ranges)["scopes"] == genome.scopes
    assert "scopes" not in distributions(SearchSpace(bounds=[0.5, None]).settings)
