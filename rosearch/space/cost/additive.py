"""What a genome's student costs, as a sum over its parts: no module is built for a genome.

Each kind of part is measured once on torch's meta device, which gives it no memory, and
remembered: parameters and the FLOPs that torch's counter counts. The sum is exactly what
:func:`rosearch.student.student_cost` measures on the whole student.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from rosearch import operators as ops
from rosearch.errors import SpaceError
from rosearch.operators.base import Value
from rosearch.operators.cost import cost as operator_cost
from rosearch.operators.cost import counted_flops
from rosearch.tokens import encode

if TYPE_CHECKING:
    from rosearch.space.draft import Draft
    from rosearch.space.genome import Genome
    from rosearch.space.nodes import Node, Parameters


@dataclass(frozen=True)
class Task:
    """What a student's cost depends on beside its genome.

    The defaults are those of a student for an uncased English BERT and two classes.

    Args:
        vocabulary: Tokens of the tokenizer, which students share with their teacher.
        positions: Longest text in tokens.
        types: Token types (segments).
        classes: Number of classes.
        reference_parameters: Parameters of the teacher, which compression refers to.
        length: Tokens of the text that FLOPs and latency are for.

    Raises:
        SpaceError: A size is no whole number from 1.
    """

    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    classes: int = 2
    reference_parameters: int | None = None
    length: int = 32

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            optional = name == "reference_parameters" and value is None
            if not optional and (not isinstance(value, int) or value < 1):
                raise SpaceError(f"{name}={value!r} of a Task: expected a whole number from 1.")

    @classmethod
    def of(cls, teacher: Any, *, length: int = 32) -> Task:
        """The sizes of a teacher's students, as :class:`rosearch.Distiller` gives them.

        Args:
            teacher: A :class:`rosearch.Teacher`, or what has its ``embedding``, ``max_length``,
                ``num_labels``, ``parameters`` and ``tokenizer``. A Task or a mapping with a Task's
                fields is taken as it is, with its own length.
            length: Tokens of the text that FLOPs and latency are for.

        Raises:
            SpaceError: It is none of these.
        """
        if isinstance(teacher, Task):
            return teacher
        try:
            if isinstance(teacher, Mapping):
                return cls(**teacher)
            (row,) = encode(teacher.tokenizer, ["a"], max_length=teacher.max_length)
            return cls(
                vocabulary=len(teacher.embedding.tokens),
                positions=teacher.max_length,
                types=max(2, len(teacher.embedding.types), max(row.types or (0,)) + 1),
                classes=teacher.num_labels,
                reference_parameters=teacher.parameters,
                length=length,
            )
        except (AttributeError, TypeError) as error:
            raise SpaceError(
                f"Expected a Teacher or a Task, got {teacher!r:.80} ({error}). Pass "
                f"teacher=TEACHER or teacher=rosearch.space.Task(...)."
            ) from error


@dataclass(frozen=True)
class Cost:
    """What a part, or a whole student, costs."""

    parameters: int
    flops: int
    """Of one forward pass over one text of the task's length; a multiplication and an addition are
    two."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.flops + other.flops)


Part = tuple[Any, ...]
"""One part of a student: its kind, and what its cost depends on beside the task. A
:class:`LatencyTable` knows the parts by the same values."""


def parts(item: Genome | Draft, outputs: Iterable[int]) -> Iterator[Part]:
    """The parts of the student of a genome or draft whose output reads ``outputs``."""
    width, source = item.width, item.embedding
    yield "embedding", source.operator, source.parameters, item.embedding_width, width
    yield "output", width
    for node in item.nodes:
        yield "node", node.operator, node.parameters, width
        yield from extras(node, width)
    for _ in outputs:
        yield "pool", item.pooling, width


def extras(node: Node, width: int) -> Iterator[Part]:
    """The parts of a node beside its operator and norm."""
    if len(node.inputs) > 1:
        yield "merge", node.merge, len(node.inputs), width
    if node.residual:
        yield "gain", width


def genome_cost(genome: Genome, task: Task | None = None) -> Cost:
    """Parameters and FLOPs of the genome's student.

    Args:
        genome: The architecture.
        task: Sizes that do not depend on the genome; those of :class:`Task` by default.
    """
    task = task or Task()
    total = Cost(0, 0)
    for part in parts(genome, genome.outputs):
        total += Cost(part_parameters(part, task), part_flops(part, task))
    return total


def part_parameters(part: Part, task: Task) -> int:
    """Parameters of a part. FLOPs take a hundred times as long to measure."""
    kind, *details = part
    if kind == "node":
        name, parameters, width = details
        operator: type[ops.Operator] = ops.require(name, ops.Operator)
        return _node_parameters(operator, parameters, width)
    if kind == "embedding":
        return _embedding_parameters(*_input(details), task)
    return _small_cost(part, task).parameters


def part_flops(part: Part, task: Task) -> int:
    """FLOPs of a part for one text of the task's length."""
    kind, *details = part
    if kind == "node":
        name, parameters, width = details
        cost = operator_cost(name, width, length=task.length, **parameters)
        return round(cost.flops_per_token * task.length)
    if kind == "embedding":
        operator, parameters, inner, width = _input(details)
        if operator.forward is ops.EmbeddingOperator.forward:
            # What stands for a token does not depend on the width; the projection does.
            projection = 2 * task.length * inner * width
            return _vectors_flops(operator, parameters, inner, task.length) + projection
        return _embedding_flops(operator, parameters, inner, width, task)
    return _small_cost(part, task).flops


# By class, not by name, what is remembered: a plug-in may be registered again with another class.
@cache
def _node_parameters(
    operator: type[ops.Operator], parameters: Mapping[str, Value], width: int
) -> int:
    return _size(lambda: operator(width, **parameters)) + 2 * width  # with its norm


@cache
def _small_cost(part: Part, task: Task) -> Cost:
    """Of a part that no plug-in makes."""
    kind, *details = part
    if kind == "gain":
        return Cost(details[0], 0)
    width, length = details[-1], task.length
    with torch.device("meta"):
        hidden = torch.empty(1, length, width)
        if kind == "merge":
            merge, inputs = details[0], details[1]
            module: nn.Module = ops.Merge(merge, width=width, inputs=inputs)
            given: tuple[Any, ...] = ([hidden.clone() for _ in range(inputs)],)
        elif kind == "pool":
            module = ops.Pool(details[0], width=width)
            given = hidden, torch.ones(1, length, dtype=torch.bool)
        else:  # the output: the last norm and the classifier
            module = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, task.classes))
            given = (hidden[:, 0],)
    return Cost(_count(module), _flops(module, lambda: module(*given)))


def _input(details: Sequence[Any]) -> tuple[type[ops.EmbeddingOperator], Parameters, int, int]:
    name, parameters, inner, width = details
    return ops.require(name, ops.EmbeddingOperator), parameters, inner, width


@cache
def _embedding_parameters(
    operator: type[ops.EmbeddingOperator],
    parameters: Parameters,
    inner: int,
    width: int,
    task: Task,
) -> int:
    return _size(lambda: operator(_shape(inner, width, task), **parameters))


@cache
def _vectors_flops(
    operator: type[ops.EmbeddingOperator], parameters: Parameters, inner: int, length: int
) -> int:
    # A few real rows are looked up as a whole vocabulary is, and ten times as quickly as on the
    # meta device, where every element-wise operation is taken apart in Python.
    module = operator(_shape(inner, 8, Task(vocabulary=8, positions=length)), **parameters)
    ids = torch.ones(1, length, dtype=torch.long)
    return _flops(module, lambda: module.vectors(ids, ids.bool()))


@cache
def _embedding_flops(
    operator: type[ops.EmbeddingOperator],
    parameters: Parameters,
    inner: int,
    width: int,
    task: Task,
) -> int:
    with torch.device("meta"):
        module = operator(_shape(inner, width, task), **parameters)
        ids = torch.ones(1, task.length, dtype=torch.long)
        mask = torch.ones(1, task.length, dtype=torch.bool)
    return _flops(module, lambda: module(ids, mask, None))


def _shape(inner: int, width: int, task: Task) -> ops.InputShape:
    return ops.InputShape(
        vocabulary=task.vocabulary,
        positions=task.positions,
        types=task.types,
        inner=inner,
        width=width,
        padding=0,
    )


class _ShapesOnly(TorchFunctionMode):
    """Leaves out the drawing of first values, which is most of the time on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _size(make: Callable[[], nn.Module]) -> int:
    with torch.device("meta"), _ShapesOnly():
        return _count(make())


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _flops(module: nn.Module, run: Callable[[], object]) -> int:
    module.eval()
    return counted_flops(run)
