"""Limits hold for all samples, mutants and children, and limits that cannot be met are refused."""

from __future__ import annotations

import contextlib
import time
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import ArgumentError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace, Task, genome_cost, templates
from rosearch.space.cost.limits import _upper_hull
from rosearch.space.draft import Draft
from rosearch.space.random_choices import RandomChoices
from rosearch.space.sampling import _draw
from tests.space.spaces import NARROW

TASK = Task(vocabulary=2000, positions=64, reference_parameters=4_000_000, length=16)


def limited(**limits: Any) -> SearchSpace:
    return SearchSpace(**NARROW, teacher=TASK, **limits)


def choices(seed: int) -> RandomChoices:
    return RandomChoices(np.random.default_rng(seed))


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


@pytest.mark.parametrize("bounds", [None, [0.5]])
def test_costs_after_a_change_are_those_of_the_changed_genome(bounds: list[float] | None) -> None:
    scores: dict[str, Any] = {} if bounds is None else {"bounds": bounds, "scopes": True}
    space = limited(parameters=(1, 10**9), flops=(1, 10**12), **scores)
    assert space.limits is not None
    found = set()
    for seed in range(12):
        draft = Draft.of(space.sample(seed=seed))
        costs = space.limits.total(draft.genome())
        for kind, changes in MUTATIONS.items():
            for change in islice(changes(space, draft, choices(seed)), 40):
                after = space.limits.total_after(draft, costs, change)
                assert after == pytest.approx(space.limits.total(change.make().genome()))
                found.add(kind)
    assert found >= {"change_operator", "change_parameter", "insert", "toggle_residual", "remove"}


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


BERT = Task(reference_parameters=22_713_986)
"""An encoder of six layers of width 384, whose students read its vocabulary."""


def test_limits_are_met_together() -> None:
    # A small embedding needs millions of parameters more, which operators have at many FLOPs only.
    space = SearchSpace(teacher=BERT, compression=(4.6, 6.5), flops=(None, 10e6))
    assert space.limits is not None
    frames, _ = space.limits.frames(None)
    assert {frame.draft.embedding_width for frame in frames} >= {64, 96, 128}
    assert not any(
        frame.draft.width <= 192 and frame.draft.embedding_width <= 32 for frame in frames
    )
    drawn = [_draw(space, space.limits, choices(seed)).genome() for seed in range(100)]
    assert sum(space.limits.excess(genome) == 0 for genome in drawn) > 35  # 10 if taken one by one


def test_token_scores_count_towards_the_limits() -> None:
    scores = genome_cost(templates.additive(scopes=True), BERT).parameters
    space = SearchSpace(teacher=BERT, parameters=(None, 1.6e6), bounds=(0.3, None), scopes=True)
    assert space.limits is not None
    least = [space.limits.frames(bound)[0] for bound in (None, 0.3)]
    narrow = [min(frame.costs[0] for frame in frames) for frames in least]
    assert narrow[1] - narrow[0] == scores
    assert {space.sample(seed=seed).bound for seed in range(20)} == {0.3, None}
    tight = SearchSpace(teacher=BERT, parameters=(None, 1.2e6), bounds=(0.3, None), scopes=True)
    assert tight.limits is not None
    assert tight.limits.drawn_bounds == [None]
    assert {tight.sample(seed=seed).bound for seed in range(20)} == {None}


@pytest.mark.parametrize("limits", LIMITS[-2:], ids=str)
def test_total_is_the_sum_over_the_parts(limits: dict[str, Any]) -> None:
    space = limited(**limits, bounds=(0.3, None), scopes=True)
    assert space.limits is not None
    names = [name for name in ("parameters", "flops") if name in space.limits.quantities]
    for seed in range(60):
        genome = SearchSpace(**NARROW, bounds=(0.3, None), scopes=True).sample(seed=seed)
        assert space.limits.total(genome) == tuple(values(genome)[name] for name in names)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_hull_is_above_its_points_and_concave(points: list[tuple[int, int]]) -> None:
    hull = _upper_hull(points)
    x, y = zip(*hull, strict=True)
    assert all(np.interp(a, x, y) >= b - 1e-9 for a, b in points)
    assert {*hull} <= {(0.0, 0.0), *points}
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) < 0).all()
    assert (slopes > 0).all()


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
