"""Losses: their equations by hand, which layers meet, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from rosearch.distill import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    distillation_losses,
    soft_label_loss,
)
from rosearch.distill.losses import LossMix, default_layers, match_layers, node_depths
from rosearch.errors import EvaluationError, RegistryError
from rosearch.space import Genome, Node, templates

TEACHER = TeacherShape(layers=12, width=24, heads=4)
STUDENT = StudentShape(width=8, depths=(0, 1, 2), attention=(1, 2))
BUILT_IN = ("hard_labels", "hidden_states", "pooled_cosine", "relations", "soft_labels")


def make(name: str, teacher: Any = TEACHER, student: Any = STUDENT, **settings: Any) -> Any:
    torch.manual_seed(0)
    return distillation_losses.get(name)(teacher, student, **settings)


def sides(lengths: tuple[int, ...] = (5, 3), longest: int = 5) -> tuple[Outputs, Outputs, Any]:
    """Random outputs of student and teacher; noise where there is padding."""
    torch.manual_seed(1)
    batch = len(lengths)
    mask = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]

    def tokens(width: int) -> torch.Tensor:
        return torch.randn(batch, longest, width)

    student = Outputs(
        logits=torch.randn(batch, 3),
        pooled=torch.randn(batch, 8),
        hidden_states={n: tokens(8) for n in range(3)},
        values={n: tokens(8) for n in (1, 2)},
    )
    teacher = Outputs(
        logits=torch.randn(batch, 3),
        pooled=torch.randn(batch, 24),
        hidden_states={n: tokens(24) for n in range(13)},
        values={n: tokens(24) for n in range(1, 13)},
    )
    return student, teacher, mask


class TestSoftLabels:
    def test_value_by_hand(self) -> None:
        student = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
        target = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        p = torch.softmax(target / 3, dim=1)
        q = torch.softmax(student / 3, dim=1)
        expected = 9 * (p * (p / q).log()).sum(dim=1).mean()
        torch.testing.assert_close(soft_label_loss(student, target, temperature=3.0), expected)
        loss = make("soft_labels", temperature=3.0)
        mixed = loss(Outputs(logits=student), Outputs(logits=target), mask=None, labels=None)
        torch.testing.assert_close(mixed, expected)

    def test_zero_exactly_at_the_teacher(self) -> None:
        logits = torch.randn(5, 3)
        assert soft_label_loss(logits, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits + 1.0, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits.flip(1), logits, temperature=2.0) > 1e-3

    def test_gradient_keeps_its_size_over_temperatures(self) -> None:
        # Hinton et al. 2015: for high temperatures the gradient tends to the logits' difference.
        student, target = torch.randn(4, 3), torch.randn(4, 3)
        norms = []
        for temperature in (20.0, 200.0):
            leaf = student.clone().requires_grad_()
            soft_label_loss(leaf, target, temperature=temperature).backward()
            norms.append(float(leaf.grad.norm()))  # type: ignore[union-attr]
        assert norms[0] == pytest.approx(norms[1], rel=0.1)


def test_hard_labels_are_cross_entropy() -> None:
    student, teacher, mask = sides()
    labels = torch.tensor([2, 0])
    shares = torch.log_softmax(student.logits, dim=1)  # type: ignore[arg-type]
    expected = -(shares[0, 2] + shares[1, 0]) / 2
    torch.testing.assert_close(
        make("hard_labels")(student, teacher, mask=mask, labels=labels), expected
    )


class TestHiddenStates:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("hidden_states", layers=[[1, 4], [2, 12]])
        total = 0.0
        for (node, layer), projection in zip(loss.pairs, loss.projections, strict=True):
            for row, length in enumerate((5, 3)):
                own = projection(student.hidden_states[node][row, :length])
                error = (own - teacher.hidden_states[layer][row, :length]).square().mean()
                total += float(error.detach()) / 2
        value = loss(student, teacher, mask=mask, labels=None)
        assert float(value.detach()) == pytest.approx(total / 2, rel=1e-5)
        assert all(p.bias is None and p.weight.shape == (24, 8) for p in loss.projections)

    def test_a_linear_image_of_the_teacher_can_be_learnt(self) -> None:
        student, _, mask = sides()
        loss = make("hidden_states", layers=[[2, 12]])
        image = torch.randn(24, 8)
        hidden = {12: student.hidden_states[2] @ image.T}
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
        for _ in range(400):
            value = loss(student, Outputs(hidden_states=hidden), mask=mask, labels=None)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert float(value.detach()) < 1e-3


class TestPooledCosine:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("pooled_cosine")
        projected = student.pooled @ loss.projection.weight.T  # type: ignore[operator]
        cosines = [
            a @ b / (a.norm() * b.norm())
            for a, b in zip(projected, teacher.pooled, strict=True)  # type: ignore[arg-type]
        ]
        expected = 1 - (cosines[0] + cosines[1]) / 2
        torch.testing.assert_close(loss(student, teacher, mask=mask, labels=None), expected)

    def test_equal_widths_need_no_projection(self) -> None:
        loss = make("pooled_cosine", student=StudentShape(width=24, depths=(0, 1)))
        assert list(loss.parameters()) == []
        vector = torch.randn(3, 24)
        value = loss(Outputs(pooled=2 * vector), Outputs(pooled=vector), mask=None, labels=None)
        assert float(value) == pytest.approx(0.0, abs=1e-6)


class TestRelations:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("relations", relation_heads=2)
        assert loss.pairs == ((2, 12),)
        total = 0.0
        for row, length in enumerate((5, 3)):
            for head in range(2):
                own = student.values[2][row, :length, 4 * head : 4 * head + 4]
                given = teacher.values[12][row, :length, 12 * head : 12 * head + 12]
                q = torch.softmax(own @ own.T / math.sqrt(4), dim=1)
                p = torch.softmax(given @ given.T / math.sqrt(12), dim=1)
                total += float((p * (p / q).log()).sum()) / length / 2 / 2
        value = loss(student, teacher, mask=mask, labels=None)
        assert float(value) == pytest.approx(total, rel=1e-4)

    def test_zero_exactly_at_the_teacher(self) -> None:
        _, teacher, mask = sides()
        loss = make("relations", student=StudentShape(24, (0, 1), (1,)), layers=[[1, 12]])
        assert loss.heads == 4
        for own, zero in ((teacher.values[12], True), (teacher.values[11], False)):
            value = loss(Outputs(values={1: own}), teacher, mask=mask, labels=None)
            assert (abs(float(value)) < 1e-6) is zero

    def test_heads_by_default_divide_both_widths(self) -> None:
        assert make("relations").heads == 4
        assert make("relations", student=StudentShape(10, (0, 1), (1,))).heads == 2

    def test_a_student_without_attention(self) -> None:
        with pytest.raises(EvaluationError, match="this student has no attention node"):
            make("relations", student=StudentShape(8, (0, 1)))

    def test_layers_are_matched_with_attention_nodes(self) -> None:
        student = StudentShape(8, (0, 1, 2, 3, 4), attention=(1, 3))
        assert make("relations", student=student).pairs == ((3, 12),)
        assert make("relations", student=student, layers=[4, 12]).pairs == ((1, 4), (3, 12))
        with pytest.raises(
            EvaluationError, match=r"node 2 of this student cannot be matched; .* are 1, 3"
        ):
            make("relations", student=student, layers=[[2, 12]])

    @pytest.mark.parametrize("heads", [0, 5, 1.0])
    def test_bad_heads(self, heads: Any) -> None:
        with pytest.raises(ValueError, match=r"must be a divisor of the teacher's width 24"):
            make("relations", relation_heads=heads)
        with pytest.raises(EvaluationError, match="does not divide the student's width 8"):
            make("relations", relation_heads=12)


@pytest.mark.parametrize("name", ["hidden_states", "pooled_cosine", "relations"])
class TestEveryLossOnStates:
    def test_padding_has_no_effect(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        value = loss(student, teacher, mask=mask, labels=None)
        noisy = Outputs(
            pooled=student.pooled,
            hidden_states={
                n: torch.where(mask[..., None], t, 1e4) for n, t in student.hidden_states.items()
            },
            values={n: torch.where(mask[..., None], t, 1e2) for n, t in student.values.items()},
        )
        torch.testing.assert_close(loss(noisy, teacher, mask=mask, labels=None), value)

    def test_gradients_reach_student_and_projections(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        leaves = [student.pooled, *student.hidden_states.values(), *student.values.values()]
        for leaf in leaves:
            leaf.requires_grad_()  # type: ignore[union-attr]
        loss(student, teacher, mask=mask, labels=None).backward()
        reached = [leaf.grad for leaf in leaves if leaf.grad is not None]  # type: ignore[union-attr]
        assert reached
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in reached)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())

    def test_under_autocast_and_with_teacher_in_bfloat16(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        exact = loss(student, teacher, mask=mask, labels=None)
        low = Outputs(
            pooled=teacher.pooled.bfloat16(),  # type: ignore[union-attr]
            hidden_states={n: t.bfloat16() for n, t in teacher.hidden_states.items()},
            values={n: t.bfloat16() for n, t in teacher.values.items()},
        )
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(student, low, mask=mask, labels=None)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact, rtol=0.02, atol=0.005)


@pytest.mark.parametrize("name", ["hidden_states", "relations"])
def test_a_text_without_tokens_has_loss_zero(name: str) -> None:
    student, teacher, mask = sides(lengths=(5, 0))
    loss = make(name)
    value = loss(student, teacher, mask=mask, labels=None)
    alone = [
        Outputs(
            hidden_states={n: t[:1] for n, t in side.hidden_states.items()},
            values={n: t[:1] for n, t in side.values.items()},
        )
        for side in (student, teacher)
    ]
    torch.testing.assert_close(value, loss(*alone, mask=mask[:1], labels=None) / 2)


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


@pytest.fixture
def plug_in() -> Iterator[type[DistillationLoss]]:
    @distillation_losses.register("logit_error")
    class LogitError(DistillationLoss):
        needs = ("logits",)

        def __init__(self, teacher: Any, student: Any, *, power: int = 2) -> None:
            super().__init__(teacher, student)
            self.power = power

        def forward(self, student: Any, teacher: Any, *, mask: Any, labels: Any) -> torch.Tensor:
            return functional.mse_loss(student.logits, teacher.logits)

    yield LogitError
    distillation_losses.unregister("logit_error")


class TestMix:
    def test_built_in_names(self) -> None:
        assert set(BUILT_IN) <= set(distillation_losses.names())
        assert all(distillation_losses.get(name).__doc__ for name in BUILT_IN)

    def test_default_and_its_short_form(self) -> None:
        plain = LossMix.of(None, teacher=TEACHER, temperature=4.0)
        assert plain.settings == {"soft_labels": {"weight": 1.0, "temperature": 4.0}}
        assert not plain.needs_labels
        short = LossMix.of(None, teacher=TEACHER, label_weight=0.25)
        long = {"hard_labels": 0.25, "soft_labels": 0.75}
        assert short.settings == LossMix.of(long, teacher=TEACHER).settings
        assert short.needs_labels == ("hard_labels",)
        assert LossMix.of(None, teacher=TEACHER, label_weight=1.0).needs == frozenset()

    def test_what_is_needed_of_the_teacher(self) -> None:
        mix = LossMix.of(
            {"hidden_states": {"layers": (6, 12)}, "relations": 1, "pooled_cosine": 0},
            teacher=TEACHER,
        )
        assert mix.needs == {"hidden_states", "values"}
        assert mix.wanted.hidden_states == (6, 12)
        assert mix.wanted.values == (12,)
        assert [name for name, _, _ in mix.entries] == ["hidden_states", "relations"]
        assert mix.settings["hidden_states"] == {"weight": 1.0, "layers": [6, 12]}

    def test_order_does_not_matter(self) -> None:
        a = LossMix.of({"soft_labels": 1.0, "hidden_states": 0.5}, teacher=TEACHER)
        b = LossMix.of({"hidden_states": 0.5, "soft_labels": 1.0}, teacher=TEACHER)
        assert a == b

    @pytest.mark.parametrize(
        ("losses", "message"),
        [
            ({"soft_labels": -1.0}, "weight of the loss 'soft_labels' must be"),
            ({"soft_labels": math.nan}, "weight of the loss"),
            ({"soft_labels": "1"}, "weight of the loss"),
            ({"soft_labels": True}, "weight of the loss"),
            ({"soft_labels": 0.0, "hard_labels": 0}, "must have a weight above 0"),
            ({}, "must have a weight above 0"),
            ({"soft_labels": {"heat": 2.0}}, "no setting 'heat'; known: temperature"),
            ({"hard_labels": {"heat": 2.0}}, "no setting 'heat'; known: none"),
            ({"hidden_states": {"layers": {4}}}, "must be JSON values"),
        ],
    )
    def test_invalid_values_are_refused(self, losses: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LossMix.of(losses, teacher=TEACHER)

    def test_unknown_names(self) -> None:
        with pytest.raises(RegistryError, match="Did you mean 'soft_labels'"):
            LossMix.of({"soft_label": 1.0}, teacher=TEACHER)

    def test_losses_and_label_weight_are_refused_together(self) -> None:
        with pytest.raises(ValueError, match="short for losses="):
            LossMix.of({"soft_labels": 1.0}, teacher=TEACHER, label_weight=0.5)

    def test_plug_in(self, plug_in: type[DistillationLoss]) -> None:
        mix = LossMix.of({"logit_error": {"weight": 2.0, "power": 3}}, teacher=TEACHER)
        (loss,) = mix.build(STUDENT)
        assert isinstance(loss, plug_in)
        assert mix.needs == {"logits"}
        assert mix.settings == {"logit_error": {"weight": 2.0, "power": 3}}

    def test_wrong_plug_ins(self) -> None:
        with pytest.raises(RegistryError, match="expected a subclass"):
            distillation_losses.register("mine")(torch.nn.MSELoss)
        with pytest.raises(RegistryError, match="needs names 'attentions'; known: logits"):

            @distillation_losses.register("mine")
            class Mine(DistillationLoss):
                needs = ("attentions",)
