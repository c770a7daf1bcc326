"""The tabular benchmark: its file, its space, its evaluation."""

from __future__ import annotations

import gzip
import json
import pickle
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from rosearch.errors import DataError, MissingResourceError, SpaceError
from rosearch.evolve import Evolver
from rosearch.evolve.comparison.tabular import (
    Table,
    TabularEvaluation,
    TabularSpace,
    distances,
    load,
)
from rosearch.space import Genome, Node
from tests.evolve.evaluations import FITNESS, SPACE
from tests.evolve.tables import small_table


def test_a_table_comes_back_from_its_file(tmp_path):
    table = small_table()
    table.save(tmp_path / "table.json.gz")
    again = Table.read(tmp_path / "table.json.gz")
    assert list(again.index) == list(table.index)
    assert again.made == table.made
    assert again.fingerprint == table.fingerprint
    for before, after in zip(table.rungs, again.rungs, strict=True):
        for one, other in zip(before, after, strict=True):
            assert one == pytest.approx(other, rel=1e-5)


def test_equal_tables_are_equal_files(tmp_path):
    for name in ("a", "b"):
        small_table().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"no json"), gzip.compress(b'{"format": 99}')],
    ids=["no gzip", "no json", "another format"],
)
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(DataError, match="is no table"):
        Table.read(tmp_path / "table")


def test_names_of_nodes_are_not_stored(tmp_path):
    genome = SPACE.mutate(SPACE.sample(seed=3), seed=0)
    assert any(node.identity for node in genome.nodes)
    Table((genome,), (({"seconds": 1.0},),), {}).save(tmp_path / "table")
    stored = json.loads(gzip.decompress((tmp_path / "table").read_bytes()))
    assert all("identity" not in node for node in stored["genomes"][0]["nodes"])
    assert Table.read(tmp_path / "table").genomes[0].key == genome.key


def test_tables_with_gaps_are_refused():
    genomes = small_table().genomes[:2]
    row = {"accuracy": 0.5, "seconds": 1.0}
    with pytest.raises(DataError, match="twice"):
        Table((genomes[0], genomes[0]), ((row, row),), {})
    with pytest.raises(DataError, match="1 rows for 2"):
        Table(genomes, ((row,),), {})
    with pytest.raises(DataError, match="other metrics"):
        Table(genomes, ((row, {"seconds": 1.0}),), {})
    with pytest.raises(DataError, match="'seconds'"):
        Table(genomes, (({"accuracy": 1.0}, {"accuracy": 1.0}),), {})
    with pytest.raises(DataError, match="at least one"):
        Table((), (), {})


def test_a_table_that_is_not_shipped_is_named():
    with pytest.raises(MissingResourceError, match=r"'nothing'.*make_tabular"):
        load("nothing")


@pytest.mark.skipif(
    not files("rosearch.evolve.comparison.tabular").joinpath("movie_reviews.json.gz").is_file(),
    reason="the table has not been made",
)
def test_the_table_of_the_package():
    table = load()
    size = len(
        files("rosearch.evolve.comparison.tabular").joinpath("movie_reviews.json.gz").read_bytes()
    )
    assert size < 300_000
    assert len(table) >= 300
    assert len(table.rungs) == 2
    assert {"settings", "versions"} <= set(table.made)
    for rung in table.rungs:
        for row in rung:
            assert 0 <= row["accuracy_under_attack"] <= 1
            assert 4.6 <= row["compression"] <= 6.5
            assert row["seconds"] > 0
    assert all(a["seconds"] < b["seconds"] for a, b in zip(*table.rungs, strict=True))


def test_metrics_by_rung():
    table = small_table()
    genome = table.genomes[4]
    assert table.metrics(genome, rung=0) == table.rungs[0][4]
    assert table.metrics(genome, rung=1) == table.rungs[1][4]
    whole = table.metrics(genome)
    assert whole == table.rungs[1][4]
    with pytest.raises(DataError, match="rungs 0 to 1"):
        table.metrics(genome, rung=2)
    with pytest.raises(DataError, match="not among the 60"):
        table.metrics(SPACE.sample(seed=12345))


def test_the_best_of_a_table_is_found_by_looking_at_all():
    table = small_table()
    values = [FITNESS.score(row).values[0] for row in table.rungs[-1]]
    genome, value = table.best(FITNESS)
    assert value == max(values)
    assert genome is table.genomes[int(np.argmax(values))]


def test_a_table_is_read_as_a_search_of_all_its_genomes():
    table = small_table()
    search = table.as_search(FITNESS)
    assert [t.genome for t in search.trials] == list(table.genomes)
    assert search.best.genome == table.best(FITNESS)[0]
    trial = search.trials[3]
    assert (trial.metrics, trial.rungs) == (
        table.rungs[1][3],
        (table.rungs[0][3], table.rungs[1][3]),
    )
    assert trial.scores == tuple(FITNESS.score(rung[3]) for rung in table.rungs)
    assert (trial.state, trial.rung, trial.seconds) == ("complete", 1, trial.metrics["seconds"])


def test_a_table_as_data_frame():
    frame = small_table().to_pandas()
    assert len(frame) == 120
    assert set(frame["rung"]) == {0, 1}


def pair(**changes):
    first = Genome(64, 32, nodes=(Node("attention"), Node("convolution", inputs=(1,))))
    genes = {"width": 64, "embedding_width": 32, "nodes": first.nodes} | changes
    return distances([first, Genome(**genes)])


def test_distances_count_differing_parts():
    nodes = pair()[0, 1]
    assert nodes == 0
    # One gene that one has and one that the other has.
    assert pair(width=128)[0, 1] == 2
    assert pair(pooling="max")[0, 1] == 2
    other = (Node("attention"), Node("convolution", {"kernel_size": 7}, inputs=(1,)))
    assert pair(nodes=other)[0, 1] == 2
    # Another operator: the node as such, in full, its edge and what the output reads.
    assert pair(nodes=(Node("attention"), Node("identity", inputs=(1,))))[0, 1] == 8


def test_distances_are_a_symmetric_table():
    apart = distances(small_table().genomes)
    assert apart.shape == (60, 60)
    assert (apart == apart.T).all()
    assert (np.diag(apart) == 0).all()
    # The triangle inequality holds for every pair of steps.
    assert (apart[:, None, :] + apart.T[None, :, :] >= apart[:, :, None]).all()


def test_isomorphic_genomes_are_not_apart():
    genome = next(g for g in small_table().genomes if len(g.nodes) > 3)
    assert distances([genome, genome.ordered()])[0, 1] == 0


def test_samples_are_of_the_table_and_alike_often():
    space = TabularSpace(small_table())
    rng = np.random.default_rng(0)
    counts = Counter(space.sample(seed=rng).key for _ in range(6000))
    assert set(counts) == set(small_table().index)
    assert max(counts.values()) < 2 * min(counts.values())
    assert space.sample(seed=5) == space.sample(seed=5)


def test_what_was_chosen_is_no_sample_but_within_reach():
    table = small_table()
    sources = ["searched" if i % 3 else "random" for i in range(len(table))]
    space = TabularSpace(replace(table, made={**table.made, "sources": sources}))
    rng = np.random.default_rng(0)
    samples = {table.index[space.sample(seed=rng).key] for _ in range(1000)}
    assert samples == set(range(0, len(table), 3)) == set(space.table.samples)
    mutants = {table.index[space.mutate(table.genomes[0], seed=rng).key] for _ in range(200)}
    assert mutants - samples
    assert all(space.violation(genome) is None for genome in table.genomes)


def test_sources_that_do_not_fit_are_refused():
    table = small_table()
    with pytest.raises(DataError, match=r"60 genomes, and made\['sources'\] 2"):
        replace(table, made={"sources": ["random"] * 2})
    with pytest.raises(SpaceError, match="none of its genomes is a random sample"):
        TabularSpace(replace(table, made={"sources": ["searched"] * len(table)}))


def test_mutants_are_the_nearest():
    table = small_table()
    space = TabularSpace(table, neighbours=5)
    rng = np.random.default_rng(0)
    for place in (0, 7, 31):
        genome = table.genomes[place]
        found = {table.index[space.mutate(genome, seed=rng).key] for _ in range(200)}
        assert len(found) == 5
        assert place not in found
        others = [i for i in range(len(table)) if i not in found and i != place]
        apart = space.distances[place]
        assert max(apart[list(found)]) <= min(apart[others])


def test_children_are_near_both_parents():
    table = small_table()
    space = TabularSpace(table, neighbours=4)
    rng = np.random.default_rng(0)
    a, b = table.genomes[3], table.genomes[40]
    found = {table.index[space.crossover(a, b, seed=rng).key] for _ in range(100)}
    assert len(found) == 4
    assert not found & {3, 40}
    farther = np.maximum(space.distances[3], space.distances[40])
    others = [i for i in range(len(table)) if i not in found | {3, 40}]
    assert max(farther[list(found)]) <= min(farther[others])
    assert space.crossover(a, a, seed=0).key != a.key


def test_the_space_knows_its_genomes_only():
    space = TabularSpace(small_table())
    inside, outside = small_table().genomes[0], SPACE.sample(seed=12345)
    assert inside in space
    assert outside not in space
    for call in (
        lambda: space.require(outside),
        lambda: space.mutate(outside, seed=0),
        lambda: space.crossover(inside, outside, seed=0),
    ):
        with pytest.raises(SpaceError, match="not in the table"):
            call()
    with pytest.raises(SpaceError, match="leave kind out"):
        space.mutate(inside, seed=0, kind="add_node")


def test_too_small_a_table_is_no_space():
    table = small_table()
    two = Table(table.genomes[:2], tuple(rung[:2] for rung in table.rungs), {})
    with pytest.raises(SpaceError, match="at least 3"):
        TabularSpace(two)
    three = Table(table.genomes[:3], tuple(rung[:3] for rung in table.rungs), {})
    space = TabularSpace(three)
    assert space.crossover(*three.genomes[:2], seed=0) == three.genomes[2]


def test_a_search_of_the_table_finds_its_best():
    table = small_table()
    evolver = Evolver(TabularSpace(table), TabularEvaluation(table), FITNESS)
    result = evolver.run(len(table) - 5, progress=False)
    assert len({t.key for t in result.trials}) == len(table) - 5
    assert {t.state for t in result.trials} == {"complete", "stopped"}
    assert result.best.score.values[0] >= table.best(FITNESS)[1] * 0.98
    assert evolver.settings["space"]["table"] == table.fingerprint


def test_costs_are_known_before_the_evaluation():
    evaluation = TabularEvaluation(small_table())
    genome = small_table().genomes[0]
    assert set(evaluation.cost(genome)) == {"parameters", "compression"}
    assert evaluation.rungs == 2
    assert evaluation(genome, seed=1, rung=0)["seconds"] == 2.0


def test_space_and_evaluation_travel_to_other_processes():
    table = small_table()
    space, evaluation = pickle.loads(pickle.dumps((TabularSpace(table), TabularEvaluation(table))))
    genome = space.sample(seed=1)
    assert genome == TabularSpace(table).sample(seed=1)
    assert evaluation(genome, seed=0) == TabularEvaluation(table)(genome, seed=0)
