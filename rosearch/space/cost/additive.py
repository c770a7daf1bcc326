"""The cost of a genome's student as a sum over its parts, without building the student.

Each kind of part is measured once on torch's meta device, which allocates no memory, and cached:
parameters, and FLOPs by torch's counter. The sum is exactly what
:func:`rosearch.student.student_cost` measures on the whole student.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from rosearch import operators as ops
from rosearch.checks import refused, whole_number
from rosearch.operators.cost import cost as operator_cost
from rosearch.operators.cost import counted_flops
from rosearch.parameters import Parameters
from rosearch.space.genome import Genome
from rosearch.space.nodes import Node
from rosearch.tokens import positions_for, tokenize


@dataclass(frozen=True)
class Task:
    """The sizes that a student's cost depends on besides its genome.

    The defaults are for a student of an uncased English BERT with two classes.

    Args:
        vocabulary: Tokens of the tokenizer, which students share with their teacher.
        positions: Maximum length of a text in tokens; :class:`rosearch.Distiller` fits it to the
            texts, see there.
        types: Token types (segments).
        classes: Number of classes.
        reference_parameters: Parameters of the teacher, for compression.
        length: Tokens of the text that FLOPs and latency are for.

    Raises:
        ArgumentError: A size is not a whole number from 1.
    """

    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    classes: int = 2
    reference_parameters: int | None = None
    length: int = 32

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "reference_parameters" or value is not None:
                whole_number(name, value)

    @classmethod
    def of(cls, teacher: Any, *, length: int = 32) -> Task:
        """Return the sizes of a teacher's students, as :class:`rosearch.Distiller` makes them.

        Args:
            teacher: A :class:`rosearch.Distiller`, which knows the texts, or a
                :class:`rosearch.Teacher`, whose students are taken to read short ones: an object
                with its ``embedding``, ``max_length``, ``num_labels``, ``parameters`` and
                ``tokenizer``. A Task, or a mapping with a Task's fields, is returned with its own
                length.
            length: Tokens of the text that FLOPs and latency are for.

        Raises:
            ArgumentError: ``teacher`` is none of these.
        """
        if isinstance(teacher, Task):
            return teacher
        given = teacher
        try:
            if isinstance(teacher, Mapping):
                return cls(**teacher)
            positions = getattr(teacher, "positions", None)
            teacher = getattr(teacher, "teacher", teacher)
            embedding = teacher.embedding
            (row,) = tokenize(teacher.tokenizer, ["a"], max_length=teacher.max_length)
            return cls(
                vocabulary=len(embedding.tokens),
                positions=positions or positions_for(0, limit=teacher.max_length),
                types=max(2, len(embedding.types), max(row.types or (0,)) + 1),
                classes=teacher.num_labels,
                reference_parameters=teacher.parameters,
                length=length,
            )
        except (AttributeError, TypeError) as error:
            raise refused("teacher", "a Teacher or a rosearch.space.Task", given) from error


@dataclass(frozen=True)
class Cost:
    """The cost of a student."""

    parameters: int
    flops: int
    """Of one forward pass over one text of the task's length; a multiplication and an addition
    count as two."""


Part = tuple[Any, ...]
"""One part of a student: its kind, and everything its cost depends on besides the task, the width
last. A :class:`LatencyTable` names the parts by the same values."""


def parts(genome: Genome) -> Iterator[Part]:
    """Yield the parts of a genome's student."""
    width, embedding = genome.width, genome.embedding
    if genome.bound is not None:
        yield ("scores", "scopes", width) if genome.scopes else ("scores", width)
    if genome.bound == 0:
        return
    yield "embedding", embedding.operator, embedding.parameters, genome.embedding_width, width
    yield "output", width
    for node in genome.nodes:
        yield "node", node.operator, node.parameters, width
        yield from extra_parts(node, width)
    for _ in genome.outputs:
        yield "pool", genome.pooling, width


def extra_parts(node: Node, width: int) -> Iterator[Part]:
    """Yield the parts of a node besides its operator and norm."""
    if len(node.inputs) > 1:
        yield "merge", node.merge, len(node.inputs), width
    if node.residual:
        yield "gain", width


def genome_cost(genome: Genome, task: Task | None = None) -> Cost:
    """Return the parameters and FLOPs of a genome's student.

    Args:
        genome: The architecture.
        task: Sizes that do not depend on the genome; the defaults of :class:`Task` if omitted.
    """
    task = task or Task()
    used = list(parts(genome))
    return Cost(
        parameters=sum(part_parameters(part, task) for part in used),
        flops=sum(part_flops(part, task) for part in used),
    )


def part_parameters(part: Part, task: Task) -> int:
    """Return the parameters of a part, a hundred times as fast as its FLOPs."""
    return _parameters(part, task, _operator_class(part))


def part_flops(part: Part, task: Task) -> int:
    """Return the FLOPs of a part for one text of the task's length."""
    kind, *details, width = part
    operator = _operator_class(part)
    if kind == "node":
        name, parameters = details
        cost = operator_cost(name, width, length=task.length, **parameters)
        return round(cost.flops_per_token * task.length)
    if kind == "embedding" and operator.forward is ops.EmbeddingOperator.forward:
        # The vectors do not depend on the width; their projection does.
        _, parameters, inner = details
        projection: int = 2 * task.length * inner * width
        return _vectors_flops(operator, parameters, inner, task.length) + projection
    return _flops(part, task, operator)


def build_part(part: Part, task: Task) -> tuple[Callable[..., object], tuple[Any, ...]]:
    """Return a callable that computes a part, and its inputs, on torch's default device."""
    kind, *details, width = part
    hidden = torch.ones(1, task.length, width)
    mask = torch.ones(1, task.length, dtype=torch.bool)
    if kind == "node":
        operator = _operator_class(part)(width, **details[1])
        return _NormalizedOperator(width, operator), (hidden, mask)
    if kind == "merge":
        merge, inputs = details
        return ops.Merge(merge, width=width, inputs=inputs), ([hidden] * inputs,)
    if kind == "gain":
        return torch.addcmul, (hidden, hidden, torch.ones(width))
    if kind == "pool":
        return ops.Pool(details[0], width=width), (hidden, mask)
    if kind == "scores":
        ids = torch.ones(1, task.length, dtype=torch.long)
        cues = () if details else None
        scores = ops.TokenScores(task.vocabulary, task.classes, padding=0, cues=cues)
        return scores, (ids, mask)
    if kind == "output":
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, task.classes)), (hidden[:, 0],)
    _, parameters, inner = details
    shape = ops.InputShape(task.vocabulary, task.positions, task.types, inner, width, padding=0)
    ids = torch.ones(1, task.length, dtype=torch.long)
    return _operator_class(part)(shape, **parameters), (ids, mask, None)


def _operator_class(part: Part) -> Any:
    # Caches have it in their keys: a plug-in may be registered again with another class.
    return ops.get(part[1]) if part[0] in ("node", "embedding") else None


@cache
def _parameters(part: Part, task: Task, _operator: Any) -> int:
    if part[0] == "gain":
        return int(part[1])
    with torch.device("meta"), _SkipInitialization():
        module: Any = build_part(part, task)[0]
    return int(sum(p.numel() for p in module.parameters()))


@cache
def _flops(part: Part, task: Task, _operator: Any) -> int:
    with torch.device("meta"):
        run, inputs = build_part(part, task)
    if isinstance(run, nn.Module):
        run.eval()
    return counted_flops(lambda: run(*inputs))


@cache
def _vectors_flops(
    operator: type[ops.EmbeddingOperator], parameters: Parameters, inner: int, length: int
) -> int:
    # On the CPU with a small table: the meta device is ten times as slow, since it decomposes every
    # element-wise operation in Python.
    shape = ops.InputShape(8, length, 2, inner, 8, padding=0)
    module = operator(shape, **parameters).eval()
    ids = torch.ones(1, length, dtype=torch.long)
    return counted_flops(lambda: module.vectors(ids, ids.bool()))


class _NormalizedOperator(nn.Module):
    def __init__(self, width: int, operator: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.operator = operator

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> object:
        return self.operator(self.norm(hidden), mask)


class _SkipInitialization(TorchFunctionMode):
    """Skips random initialisation, which is most of the time on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))
