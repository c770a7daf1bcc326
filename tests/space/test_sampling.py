"""Random genomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

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


@pytest.mark.usefixtures("encodings")
def test_samples_have_each_encoding_or_none_equally_often() -> None:
    names = {"lower_case": {}, "shortened": {}, "merged": {"strength": (0.1, 0.2)}}
    space, plain = SearchSpace(encodings=names), SearchSpace()
    genomes = [space.sample(seed=seed) for seed in range(900)]
    for level, options in {"characters": 3, "words": 2}.items():
        found = Counter(
            next((e.name for e in g.encodings if e.level == level), "") for g in genomes
        )
        assert len(found) == options
        for count in found.values():
            assert count == pytest.approx(900 / options, rel=0.15)
    assert len({g.encodings for g in genomes}) == (1 + 1 + 4) * (1 + 2)
    for seed, genome in enumerate(genomes[:50]):  # the rest is drawn as without encodings
        assert replace(genome, encodings=()) == plain.sample(seed=seed)
