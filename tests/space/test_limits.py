"""Limits hold for whatever a space gives, and say so where they cannot."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import SpaceError
from rosearch.space import (
    MUTATIONS,
    Genome,
    LatencyTable,
    Node,
    SearchSpace,
    Task,
    genome_cost,
    templates,
    variation,
)

TASK = Task(vocabulary=2000, positions=64, reference_parameters=4_000_000, length=16)
NARROW: dict[str, Any] = {
    "operators": {"attention": {"heads": (2, 4)}, "convolution": {}, "identity": {},
                  "feed_forward": {}, "separable_convolution": {}},
    "embeddings": ["subword_embedding"],
    "nodes": (0, 10),
    "widths": (32, 64, 96),
    "embedding_widths": (16, 32, 64),
}  # fmt: skip


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
def test_every_move_keeps_them(limits: dict[str, Any]) -> None:
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
def test_any_interval_holds_or_is_refused(low: int, width: float, seed: int) -> None:
    bounds = (low, low * (1 + width))
    begun = time.process_time()
    if low > 850_000:
        with contextlib.suppress(SpaceError):  # the largest that its bound promises is not there
            limited(parameters=bounds).sample(seed=seed)
    else:
        genome = limited(parameters=bounds).sample(seed=seed)
        assert bounds[0] <= genome_cost(genome, TASK).parameters <= bounds[1]
    assert time.process_time() - begun < 20


def test_membership_says_which() -> None:
    space = limited(compression=(10, 12))
    genome = Genome(width=32, embedding_width=16)
    assert "its compression of 118" in (space.complaint(genome) or "")
    with pytest.raises(SpaceError, match=r"outside the space: its compression .*=\(10, 12\)"):
        space.mutate(genome, seed=0)


def test_each_kind_of_mutation_keeps_them() -> None:
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


def test_what_can_be_drawn_includes_single_genomes() -> None:
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


class TestEmpty:
    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ({"parameters": (None, 1000)}, r"1000\) cannot be met: .*parameters .* about 33,"),
            ({"parameters": (10**9, None)}, "the highest parameters of this space is about 887,"),
            ({"compression": (500, None)}, "the highest compression of this space is about 118"),
            ({"flops": (None, 10)}, "the lowest flops of this space is about 16,"),
            ({"parameters": (5, 4)}, "the lowest first"),
            ({"parameters": 5}, r"parameters=5: expected \(lowest, highest\)"),
            ({"flops": (0, None)}, "numbers above 0"),
            ({"parameters": (None, 10**5), "compression": (None, 10)}, "leave no number of param"),
            ({"latency": (None, 1.0)}, "latencies=LatencyTable.measure"),
        ],
    )  # fmt: skip
    def test_is_said_at_once(self, limits: dict[str, Any], message: str) -> None:
        with pytest.raises(SpaceError, match=message):
            limited(**limits)

    def test_together(self) -> None:
        settings = {**NARROW, "nodes": (0, 0), "teacher": TASK}
        assert SearchSpace(**settings, parameters=(None, 40_000))
        assert SearchSpace(**settings, flops=(150_000, None))
        with pytest.raises(SpaceError, match="cannot be met by any width"):
            SearchSpace(**settings, parameters=(None, 40_000), flops=(150_000, None))

    def test_what_is_missing(self) -> None:
        with pytest.raises(SpaceError, match=r"parameters=\(1, 2\) depends on .* teacher=TEACHER"):
            SearchSpace(parameters=(1, 2))
        with pytest.raises(SpaceError, match=r"Task\(reference_parameters=\.\.\.\)"):
            SearchSpace(compression=(2, 3), teacher=Task())

    def test_a_gap_between_sizes_ends(self) -> None:
        # Between an identity and a convolution there is nothing, whatever is drawn.
        with pytest.raises(SpaceError, match="No genome of this space was found within parameters"):
            SearchSpace(
                operators={"identity": {}, "convolution": {"kernel_size": (7,)}}, nodes=(1, 1),
                widths=(64,), embedding_widths=(16,), embeddings=["subword_embedding"],
                parameters=(40_000, 45_000), teacher=TASK,
            )  # fmt: skip

    def test_limits_in_each_other_s_way_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # An identity costs no FLOPs, a convolution more than 45,000 parameters.
        monkeypatch.setattr(variation, "_PATIENCE", 0.0)
        with (
            pytest.warns(UserWarning, match="Still looking for a genome of this space"),
            pytest.raises(
                SpaceError, match=r"nearest has .*parameters [\d,]+ \(.*flops [\d,]+ \("
            ) as error,
        ):
            SearchSpace(
                operators={"identity": {}, "convolution": {"kernel_size": (7,)}}, nodes=(1, 1),
                widths=(64,), embedding_widths=(16,), embeddings=["subword_embedding"],
                parameters=(None, 45_000), flops=(200_000, None), teacher=TASK,
            )  # fmt: skip
        assert str(error.value).count("outside") == 1
        assert str(error.value).count("inside") == 1


def test_settings_rebuild_a_limited_space() -> None:
    space = limited(compression=(10, 12), flops=(None, 10**7))
    again = SearchSpace(**space.settings)
    assert again.settings == space.settings
    assert again.sample(seed=3) == space.sample(seed=3)


class TestLatency:
    def table(self) -> LatencyTable:
        return LatencyTable.measure(SearchSpace(**NARROW), length=16, repeats=1)

    def test_a_limit_holds_by_the_table(self) -> None:
        table = self.table()
        again = LatencyTable.from_json(table.to_json())
        assert again == table
        free = SearchSpace(**NARROW, latency=(None, 1e6), teacher=TASK, latencies=table)
        assert free.limits is not None

        def seconds(genome: Genome) -> float:
            assert free.limits is not None
            return free.limits.total(genome, genome.outputs)[0]

        fast = seconds(Genome(width=32, embedding_width=16))
        middle = sorted(seconds(free.sample(seed=seed)) for seed in range(40))[20]
        assert middle > fast
        space = SearchSpace(
            **NARROW, latency=(None, middle), teacher=TASK, latencies=again.to_dict()
        )
        for seed in range(30):
            genome = space.sample(seed=seed)
            assert seconds(genome) <= middle
            assert seconds(space.mutate(genome, seed=seed)) <= middle
        assert SearchSpace(**space.settings).sample(seed=1) == space.sample(seed=1)

    def test_refusals(self) -> None:
        table = LatencyTable(16, {}, "cpu")
        with pytest.raises(SpaceError, match=r"has no .*node.*attention"):
            limited(latency=(None, 1.0), latencies=table)
        with pytest.raises(SpaceError, match="are for 8 tokens and the task for 16"):
            limited(latency=(None, 1.0), latencies=LatencyTable(8, {}))
        with pytest.raises(SpaceError, match="Expected latencies as JSON"):
            LatencyTable.from_json("{")
        with pytest.raises(SpaceError, match="Expected latencies as LatencyTable"):
            LatencyTable.from_json('{"length": 3}')
        for seconds in ("NaN", "-1", "Infinity"):
            with pytest.raises(SpaceError, match="Expected latencies"):
                LatencyTable.from_json(f'{{"length": 3, "seconds": {{"a": {seconds}}}}}')
        for sizes in ({"length": 0}, {"repeats": 0}):
            with pytest.raises(ValueError, match="1 or more"):
                LatencyTable.measure(SearchSpace(**NARROW), **sizes)

    def test_measuring_draws_nothing(self) -> None:
        before = torch.get_rng_state()
        self.table()
        assert torch.equal(torch.get_rng_state(), before)


def test_templates_are_members_where_they_fit() -> None:
    space = SearchSpace(parameters=(4_100_000, 4_300_000), teacher=Task(), widths=(128,))
    assert templates.text_cnn() in space
    assert templates.bigru() not in space
