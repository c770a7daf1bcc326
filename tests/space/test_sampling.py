"""Random genomes."""

from __future__ import annotations

from rosearch.space import SearchSpace


def test_samples_cover_the_space() -> None:
    space = SearchSpace()
    genomes = [space.sample(seed=seed) for seed in range(3000)]
    assert {len(g.nodes) for g in genomes} == set(range(25))
    small = sum(len(g.nodes) <= 4 for g in genomes), sum(g.width <= 128 for g in genomes)
    assert min(small) > 0.5 * len(genomes)
    assert {g.embedding.operator for g in genomes} == set(space.embeddings)
    assert any(set(g.outputs) & {i for n in g.nodes for i in n.inputs} for g in genomes)
    assert {n.operator for g in genomes for n in g.nodes} == set(space.operators)
    assert {g.width for g in genomes} == set(space.widths)
    assert {n.merge for g in genomes for n in g.nodes if len(n.inputs) > 1} == set(space.merges)
    assert max(len(n.inputs) for g in genomes for n in g.nodes) == space.max_inputs
