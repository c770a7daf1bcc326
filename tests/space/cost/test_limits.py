"""Limits hold for all samples, mutants and children, and limits that cannot be met are refused."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import ArgumentError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace, Task, genome_cost, templates
from tests.space.spaces import NARROW

TASK = Task(vocabulary=2000, positions=64, reference_parameters=4_000_000, length=16)


def limited(**limits: Any) -> SearchSpace:
    return SearchSpace(**NARROW, teacher=TASK, **limits)


def values(genome: Genome) -> dict[str, float]:
    cost = genome_cost(genome, TASK)
    return {
        "parameters": cost.parameters,
        "flops": cost.flops,
        "compression": 4_000_000 / cost.parameters,
    }


LIMITS: list[dict[str, Any]] = [
    {"parameters": (150_000, 160_000)},
    {"parameters": (None, 60_000)},
    {"compression": (10, 12)},
    {"flops": (2_000_000, 2_500_000)},
    {"parameters": (200_000, 300_000), "flops": (None, 3_000_000)},
    {"compression": (20, 40), "flops": (1_000_000, None)},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_samples_mutants_and_children_meet_the_limits(limits: dict[str, Any]) -> None:
    space = limited(**limits)
    genomes = [space.sample(seed=seed) for seed in range(40)]
    for seed in range(40):
        genomes.append(space.mutate(genomes[seed], seed=seed))
        genomes.append(space.crossover(genomes[seed], genomes[seed - 1], seed=seed))
    for genome in genomes:
        assert genome in space
        assert Genome.from_json(genome.to_json()) == genome
        for name, (low, high) in limits.items():
            assert (low or 0) <= values(genome)[name] <= (high or float("inf"))
    assert len({g.key for g in genomes}) > 60
    assert len({len(g.nodes) for g in genomes}) > 3


@settings(max_examples=30, deadline=None)
@given(low=st.integers(40_000, 900_000), width=st.floats(0.02, 0.5), seed=st.integers(0, 10**6))
def test_any_range_of_parameters_is_met_or_refused(low: int, width: float, seed: int) -> None:
    bounds = (low, low * (1 + width))
    begun = time.process_time()
    if low > 850_000:
        with contextlib.suppress(SpaceError):  # the largest that its bound promises is not there
            limited(parameters=bounds).sample(seed=seed)
    else:
        genome = limited(parameters=bounds).sample(seed=seed)
        assert bounds[0] <= genome_cost(genome, TASK).parameters <= bounds[1]
    assert time.process_time() - begun < 20


def test_violation_names_the_limit() -> None:
    space = limited(compression=(10, 12))
    genome = Genome(width=32, embedding_width=16)
    assert "compression of 118" in (space.violation(genome) or "")
    with pytest.raises(SpaceError, match=r"outside the space: compression .*not within \(10, 12\)"):
        space.mutate(genome, seed=0)


def test_each_kind_of_mutation_meets_the_limits() -> None:
    space = limited(parameters=(150_000, 200_000))
    found = set()
    for seed in range(12):
        genome = space.sample(seed=seed)
        for kind in MUTATIONS:
            try:
                child = space.mutate(genome, seed=seed, kind=kind)
            except SpaceError:
                continue
            found.add(kind)
            assert child in space
            assert child.key != genome.key
    assert found >= {"change_operator", "insert", "remove", "rewire", "change_pooling"}


def test_every_genome_inside_the_limits_can_be_drawn() -> None:
    # Two operators of different size in two places: each of the four is inside, and drawn.
    space = SearchSpace(
        operators={"convolution": {"kernel_size": (3,)}, "identity": {}},
        embeddings=["subword_embedding"],
        nodes=(2, 2), max_inputs=1, widths=(32,), embedding_widths=(16,), poolings=("mean",),
        parameters=(1, 10**9), teacher=TASK,
    )  # fmt: skip
    drawn = {space.sample(seed=seed).key for seed in range(400)}
    wanted = set()
    names = ("convolution", "identity")
    for first in names:
        for second in names:
            for residuals in ((True, True), (True, False), (False, True), (False, False)):
                for source in (0, 1):
                    nodes = (
                        Node(first, residual=residuals[0]),
                        Node(second, inputs=(source,), residual=residuals[1]),
                    )
                    outputs = (1, 2) if source == 0 else (2,)
                    genome = Genome(width=32, embedding_width=16, nodes=nodes, outputs=outputs)
                    assert genome in SearchSpace(**space.settings)
                    wanted.add(genome.key)
    assert wanted <= drawn


class TestUnreachableLimits:
    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ({"parameters": (None, 1000)}, r"1000\): it has parameters from about 33,"),
            ({"parameters": (10**9, None)}, "parameters from about 33,.* to 887,"),
            ({"compression": (500, None)}, "compression from about 4.* to 118"),
            ({"flops": (None, 10)}, "flops from about 16,"),
            ({"parameters": (None, 10**5), "compression": (None, 10)}, "exclude each other: param"),
            ({"latency": (None, 1.0)}, "latencies=LatencyTable.measure"),
        ],
    )
    def test_message_gives_the_range_of_the_space(
        self, limits: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SpaceError, match=message):
            limited(**limits)

    def test_limits_that_only_single_genomes_meet(self) -> None:
        settings = {**NARROW, "nodes": (0, 0), "teacher": TASK}
        assert SearchSpace(**settings, parameters=(None, 40_000))
        assert SearchSpace(**settings, flops=(150_000, None))
        with pytest.raises(SpaceError, match="No genome of this space can meet parameters"):
            SearchSpace(**settings, parameters=(None, 40_000), flops=(150_000, None))

    def test_gap_between_sizes(self) -> None:
        # An identity is smaller than the limits, and every convolution is larger.
        with pytest.raises(SpaceError, match="No genome of this space was found within parameters"):
            SearchSpace(
                operators={"identity": {}, "convolution": {"kernel_size": (7,)}}, nodes=(1, 1),
                widths=(64,), embedding_widths=(16,), embeddings=["subword_embedding"],
                parameters=(40_000, 45_000), teacher=TASK,
            )  # fmt: skip

    def test_conflicting_limits_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # An identity has no FLOPs, and a convolution has more than 45,000 parameters.
        monkeypatch.setattr("rosearch.space.sampling._PATIENCE", 0.0)
        with (
            pytest.warns(UserWarning, match="No genome of this space was found in 1 of 50 draws"),
            pytest.raises(
                SpaceError, match=r"nearest has parameters of [\d,]+, .*flops of [\d,]+, "
            ) as error,
        ):
            SearchSpace(
                operators={"identity": {}, "convolution": {"kernel_size": (7,)}}, nodes=(1, 1),
                widths=(64,), embedding_widths=(16,), embeddings=["subword_embedding"],
                parameters=(None, 45_000), flops=(200_000, None), teacher=TASK,
            )  # fmt: skip
        assert str(error.value).count("not within (") == 1


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"parameters": (5, 4)}, "with the minimum first"),
        ({"parameters": 5}, r"parameters must be \(minimum, maximum\), got 5"),
        ({"flops": (0, None)}, "each end of flops must be a finite number above 0, got 0"),
    ],
)
def test_invalid_limits(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        limited(**limits)


def test_limits_without_what_they_need() -> None:
    with pytest.raises(ArgumentError, match="teacher must be a Teacher or a"):
        SearchSpace(parameters=(1, 2))
    with pytest.raises(SpaceError, match=r"Task\(reference_parameters=\.\.\.\)"):
        SearchSpace(compression=(2, 3), teacher=Task())


def test_settings_recreate_a_limited_space() -> None:
    space = limited(compression=(10, 12), flops=(None, 10**7))
    again = SearchSpace(**space.settings)
    assert again.settings == space.settings
    assert again.sample(seed=3) == space.sample(seed=3)


def test_templates_inside_limits() -> None:
    space = SearchSpace(parameters=(4_100_000, 4_300_000), teacher=Task(), widths=(128,))
    assert templates.text_cnn() in space
    assert templates.bigru() not in space
