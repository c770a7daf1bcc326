"""Bounds of graphs beside token scores, as genes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from rosearch.errors import ArgumentError, GenomeError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace, Task, genome_cost, templates
from rosearch.space.descriptors import descriptors
from rosearch.space.features import features
from tests.space.spaces import SMALL, diamond, renumbered

BOUNDED = replace(diamond(), bound=0.5)
SPACE = SearchSpace(bounds=[0.3, 1, None], nodes=(0, 4))
BARE: dict[str, Any] = {"bound": 0.3, "scopes": False}


class TestGenome:
    def test_json_graph_and_numbering(self) -> None:
        assert Genome.from_json(BOUNDED.to_json()) == BOUNDED
        assert Genome.from_graph(BOUNDED.graph()) == BOUNDED
        assert renumbered(BOUNDED, 1).ordered() == BOUNDED.ordered()
        assert json.loads(BOUNDED.to_json())["bound"] == 0.5
        assert "bound" not in json.loads(diamond().to_json())

    def test_the_bound_is_in_the_key(self) -> None:
        keys = {replace(diamond(), bound=bound).key for bound in (None, 0.5, 1.0)}
        assert len(keys) == 3
        assert replace(diamond(), bound=1).key == replace(diamond(), bound=1.0).key

    def test_token_scores_alone_are_one_architecture(self) -> None:
        assert Genome(8, 8, bound=0).key == Genome(64, 32, "max", bound=0.0).key
        assert Genome(8, 8, bound=0).key != Genome(8, 8, bound=0, encodings=("spelling",)).key

    def test_it_is_listed(self) -> None:
        assert "token scores, moved by at most 0.5" in str(BOUNDED)
        assert "token scores" not in str(diamond())
        alone = templates.additive(encodings=("spelling",))
        assert str(alone).splitlines()[0] == f"Genome {alone.key}: sum of token scores"
        assert "encoded by spelling" in str(alone).splitlines()[1]
        assert len(str(alone).splitlines()) == 2

    @pytest.mark.parametrize("bound", [-0.1, float("inf"), float("nan"), "1", True])
    def test_other_values_are_refused(self, bound: Any) -> None:
        with pytest.raises(GenomeError, match="bound must be None or a finite number from 0"):
            replace(diamond(), bound=bound)

    def test_nodes_without_effect_are_refused(self) -> None:
        with pytest.raises(GenomeError, match="With a bound of 0 nodes have no effect"):
            replace(diamond(), bound=0)

    def test_the_picture_names_it(self) -> None:
        pytest.importorskip("matplotlib")
        texts = [text.get_text() for text in BOUNDED.draw().axes[0].texts]
        assert "moves token scores by at most 0.5" in texts
        texts = [text.get_text() for text in templates.additive().draw().axes[0].texts]
        assert "token scores" in texts
        assert "subword_embedding" not in texts


class TestSpace:
    def test_samples_have_all_bounds(self) -> None:
        genomes = [SPACE.sample(seed=seed) for seed in range(120)]
        counts = Counter(genome.bound for genome in genomes)
        assert set(counts) == {0.3, 1.0, None}
        assert min(counts.values()) > 20
        assert all(genome in SPACE for genome in genomes)

    def test_other_bounds_are_outside(self) -> None:
        genome = replace(SPACE.sample(seed=0), bound=0.7)
        assert "bound 0.7 is not in (0.3, 1.0, None)" in str(SPACE.violation(genome))
        with pytest.raises(SpaceError, match=r"bound 0\.5"):
            SMALL.require(Genome(16, 8, bound=0.5))

    def test_spaces_without_bounds_are_as_before(self) -> None:
        plain, narrowed = SearchSpace(nodes=(0, 4)), SearchSpace(nodes=(0, 4), bounds=[None])
        assert "bounds" not in plain.settings
        assert plain.settings == narrowed.settings
        for seed in range(20):
            genome = plain.sample(seed=seed)
            assert genome.bound is None
            assert narrowed.sample(seed=seed) == genome
            assert narrowed.mutate(genome, seed=seed) == plain.mutate(genome, seed=seed)

    def test_mutation_changes_nothing_else(self) -> None:
        parent = replace(SPACE.sample(seed=3), bound=0.3)
        children = [SPACE.mutate(parent, seed=s, kind="change_bound") for s in range(20)]
        assert {child.bound for child in children} == {1.0, None}
        assert {replace(child, bound=0.3).key for child in children} == {parent.key}

    def test_any_mutation_may_change_it(self) -> None:
        parent = SPACE.sample(seed=3)
        children = [SPACE.mutate(parent, seed=seed) for seed in range(300)]
        changed = sum(child.bound != parent.bound for child in children)
        assert 0.4 * 300 / len(MUTATIONS) < changed < 2 * 300 / len(MUTATIONS)

    def test_children_have_the_bound_of_a_parent(self) -> None:
        a = replace(SPACE.sample(seed=1), bound=0.3)
        b = replace(SPACE.sample(seed=2), bound=None)
        children = [SPACE.crossover(a, b, seed=seed) for seed in range(30)]
        assert {child.bound for child in children} == {0.3, None}

    @pytest.mark.parametrize("bounds", [[], 0.5, [0.0], [-1], ["1"], [float("inf")]])
    def test_bad_bounds_are_refused(self, bounds: Any) -> None:
        with pytest.raises(ArgumentError, match="bounds"):
            SearchSpace(bounds=bounds)


class TestScopes:
    SPACE = SearchSpace(bounds=[0.3, 1, None], nodes=(0, 4), scopes=True)

    def test_json_graph_key_and_listing(self) -> None:
        genome = replace(BOUNDED, scopes=True)
        assert Genome.from_json(genome.to_json()) == genome
        assert Genome.from_graph(genome.graph()) == genome
        assert renumbered(genome, 1).ordered() == genome.ordered()
        assert genome.key != BOUNDED.key
        assert "scopes" not in json.loads(BOUNDED.to_json())
        assert "by scopes of negation and contrast" in str(genome)
        assert "scopes" not in str(BOUNDED)
        assert features(genome) == {**features(BOUNDED), "output:scopes": 1.0}
        assert templates.additive(scopes=True).key != templates.additive().key

    @pytest.mark.parametrize("scopes", [None, "yes", 2, 1.0])
    def test_other_values_are_refused(self, scopes: Any) -> None:
        with pytest.raises(GenomeError, match="scopes must be True or False"):
            replace(BOUNDED, scopes=scopes)
        with pytest.raises(GenomeError, match="False without a bound"):
            replace(diamond(), scopes=True)

    def test_the_picture_names_them(self) -> None:
        pytest.importorskip("matplotlib")
        figure = replace(BOUNDED, scopes=True).draw()
        texts = [text.get_text() for text in figure.axes[0].texts]
        assert "moves token scores by at most 0.5, by scopes" in texts

    def test_all_bounded_genomes_of_a_space_have_them(self) -> None:
        genomes = [self.SPACE.sample(seed=seed) for seed in range(40)]
        genomes += [self.SPACE.mutate(g, seed=k) for k, g in enumerate(genomes)]
        genomes += [self.SPACE.crossover(a, b, seed=0) for a, b in itertools.pairwise(genomes)]
        assert {(genome.scopes, genome.bound is None) for genome in genomes} == {
            (True, False),
            (False, True),
        }
        assert all(genome in self.SPACE for genome in genomes)
        assert not any(genome in SPACE for genome in genomes if genome.scopes)
        assert "scopes must be True" in str(self.SPACE.violation(replace(genomes[0], **BARE)))

    def test_templates_fit(self) -> None:
        space = SearchSpace(bounds=[0.5, None], scopes=True)
        fitting = templates.fitting(space)
        assert {(genome.bound, genome.scopes) for genome in fitting} == {(0.5, True), (None, False)}

    def test_spaces_take_true_or_false(self) -> None:
        with pytest.raises(ArgumentError, match="scopes must be True or False"):
            SearchSpace(bounds=[0.5], scopes="no")  # type: ignore[arg-type]

    def test_they_cost_a_score_a_scope(self) -> None:
        task = Task(vocabulary=100, classes=3)
        assert genome_cost(templates.additive(scopes=True), task).parameters == 6 * 100 * 3 + 3


class TestNumbers:
    def test_descriptors_and_features(self) -> None:
        assert descriptors(BOUNDED) == {
            **descriptors(diamond()),
            "bounded": 1.0,
            "bound": 0.5,
            **{name: descriptors(BOUNDED)[name] for name in ("parameters", "embedding_share")},
        }
        assert features(BOUNDED) == {
            **features(diamond()),
            "output:bounded": 1.0,
            "output:bound": 0.5,
        }

    def test_scores_cost_a_row_a_token(self) -> None:
        task = Task(vocabulary=100, classes=3)
        more = genome_cost(BOUNDED, task).parameters - genome_cost(diamond(), task).parameters
        assert more == 100 * 3 + 3
        assert genome_cost(templates.additive(), task).parameters == 100 * 3 + 3
        assert descriptors(templates.additive())["embedding_share"] == 0


def test_the_template_has_no_nodes() -> None:
    genome = templates.additive(encodings=("spelling",))
    assert (genome.bound, genome.nodes) == (0.0, ())
    assert [encoding.name for encoding in genome.encodings] == ["spelling"]


def test_a_node_is_needed_for_nothing() -> None:
    assert replace(Genome(8, 8, nodes=(Node("identity"),)), bound=0.1).bound == 0.1
