"""Matching of teacher layers with student nodes."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.distill.losses import LossMix
from rosearch.distill.losses.layers import default_layers, match_layers, node_depths
from rosearch.errors import EvaluationError
from rosearch.space import Genome, Node, templates
from tests.distill.losses.examples import TEACHER, make


class TestLayers:
    def test_depth_is_the_longest_path(self) -> None:
        diamond = Genome(
            width=8,
            embedding_width=8,
            nodes=(
                Node("feed_forward", inputs=(0,)),
                Node("feed_forward", inputs=(1,)),
                Node("feed_forward", inputs=(0, 2)),
                Node("convolution", inputs=(0,)),
            ),
            outputs=(3, 4),
        )
        ordered = diamond.ordered()
        depths = node_depths(diamond)
        assert sorted(depths) == [0, 1, 1, 2, 3]
        lone = next(k for k, n in enumerate(ordered.nodes, 1) if n.operator == "convolution")
        assert depths[lone] == 1
        assert depths == node_depths(ordered)
        assert node_depths(templates.bag_of_words(width=8, embedding_width=8)) == (0,)

    @pytest.mark.parametrize(
        ("count", "layers"), [(12, (4, 8, 12)), (6, (2, 4, 6)), (2, (1, 2)), (1, (1,))]
    )
    def test_defaults(self, count: int, layers: tuple[int, ...]) -> None:
        assert default_layers(count) == layers

    @pytest.mark.parametrize(
        ("depths", "pairs"),
        [
            ((0,), ((0, 12),)),  # only the embedding
            ((0, 1), ((1, 12),)),  # one node is pulled one way
            ((0, 1, 2), ((1, 8), (2, 12))),
            ((0, 1, 2, 3), ((1, 4), (2, 8), (3, 12))),
            ((0, 1, 2, 3, 4, 5, 6), ((2, 4), (4, 8), (6, 12))),
            ((0, 1, 1, 2), ((2, 8), (3, 12))),  # of two branches the later
        ],
    )
    def test_by_relative_depth(
        self, depths: tuple[int, ...], pairs: tuple[tuple[int, int], ...]
    ) -> None:
        assert match_layers((4, 8, 12), count=12, depths=depths) == pairs

    def test_by_name(self) -> None:
        assert match_layers([[0, 0], [2, 7]], count=12, depths=(0, 1, 2)) == ((0, 0), (2, 7))
        with pytest.raises(EvaluationError, match="node 3 of this student cannot be matched"):
            match_layers([[3, 12]], count=12, depths=(0, 1, 2))

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([], "layers must be teacher layers"),
            ([4, [1, 12]], "layers must be teacher layers"),
            ([[1, 2, 3]], "layers must be teacher layers"),
            (1, "layers must be teacher layers .* got 1"),
            ((0.5,), "layers must be teacher layers"),
            ("12", "layers must be teacher layers"),
            ([[1, None]], "layers must be teacher layers"),
            ([13], "the teacher has no layer 13; its layers are 0 to 12"),
            ([[1, -1]], "the teacher has no layer -1"),
        ],
    )
    def test_invalid_values_are_refused(self, layers: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make("hidden_states", layers=layers)
        with pytest.raises(ValueError, match=message):
            LossMix.of({"hidden_states": {"layers": layers}}, teacher=TEACHER)
