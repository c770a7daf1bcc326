"""What a genome's student costs, as a sum over its parts: no module is built for a genome.

Each kind of part is measured once on torch's meta device, which gives it no memory, and
remembered: parameters and the FLOPs that torch's counter counts. The sum is exactly what
:func:`rosearch.student.student_cost` measures on the whole student.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from rosearch import operators as ops
from rosearch.encoding import encode
from rosearch.errors import SpaceError
from rosearch.operators.base import Value
from rosearch.operators.cost import cost as operator_cost
from rosearch.operators.cost import counted_flops

if TYPE_CHECKING:
    from rosearch.space.genome import Genome
    from rosearch.space.nodes import Embedding


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


def genome_cost(genome: Genome, task: Task | None = None) -> Cost:
    """Parameters and FLOPs of the genome's student.

    Args:
        genome: The architecture.
        task: Sizes that do not depend on the genome; those of :class:`Task` by default.
    """
    task = task or Task()
    width, length = genome.width, task.length
    total = embedding_cost(genome.embedding, genome.embedding_width, width, task)
    total += output_cost(width, task)
    for node in genome.nodes:
        total += node_cost(node.operator, node.parameters, width, length)
        if len(node.inputs) > 1:
            total += merge_cost(node.merge, len(node.inputs), width, length)
        if node.residual:
            total += gain_cost(width)
    pool = pool_cost(genome.pooling, width, length)
    for _ in genome.outputs:
        total += pool
    return total


def node_cost(name: str, parameters: Mapping[str, Value], width: int, length: int) -> Cost:
    """Of a node without residual that reads one input: its operator and its norm."""
    flops = node_flops(name, parameters, width, length)
    return Cost(node_parameters(name, parameters, width), flops)


@cache
def node_parameters(name: str, parameters: Mapping[str, Value], width: int) -> int:
    """Of the operator and its norm. FLOPs take a hundred times as long to measure."""
    return _size(lambda: ops.require(name, ops.Operator)(width, **parameters)) + 2 * width


def node_flops(name: str, parameters: Mapping[str, Value], width: int, length: int) -> int:
    """Of the operator, for a text of ``length`` tokens."""
    return round(operator_cost(name, width, length=length, **parameters).flops_per_token * length)


@cache
def merge_cost(kind: str, inputs: int, width: int, length: int) -> Cost:
    """Of joining several inputs."""
    with torch.device("meta"):
        merge = ops.Merge(kind, width=width, inputs=inputs)
        states = [torch.empty(1, length, width) for _ in range(inputs)]
    return Cost(_count(merge), _flops(merge, lambda: merge(states)))


def gain_cost(width: int) -> Cost:
    """Of a residual: its gain for each channel."""
    return Cost(width, 0)


@cache
def pool_cost(kind: str, width: int, length: int) -> Cost:
    """Of pooling one output node."""
    with torch.device("meta"):
        pool = ops.Pool(kind, width=width)
        hidden = torch.empty(1, length, width)
        mask = torch.ones(1, length, dtype=torch.bool)
    return Cost(_count(pool), _flops(pool, lambda: pool(hidden, mask)))


@cache
def output_cost(width: int, task: Task) -> Cost:
    """Of the last norm and the classifier."""
    with torch.device("meta"):
        head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, task.classes))
        pooled = torch.empty(1, width)
    return Cost(_count(head), _flops(head, lambda: head(pooled)))


def embedding_cost(source: Embedding, inner: int, width: int, task: Task) -> Cost:
    """Of the input, with the parameters that are its operator's own."""
    parameters = embedding_parameters(source, inner, width, task)
    return Cost(parameters, embedding_flops(source, inner, width, task))


@cache
def embedding_parameters(source: Embedding, inner: int, width: int, task: Task) -> int:
    """Of the input."""
    return _size(lambda: _embedding(source, inner, width, task))


def embedding_flops(source: Embedding, inner: int, width: int, task: Task) -> int:
    """Of the input, for a text of the task's length."""
    kind = ops.require(source.operator, ops.EmbeddingOperator)
    if kind.forward is ops.EmbeddingOperator.forward:
        # What stands for a token does not depend on the width; the projection does.
        return _vectors_flops(source, inner, task.length) + 2 * task.length * inner * width
    return _embedding_flops(source, inner, width, task)


@cache
def _vectors_flops(source: Embedding, inner: int, length: int) -> int:
    # A few real rows are looked up as a whole vocabulary is, and ten times as quickly as on the
    # meta device, where every element-wise operation is taken apart in Python.
    operator = _embedding(source, inner, 8, Task(vocabulary=8, positions=length))
    ids = torch.ones(1, length, dtype=torch.long)
    return _flops(operator, lambda: operator.vectors(ids, ids.bool()))


@cache
def _embedding_flops(source: Embedding, inner: int, width: int, task: Task) -> int:
    with torch.device("meta"):
        operator = _embedding(source, inner, width, task)
        ids = torch.ones(1, task.length, dtype=torch.long)
        mask = torch.ones(1, task.length, dtype=torch.bool)
    return _flops(operator, lambda: operator(ids, mask, None))


def _embedding(source: Embedding, inner: int, width: int, task: Task) -> ops.EmbeddingOperator:
    shape = ops.InputShape(
        vocabulary=task.vocabulary,
        positions=task.positions,
        types=task.types,
        inner=inner,
        width=width,
        padding=0,
    )
    made: ops.EmbeddingOperator = ops.require(source.operator, ops.EmbeddingOperator)(
        shape, **source.parameters
    )
    return made


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
