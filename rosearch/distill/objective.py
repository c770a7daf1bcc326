"""The training objective of a student: a weighted sum of losses against teacher outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.distill.losses import LossMix, Outputs, StudentShape
from rosearch.distill.losses.layers import node_depths
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.student import StudentForSequenceClassification


class DistillationObjective(nn.Module):
    """The weighted losses of one student against its teacher's outputs.

    Its parameters are the losses' projections. Texts are padded on the right.

    Args:
        mix: The losses.
        student: The student.
        outputs: The teacher outputs for the training examples; ``None`` if no loss reads any.
        labels: int64 ``(examples,)``; ``None`` if no loss reads them.

    Raises:
        EvaluationError: The student lacks what a loss compares.
    """

    def __init__(
        self,
        mix: LossMix,
        student: StudentForSequenceClassification,
        *,
        outputs: TeacherOutputs | None,
        labels: np.ndarray | None,
    ) -> None:
        super().__init__()
        losses = mix.build(student_shape(student))
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(weight for _, weight, _ in mix.entries)
        self.values = sorted(
            {node for loss in losses if "values" in loss.needs for node, _ in loss.pairs}
        )
        self.pooled = "pooled" in mix.needs
        self.states = bool(mix.needs & {"pooled", "hidden_states", "values"})
        self._reads_logits = "logits" in mix.needs
        self.serve(outputs, labels)

    def serve(self, outputs: TeacherOutputs | None, labels: np.ndarray | None) -> None:
        """Replace the examples that row numbers refer to.

        Args:
            outputs: As for the constructor.
            labels: As for the constructor.
        """
        self.outputs = outputs
        self.labels = labels
        # Kept in memory; other outputs are read from disk for each batch.
        self._logits = outputs.logits() if outputs is not None and self._reads_logits else None

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        """Return the weighted sum of the losses, each a mean over the batch.

        Args:
            model: The student, compiled or not.
            inputs: Its keyword arguments.
            rows: int64 ``(batch,)``, the row numbers of the batch's examples.
        """
        ids = inputs["input_ids"]
        mask = inputs["attention_mask"].bool()
        out = model(**inputs, output_hidden_states=True) if self.states else model(**inputs)
        own = self._own(model, out, mask)
        given, labels = self._answers(rows, ids.device)
        if self.outputs is not None and self.states:
            states = self.outputs.batch(rows, length=ids.shape[1], device=ids.device)
            given = replace(states, logits=given.logits)
        total = torch.zeros((), device=ids.device)
        for weight, loss in zip(self.weights, self.losses, strict=True):
            total = total + weight * loss(own, given, mask=mask, labels=labels)
        return total

    def answer_loss(self, logits: torch.Tensor, rows: np.ndarray) -> torch.Tensor | None:
        """Return the weighted sum of the losses that read nothing but answers and labels.

        Args:
            logits: ``(batch, classes)``.
            rows: int64 ``(batch,)``, the row numbers of the batch's examples.

        Returns:
            A scalar; ``None`` if there is no such loss.
        """
        weighted: Any = zip(self.weights, self.losses, strict=True)
        read = [(weight, loss) for weight, loss in weighted if set(loss.needs) <= {"logits"}]
        if not read:
            return None
        given, labels = self._answers(rows, logits.device)
        mask = torch.ones((len(rows), 1), dtype=torch.bool, device=logits.device)
        total = torch.zeros((), device=logits.device)
        for weight, loss in read:
            total = total + weight * loss(Outputs(logits), given, mask=mask, labels=labels)
        return total

    def _answers(
        self, rows: np.ndarray, device: torch.device
    ) -> tuple[Outputs, torch.Tensor | None]:
        """Return the teacher's logits and the labels, where losses read them."""
        given, labels = Outputs(), None
        if self._logits is not None:
            given = Outputs(logits=torch.from_numpy(self._logits[rows]).to(device))
        if self.labels is not None:
            labels = torch.from_numpy(self.labels[rows]).to(device)
        return given, labels

    def _own(self, model: nn.Module, out: Any, mask: torch.Tensor) -> Outputs:
        if not self.states:
            return Outputs(logits=out.logits)
        # torch.compile wraps the model; its modules are not compiled a second time.
        student: Any = getattr(model, "_orig_mod", model)
        states = out.hidden_states
        return Outputs(
            logits=out.logits,
            pooled=student.pool(states, mask) if self.pooled else None,
            hidden_states=dict(enumerate(states)),
            values={node: _values(student.nodes[node - 1], states) for node in self.values},
        )


def student_shape(student: StudentForSequenceClassification) -> StudentShape:
    """Return the sizes of a student that losses depend on."""
    genome = student.config.architecture
    attention = [k for k, node in enumerate(student.nodes, start=1) if _has_values(node)]
    return StudentShape(genome.width, node_depths(genome), tuple(attention))


def _has_values(node: Any) -> bool:
    operator = node.operator
    if operator.family != "attention":
        return False
    projection = getattr(operator, "projection_in", None)
    return isinstance(projection, nn.Linear) and projection.out_features == 3 * operator.width


def _values(node: Any, states: tuple[torch.Tensor, ...]) -> torch.Tensor:
    # Attention operators project to queries, keys and values at once. Computing one node's values
    # again costs less than hooks, which would break a compiled graph.
    _, normalized = node.read(states)
    projection, width = node.operator.projection_in, node.operator.width
    bias = None if projection.bias is None else projection.bias[-width:]
    return functional.linear(normalized, projection.weight[-width:], bias)
