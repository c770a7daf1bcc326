"""The objective: what a mix of losses makes of a student and its teacher's outputs."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.distill.losses import LossMix
from rosearch.distill.objective import DistillationObjective, student_shape
from rosearch.errors import DataError, EvaluationError
from rosearch.space import Genome, Node, templates
from rosearch.student import StudentForSequenceClassification
from rosearch.tokens import model_inputs, tokenize

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 16}
ALL = {
    "soft_labels": 1.0,
    "hard_labels": 0.5,
    "hidden_states": 0.7,
    "pooled_cosine": 0.3,
    "relations": 0.2,
}
BRANCHED = Genome(
    nodes=(
        Node("attention", {"heads": 2}, inputs=(0,), residual=True),
        Node("convolution", inputs=(0,)),
        Node("relative_attention", {"heads": 4}, inputs=(1, 2), merge="gated", residual=True),
        Node("feed_forward", inputs=(1,)),
    ),
    outputs=(3, 4),
    pooling="attention",
    **SMALL,
)


def prepared(
    teacher: Teacher, data: TextDataset, losses: dict[str, Any], genome: Genome = BRANCHED
) -> tuple[DistillationObjective, StudentForSequenceClassification, list[Any]]:
    distiller = Distiller(teacher, data, data, losses=losses, progress=False)
    student = distiller.student(genome)
    torch.manual_seed(0)
    mix = LossMix.of(losses, teacher=teacher.shape)
    objective = DistillationObjective(
        mix,
        student,
        outputs=teacher.outputs(data, mix.wanted, progress=False) if mix.needs else None,
        labels=data.labels if mix.needs_labels else None,
    )
    rows = tokenize(teacher.tokenizer, data.texts, max_length=teacher.max_length)
    return objective, student, rows


def value(objective: Any, student: Any, rows: list[Any], batch: list[int]) -> torch.Tensor:
    inputs = model_inputs(student, [rows[i] for i in batch], pad_id=0)
    out: torch.Tensor = objective(student, inputs, np.array(batch, dtype=np.int64))
    return out


class TestObjective:
    def test_the_sum_of_its_losses(self, teacher: Teacher, dataset: TextDataset) -> None:
        batch = [3, 0, 7, 7, 12]
        student: Any = None
        total = 0.0
        states: dict[str, Any] = {}
        whole, own, rows = prepared(teacher, dataset[:20], ALL)
        own.eval()
        together = float(value(whole, own, rows, batch).detach())
        names = sorted(ALL)
        for name, weight in ALL.items():
            objective, student, _ = prepared(teacher, dataset[:20], {name: weight})
            states = dict(whole.losses[names.index(name)].state_dict())
            objective.losses[0].load_state_dict(states)
            student.eval()
            total += float(value(objective, student, rows, batch).detach())
        assert together == pytest.approx(total, rel=1e-5)

    def test_batches_of_any_shape_give_the_mean(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        # So a batch may be divided to save memory, and nothing changes.
        objective, student, rows = prepared(teacher, dataset[:20], ALL)
        student.eval()
        with torch.no_grad():
            alone = torch.stack([value(objective, student, rows, [i]) for i in range(20)])
            together = value(objective, student, rows, list(range(20)))
        torch.testing.assert_close(alone.mean(), together, rtol=1e-4, atol=1e-5)

    def test_the_teacher_s_rows_are_those_of_the_batch(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        objective, student, rows = prepared(teacher, dataset[:20], {"hidden_states": 1.0})
        student.eval()
        inputs = model_inputs(student, [rows[4], rows[9]], pad_id=0)
        right = objective(student, inputs, np.array([4, 9]))
        wrong = objective(student, inputs, np.array([9, 4]))
        assert not torch.isclose(right, wrong)
        # By hand, from the teacher itself.
        with torch.no_grad():
            given = teacher.model(**inputs, output_hidden_states=True).hidden_states
            own = student(**inputs, output_hidden_states=True).hidden_states
        (loss,) = objective.losses
        mask = inputs["attention_mask"].bool()
        errors = [
            (projection(own[node][row]) - given[layer][row])[mask[row]].square().mean()
            for (node, layer), projection in zip(loss.pairs, loss.projections, strict=True)
            for row in range(2)
        ]
        torch.testing.assert_close(right, torch.stack(errors).mean(), rtol=1e-2, atol=1e-4)

    def test_losses_of_answers_alone(self, teacher: Teacher, dataset: TextDataset) -> None:
        objective, student, rows = prepared(teacher, dataset, ALL)
        answers = {name: weight for name, weight in ALL.items() if name.endswith("_labels")}
        other, _, _ = prepared(teacher, dataset, answers)
        batch = np.array([4, 0, 9])
        student.eval()  # without dropout
        inputs = model_inputs(student, [rows[i] for i in batch], pad_id=teacher.pad_id)
        with torch.no_grad():
            logits = student(**inputs).logits
            assert objective.answer_loss(logits, batch) == pytest.approx(
                float(other(student, inputs, batch))
            )
        pooled, _, _ = prepared(teacher, dataset, {"pooled_cosine": 1.0})
        assert pooled.answer_loss(logits, batch) is None

    def test_values_are_what_the_attention_computes(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        losses = {"relations": {"layers": [[1, 1], [3, 2]]}}
        shape = student_shape(prepared(teacher, dataset[:5], {"soft_labels": 1.0})[1])
        numbers = shape.attention
        assert len(numbers) == 2
        losses = {"relations": {"layers": [[n, k] for k, n in enumerate(numbers, start=1)]}}
        objective, student, rows = prepared(teacher, dataset[:5], losses)
        student.eval()
        seen = {}
        for number in numbers:
            projection = student.nodes[number - 1].operator.projection_in  # type: ignore[union-attr]
            projection.register_forward_hook(
                lambda m, i, out, number=number: seen.update({number: out[..., -16:]})
            )
        given: list[Any] = []
        objective.losses[0].register_forward_pre_hook(lambda loss, sides: given.append(sides[0]))
        inputs = model_inputs(student, rows, pad_id=0)
        objective(student, inputs, np.arange(5))
        mask = inputs["attention_mask"].bool()
        for number in numbers:
            torch.testing.assert_close(given[0].values[number][mask], seen[number][mask])

    def test_projections_are_parameters_and_the_rest_is_not_saved(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        objective, *_ = prepared(teacher, dataset[:5], ALL)
        saved = objective.state_dict()
        assert set(saved) == {name for name, _ in objective.named_parameters()}
        assert len(saved) == 3  # two matched layers, and the pooled vector
        plain, *_ = prepared(teacher, dataset[:5], {"soft_labels": 1.0})
        assert not plain.state_dict()

    def test_hidden_states_are_requested_only_if_a_loss_reads_them(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        asked: list[bool] = []

        class Spy(nn.Module):
            def __init__(self, student: nn.Module) -> None:
                super().__init__()
                self._orig_mod = student  # as torch.compile's wrapper

            def forward(self, **inputs: Any) -> Any:
                asked.append(inputs.get("output_hidden_states", False))
                return self._orig_mod(**inputs)

        for losses in ({"soft_labels": 1.0}, {"hard_labels": 1.0}, ALL):
            objective, student, rows = prepared(teacher, dataset[:5], losses)
            inputs = model_inputs(student, rows[:2], pad_id=0)
            assert objective(Spy(student), inputs, np.array([0, 1])).isfinite()
        assert asked == [False, False, True]

    def test_a_student_without_attention_is_refused(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        distiller = Distiller(teacher, dataset, dataset, losses={"relations": 1.0}, progress=False)
        with pytest.raises(EvaluationError, match="no attention node"):
            distiller.distill(templates.text_cnn(**SMALL))


class TestDistiller:
    @pytest.mark.parametrize("name", ["bag_of_words", "transformer"])
    def test_trains_by_all_its_losses(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], name: str
    ) -> None:
        losses = {k: w for k, w in ALL.items() if k != "relations" or name == "transformer"}
        distiller = Distiller(
            teacher, *parts, losses=losses, epochs=6, learning_rate=1e-2, progress=False
        )
        genome = getattr(templates, name)(**SMALL)
        first, second = (distiller.distill(genome, seed=1) for _ in range(2))
        assert first.accuracy > 0.8
        assert first.history[-1].loss < 0.7 * first.history[0].loss
        state = second.student.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in first.student.state_dict().items())
        assert [e.loss for e in first.history] == [e.loss for e in second.history]

    def test_settings_name_the_losses(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        def settings(**changes: Any) -> Any:
            return Distiller(teacher, *parts, **changes).settings

        assert settings() == settings(losses={"soft_labels": 1.0})
        assert settings() != settings(losses={"hard_labels": 0.25, "soft_labels": 0.75})
        with_states = settings(losses={"soft_labels": 1.0, "hidden_states": {"layers": [1]}})
        assert with_states["losses"]["hidden_states"] == {"weight": 1.0, "layers": [1]}
        assert with_states["storage"] == "bfloat16"
        assert "storage" not in settings()

    def test_size_of_the_cache(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        new = TextDataset(
            [f"{text} !" for text in train.texts], train.labels, classes=train.classes
        )
        distiller = Distiller(teacher, new, dev, losses={"hidden_states": 1.0}, progress=False)
        tokens = sum(len(ids) for ids in teacher.tokenizer(list(new.texts))["input_ids"])
        # Each file also holds of each text a digest and its number of tokens, 20 bytes.
        assert distiller.cache_size() == 2 * (tokens * 32 * 2 + len(new) * 20)
        assert Distiller(teacher, new, dev, losses={"hard_labels": 1.0}).cache_size() == 0

    def test_a_pickled_distiller_is_small_and_trains_the_same_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = Distiller(teacher, *parts, losses=ALL, epochs=1, progress=False)
        first = distiller.distill(templates.transformer(layers=1, **SMALL))
        payload = pickle.dumps(distiller)
        assert len(payload) < 200_000
        again = pickle.loads(payload).distill(templates.transformer(layers=1, **SMALL))
        assert again.history[0].loss == first.history[0].loss

    def test_texts_without_labels(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        blind = TextDataset.unlabelled(train.texts, classes=train.classes)
        settings: dict[str, Any] = {"epochs": 8, "learning_rate": 1e-2, "progress": False}
        genome = templates.bag_of_words(**SMALL)
        result = Distiller(teacher, blind, dev, **settings).distill(genome)
        with_labels = Distiller(teacher, train, dev, **settings).distill(genome)
        assert result.accuracy > 0.8
        assert [e.loss for e in result.history] == [e.loss for e in with_labels.history]
        with pytest.raises(DataError, match="'hard_labels' reads true labels, but train has none"):
            Distiller(teacher, blind, dev, losses={"soft_labels": 0.9, "hard_labels": 0.1})
        with pytest.raises(DataError, match="dev selects the best epoch and needs labels"):
            Distiller(teacher, train, TextDataset.unlabelled(dev.texts, classes=dev.classes))

    def test_warns_if_student_or_teacher_is_no_better_than_a_constant(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        wrong = TextDataset(dev.texts, 1 - dev.labels, classes=dev.classes)
        distiller = Distiller(teacher, train, wrong, epochs=1, learning_rate=1e-2, progress=False)
        genome = templates.bag_of_words(**SMALL)
        with pytest.warns(UserWarning, match=r"The teacher's accuracy .* learnt nothing"):
            distiller.distill(genome)
        with pytest.warns(UserWarning, match=rf"Student {genome.key[:8]}'s accuracy is 0\."):
            distiller.distill(genome)
        good = Distiller(teacher, *parts, epochs=8, learning_rate=1e-2, progress=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert good.distill(genome).accuracy > 0.8


class TestStudentStates:
    def test_one_a_node_as_hugging_face_gives_them(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        student = Distiller(teacher, dataset, dataset, progress=False).student(BRANCHED).eval()
        inputs = teacher.tokenizer(list(dataset.texts[:3]), padding=True, return_tensors="pt")
        with torch.no_grad():
            out = student(**inputs, output_hidden_states=True)
            plain = student(**inputs)
            row = student(**inputs, output_hidden_states=True, return_dict=False)
            ours = student.classifier(
                student.norm(student.pool(out.hidden_states, inputs["attention_mask"].bool()))
            )
        assert plain.hidden_states is None
        assert len(out.hidden_states) == 5
        assert all(h.shape == (*inputs["input_ids"].shape, 16) for h in out.hidden_states)
        torch.testing.assert_close(out.logits, plain.logits)
        torch.testing.assert_close(ours, plain.logits)
        assert len(row) == 2
        torch.testing.assert_close(row[1][4], out.hidden_states[4])
        assert torch.equal(
            out.hidden_states[0],
            student.embedding(
                inputs["input_ids"], inputs["attention_mask"].bool(), inputs["token_type_ids"]
            ),
        )

    def test_the_configuration_can_ask(self, teacher: Teacher, dataset: TextDataset) -> None:
        student = Distiller(teacher, dataset, dataset, progress=False).student(BRANCHED).eval()
        other = copy.deepcopy(student)
        other.config.output_hidden_states = True
        inputs = teacher.tokenizer(["good film"], return_tensors="pt")
        assert len(other(**inputs).hidden_states) == 5
        assert other(**inputs, output_hidden_states=False).hidden_states is None


def test_a_teacher_of_unknown_depth_gives_logits_only(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset], tmp_path: Path
) -> None:
    student = Distiller(teacher, *parts, progress=False).student(BRANCHED).eval()
    odd = Teacher(student, teacher.tokenizer, cache_dir=tmp_path)
    assert odd.shape.layers == 0
    assert odd.logits(parts[1], progress=False).shape == (40, 2)
    Distiller(odd, *parts)
    with pytest.raises(ValueError, match="does not state its number of layers"):
        Distiller(odd, *parts, losses={"hidden_states": 1.0})
