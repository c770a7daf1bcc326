"""Sampling, mutation, crossover and membership."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import GenomeError, RegistryError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace, templates


def checked(genome: Genome, space: SearchSpace) -> None:
    """Networkx's verdict, and the space's."""
    # Rebuilding runs every check; what moves make is made without them.
    assert Genome.from_json(genome.to_json()) == genome
    assert genome in space, space.complaint(genome)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_genomes_are_valid() -> None:
    space = SearchSpace()
    genome = space.sample(seed=0)
    for seed in range(34_000):
        before, genome = genome, space.sample(seed=seed)
        mutant = space.mutate(genome, seed=seed)
        assert mutant.key != genome.key
        for made in (genome, mutant, space.crossover(before, genome, seed=seed)):
            checked(made, space)


def test_genomes_and_their_descendants_are_valid() -> None:
    space = SearchSpace()
    line = [space.sample(seed=seed) for seed in range(8)]
    for seed in range(400):
        child = space.crossover(line[seed % 8], line[(seed + 3) % 8], seed=seed)
        checked(child, space)
        line[seed % 8] = space.mutate(child, seed=seed)
        checked(line[seed % 8], space)


def narrow_spaces() -> st.SearchStrategy[SearchSpace]:
    names = st.lists(
        st.sampled_from(["attention", "convolution", "identity", "bidirectional_gru"]),
        min_size=1,
        unique=True,
    )
    return st.builds(
        lambda operators, low, extra, inputs, widths, merges: SearchSpace(
            operators=operators,
            nodes=(low, low + extra),
            max_inputs=inputs,
            widths=widths,
            embedding_widths=(16, 32),
            merges=merges,
        ),
        names,
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(1, 4),
        st.lists(st.sampled_from([8, 12, 16, 20]), min_size=1, unique=True),
        st.lists(st.sampled_from(["sum", "mean", "gated"]), min_size=1, unique=True),
    )


@settings(max_examples=150, deadline=None)
@given(space=narrow_spaces(), seed=st.integers(0, 10**6))
def test_every_move_stays_in_a_narrow_space(space: SearchSpace, seed: int) -> None:
    a, b = space.sample(seed=seed), space.sample(seed=seed + 1)
    assert a in space
    child = space.crossover(a, b, seed=seed)
    assert child in space, space.complaint(child)
    mutant = space.mutate(a, seed=seed)  # the two embedding widths always leave a neighbour
    assert mutant in space
    assert mutant.key != a.key


def test_same_seed_same_genome() -> None:
    space = SearchSpace()
    a, b = space.sample(seed=3), space.sample(seed=4)
    assert a == SearchSpace().sample(seed=3)
    assert a != b
    assert space.mutate(a, seed=1) == space.mutate(a, seed=1)
    assert space.crossover(a, b, seed=1) == space.crossover(a, b, seed=1)


def test_a_generator_is_drawn_from() -> None:
    rng = np.random.default_rng(0)
    keys = {SearchSpace().sample(seed=rng).key for _ in range(20)}
    assert len(keys) > 15


def test_samples_spread_over_the_space() -> None:
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


@pytest.mark.parametrize("kind", MUTATIONS)
def test_each_mutation_changes_what_it_says(kind: str) -> None:
    space = SearchSpace(nodes=(0, 8))
    if kind == "change_embedding" and len(space.embeddings) == 1:
        pytest.skip("there is one embedding")
    nodes = (
        Node("attention"),
        Node("convolution", inputs=(0,)),
        Node("feed_forward", inputs=(1, 2), residual=False),
    )
    parent = Genome(width=128, embedding_width=64, nodes=nodes)
    for seed in range(10):
        child = space.mutate(parent, seed=seed, kind=kind)
        genes = ("width", "embedding_width", "embedding", "pooling")
        changed = {g for g in genes if getattr(child, g) != getattr(parent, g)}
        operators = sorted(n.operator for n in child.nodes)
        before = sorted(n.operator for n in parent.nodes)
        delta = len(child.nodes) - len(parent.nodes)
        expected = {"change_width": {"width"}, "change_embedding_width": {"embedding_width"}}
        expected |= {"change_pooling": {"pooling"}, "change_embedding": {"embedding"}}
        assert changed == expected.get(kind, set())
        assert delta == {"insert": 1, "remove": -1}.get(kind, 0)
        assert (operators != before) == (kind in ("change_operator", "insert", "remove"))
        edges = child.graph().edges != parent.graph().edges
        assert not edges or kind in ("insert", "remove", "rewire")
        if kind == "toggle_residual":
            assert sum(n.residual for n in child.nodes) in (1, 3)
        if kind == "change_merge":
            assert child.nodes[2].merge != "sum"
        if kind == "change_parameter":
            pairs = zip(child.nodes, parent.nodes, strict=True)
            assert sum(a.parameters != b.parameters for a, b in pairs) == 1


def test_insert_splits_one_edge() -> None:
    space = SearchSpace(operators=["identity"], widths=(64,), embedding_widths=(32,))
    parent = Genome(width=64, embedding_width=32, nodes=(Node("identity"),))
    child = space.mutate(parent, seed=0, kind="insert")
    assert [n.inputs for n in child.nodes] == [(0,), (1,)]
    assert child.outputs == (2,)


def test_removing_keeps_everything_alive() -> None:
    space = SearchSpace(max_inputs=2)
    for seed in range(200):
        genome = space.sample(seed=seed)
        while genome.nodes:
            genome = space.mutate(genome, seed=seed, kind="remove")
    assert genome.outputs == (0,)


def test_crossover_mixes_both_parents() -> None:
    space = SearchSpace()
    a = templates.text_cnn(width=64, embedding_width=32)
    b = templates.transformer(width=160, embedding_width=128)
    children = [space.crossover(a, b, seed=seed) for seed in range(60)]
    operators = [{n.operator for n in c.nodes} for c in children]
    assert any("convolution" in o and "attention" in o for o in operators)
    assert {c.width for c in children} == {64, 160}
    assert len({c.key for c in children}) > 20


class TestMembership:
    def test_reasons(self) -> None:
        space = SearchSpace(
            operators={"attention": {"heads": (2,)}}, nodes=(1, 2), max_inputs=1, widths=(16,),
            embedding_widths=(8,), poolings=("mean",), merges=("sum",),
        )  # fmt: skip
        node = Node("attention", {"heads": 2})
        good = Genome(width=16, embedding_width=8, nodes=(node,))
        assert good in space
        assert "genome" not in space
        cases = {
            "width 32": Genome(width=32, embedding_width=8, nodes=(node,)),
            "pooling 'max'": Genome(width=16, embedding_width=8, nodes=(node,), pooling="max"),
            "0 nodes are not 1 to 2": Genome(width=16, embedding_width=8),
            "operator 'identity'": Genome(width=16, embedding_width=8, nodes=(Node("identity"),)),
            "heads=4 of node 1": Genome(width=16, embedding_width=8, nodes=(Node("attention"),)),
            "node 2 has 2 inputs": Genome(
                width=16,
                embedding_width=8,
                nodes=(node, Node("attention", {"heads": 2}, inputs=(0, 1))),
            ),
        }
        for reason, genome in cases.items():
            assert reason in (space.complaint(genome) or "")
            with pytest.raises(SpaceError, match="is outside the space"):
                space.mutate(genome, seed=0)

    def test_exhausted_space_says_so(self) -> None:
        space = SearchSpace(
            operators=["identity"], nodes=(1, 1), widths=(16,), embedding_widths=(8,),
            poolings=("mean",),
        )  # fmt: skip
        genome = Genome(width=16, embedding_width=8, nodes=(Node("identity", residual=False),))
        with pytest.raises(SpaceError, match="has no neighbour by change_width"):
            space.mutate(genome, seed=0, kind="change_width")
        with pytest.raises(
            SpaceError, match="No mutation is called 'grow'; known: change_operator"
        ):
            space.mutate(genome, seed=0, kind="grow")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, r"widths=\(\): expected a sequence"),
        ({"widths": (0,)}, "widths holds 0; expected whole numbers"),
        ({"poolings": ("median",)}, "poolings holds 'median'; expected one of mean"),
        ({"nodes": (3, 2)}, r"nodes=\(3, 2\)"),
        ({"nodes": 5}, r"nodes=5: expected \(smallest, largest\)"),
        ({"max_inputs": 0}, "max_inputs=0"),
        ({"operators": []}, "nodes but no operators"),
        ({"operators": "attention"}, "sequence of names"),
        ({"operators": ["attention"], "widths": (9,), "nodes": (1, 2)}, None),
        (
            {"operators": {"attention": {"heads": (4,)}}, "widths": (10,)},
            "No operator fits the width",
        ),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str | None) -> None:
    if message is None:  # one head divides any width
        assert SearchSpace(**arguments).sample(seed=0)  # type: ignore[arg-type]
        return
    with pytest.raises(SpaceError, match=message):
        SearchSpace(**arguments)  # type: ignore[arg-type]


def test_unknown_operator_and_parameter() -> None:
    with pytest.raises(RegistryError, match="no operator named 'lstm'"):
        SearchSpace(operators=["lstm"])
    with pytest.raises(GenomeError, match="no parameter 'depth'"):
        SearchSpace(operators={"attention": {"depth": (1,)}})


def test_settings_rebuild_the_space() -> None:
    space = SearchSpace(operators={"attention": {"heads": (2,)}}, widths=(16, 32))
    assert SearchSpace(**space.settings).settings == space.settings
