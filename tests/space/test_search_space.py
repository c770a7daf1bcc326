"""Every genome that a search space returns is valid and inside the space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import SpaceError
from rosearch.space import Genome, Node, SearchSpace, Task, TextEncoding, templates
from tests.space.spaces import NARROW


def checked(genome: Genome, space: SearchSpace) -> None:
    """Check a genome with networkx, and that it is in the space."""
    # Rebuilding runs every check; what moves make is made without them.
    assert Genome.from_json(genome.to_json()) == genome
    assert genome in space, space.violation(genome)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [300, pytest.param(34_000, marks=pytest.mark.exhaustive)])
def test_samples_mutants_and_children_are_valid(count: int) -> None:
    space = SearchSpace()
    genome = space.sample(seed=0)
    for seed in range(count):
        before, genome = genome, space.sample(seed=seed)
        mutant = space.mutate(genome, seed=seed)
        assert mutant.key != genome.key
        for made in (genome, mutant, space.crossover(before, genome, seed=seed)):
            checked(made, space)


def test_descendants_are_valid() -> None:
    space = SearchSpace()
    line = [space.sample(seed=seed) for seed in range(8)]
    for seed in range(200):
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


@settings(max_examples=100, deadline=None)
@given(space=narrow_spaces(), seed=st.integers(0, 10**6))
def test_mutants_and_children_stay_in_a_narrow_space(space: SearchSpace, seed: int) -> None:
    a, b = space.sample(seed=seed), space.sample(seed=seed + 1)
    assert a in space
    child = space.crossover(a, b, seed=seed)
    assert child in space, space.violation(child)
    mutant = space.mutate(a, seed=seed)  # the two embedding widths always leave a neighbour
    assert mutant in space
    assert mutant.key != a.key


def test_same_seed_gives_the_same_genome() -> None:
    space = SearchSpace()
    a, b = space.sample(seed=3), space.sample(seed=4)
    assert a == SearchSpace().sample(seed=3)
    assert a != b
    assert space.mutate(a, seed=1) == space.mutate(a, seed=1)
    assert space.crossover(a, b, seed=1) == space.crossover(a, b, seed=1)


def test_seed_can_be_a_generator() -> None:
    rng = np.random.default_rng(0)
    keys = {SearchSpace().sample(seed=rng).key for _ in range(20)}
    assert len(keys) > 15


def test_violations() -> None:
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
        "the number of nodes, 0, is not in 1 to 2": Genome(width=16, embedding_width=8),
        "operator 'identity'": Genome(width=16, embedding_width=8, nodes=(Node("identity"),)),
        "heads=4 of node 1": Genome(width=16, embedding_width=8, nodes=(Node("attention"),)),
        "node 2 has 2 inputs": Genome(
            width=16,
            embedding_width=8,
            nodes=(node, Node("attention", {"heads": 2}, inputs=(0, 1))),
        ),
    }
    for reason, genome in cases.items():
        assert reason in (space.violation(genome) or "")
        with pytest.raises(SpaceError, match="is outside the space"):
            space.mutate(genome, seed=0)


def test_settings_recreate_the_space() -> None:
    space = SearchSpace(operators={"attention": {"heads": (2,)}}, widths=(16, 32))
    assert SearchSpace(**space.settings).settings == space.settings


TASK = Task(vocabulary=2000, positions=64, length=16)
ENCODINGS: dict[str, Any] = {"lower_case": {}, "merged": {"strength": (0.1, 0.2)}}


@pytest.mark.usefixtures("encodings")
@pytest.mark.parametrize("limits", [{}, {"parameters": (150_000, 160_000)}])
def test_descendants_with_encodings_are_valid(limits: dict[str, Any]) -> None:
    space = SearchSpace(**NARROW, encodings=ENCODINGS, teacher=TASK, **limits)
    line = [space.sample(seed=seed) for seed in range(8)]
    for seed in range(60):
        child = space.crossover(line[-1], line[-4], seed=seed)
        line += [child, space.mutate(child, seed=seed)]
    for genome in line:
        checked(genome, space)
    assert len({genome.encodings for genome in line}) > 3


@pytest.mark.usefixtures("encodings")
def test_encodings_outside_the_space() -> None:
    space = SearchSpace(encodings=ENCODINGS)
    cases = {
        "encoding 'shortened' of the encodings": TextEncoding("shortened"),
        "strength=0.5 of the encodings": TextEncoding("merged", {"strength": 0.5}),
    }
    for reason, encoding in cases.items():
        genome = templates.text_cnn(encodings=(encoding,))
        assert reason in (space.violation(genome) or "")
        assert "is not in the space" in (SearchSpace().violation(genome) or "")
    assert templates.text_cnn() in space
    assert templates.text_cnn(encodings=(TextEncoding("lower_case"),)) in space


@pytest.mark.usefixtures("encodings")
def test_settings_name_encodings_only_if_there_are_any() -> None:
    space = SearchSpace(encodings=ENCODINGS)
    assert SearchSpace(**space.settings).settings == space.settings
    assert space.settings["encodings"] == ENCODINGS
    assert space.settings.keys() - SearchSpace().settings.keys() == {"encodings"}


def test_a_notebook_shows_what_can_be_chosen():
    space = SearchSpace(operators=["convolution", "identity"], nodes=(0, 3), widths=(64, 96))
    page = space._repr_html_()
    assert "convolution (kernel_size 3, 5, 7), identity" in page
    assert '<th scope="row">widths</th><td>64, 96</td>' in page
