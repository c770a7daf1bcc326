"""Operators and edges in the front, against counts made by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from rosearch.report.stats.enrichment import enrichment, parts
from rosearch.space import Genome, Node, templates


def genome(*operators, outputs=()):
    """A chain of operators."""
    nodes = tuple(Node(name, inputs=(i,)) for i, name in enumerate(operators))
    return Genome(width=64, embedding_width=32, nodes=nodes, outputs=outputs)


CONVOLUTION = genome("convolution", "identity")
POOLING = genome("max_pooling", "identity")


def counted(a, b, c, d):
    """a of the front have a convolution, c do not; b and d outside it."""
    genomes = [CONVOLUTION] * (a + b) + [POOLING] * (c + d)
    front = np.array([True] * a + [False] * b + [True] * c + [False] * d)
    records = enrichment(genomes, front, confidence=0.95)
    return {(e.kind, e.name): e for e in records}


def test_parts_of_a_graph():
    nodes = (
        Node("convolution", inputs=(0,)),
        Node("max_pooling", inputs=(0, 1)),
        Node("convolution", inputs=(2,)),
    )
    found = parts(Genome(width=64, embedding_width=32, nodes=nodes, outputs=(1, 3)))
    assert {name for kind, name in found if kind == "operator"} == {
        "subword_embedding", "convolution", "max_pooling",
    }  # fmt: skip
    assert {name for kind, name in found if kind == "edge"} == {
        "embedding -> convolution", "embedding -> max_pooling", "convolution -> max_pooling",
        "max_pooling -> convolution", "convolution -> output",
    }  # fmt: skip
    assert ("edge", "embedding -> output") in parts(Genome(width=64, embedding_width=32))


@pytest.mark.usefixtures("encodings")
def test_encodings_are_parts():
    encoded = templates.text_cnn(encodings=("lower_case", "merged"))
    assert parts(encoded) - parts(templates.text_cnn()) == {
        ("encoding", "lower_case"), ("encoding", "merged"),
    }  # fmt: skip
    genomes = [encoded] * 12 + [templates.text_cnn()] * 12
    front = np.arange(24) % 12 < 6
    kinds = [e.kind for e in enrichment(genomes, front, confidence=0.95)]
    assert kinds == ["encoding"] * 2


def test_p_value_and_interval_follow_the_definition_of_fishers_test():
    assert counted(3, 3, 3, 3)["operator", "convolution"].p == pytest.approx(1)
    e = counted(12, 4, 3, 15)["operator", "convolution"]
    assert (e.front_with, e.front, e.others_with, e.others, e.n) == (12, 15, 4, 19, 34)
    # All tables with these margins that are no likelier than this one.
    chance = stats.hypergeom(34, 16, 15).pmf(np.arange(16))
    assert e.p == pytest.approx(chance[chance <= chance[12] * (1 + 1e-9)].sum())
    # The odds ratio at which 12 is expected, and those at which 12 is the edge of what is likely.
    assert stats.nchypergeom_fisher(34, 16, 15, e.estimate).mean() == pytest.approx(12)
    assert stats.nchypergeom_fisher(34, 16, 15, e.low).sf(11) == pytest.approx(0.025)
    assert stats.nchypergeom_fisher(34, 16, 15, e.high).cdf(12) == pytest.approx(0.025)
    assert e.excludes_null


def test_edges_are_tested_as_operators_are():
    records = counted(15, 3, 3, 15)
    edge = records["edge", "convolution -> identity"]
    assert edge.p == records["operator", "convolution"].p
    reverse = records["edge", "embedding -> max_pooling"]
    assert reverse.estimate == pytest.approx(1 / edge.estimate)
    # All have these, so there is nothing to compare.
    assert ("operator", "identity") not in records
    assert ("operator", "subword_embedding") not in records
    kinds = [kind for kind, _ in records]
    assert kinds == sorted(kinds, reverse=True)


def test_empty_cells_give_an_interval_with_one_open_end():
    never = counted(0, 20, 10, 30)["operator", "convolution"]
    assert (never.estimate, never.low) == (0, 0)
    assert 0 < never.high < np.inf
    always = counted(10, 20, 0, 30)["operator", "convolution"]
    assert always.estimate == always.high == np.inf
    assert always.low > 1


def test_rare_operators_and_empty_fronts_are_not_tested():
    assert not counted(2, 2, 10, 30)
    assert counted(2, 3, 10, 30)
    assert not counted(0, 10, 0, 30)
    assert not counted(10, 0, 30, 0)


@pytest.mark.slow
def test_exact_intervals_have_at_least_nominal_coverage():
    rng = np.random.default_rng(0)
    truth = (0.6 / 0.4) / (0.3 / 0.7)
    hits = 0

    @cache  # many of the tables are equal, and each takes time
    def found(a, b):
        return counted(a, b, 20 - a, 60 - b)["operator", "convolution"]

    for _ in range(300):
        e = found(int(rng.binomial(20, 0.6)), int(rng.binomial(60, 0.3)))
        hits += e.low <= truth <= e.high
    assert hits / 300 >= 0.93
