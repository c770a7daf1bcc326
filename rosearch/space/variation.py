"""Random moves in a search space: sample, mutate, recombine.

Every move works on nodes in topological order and ends in :func:`_finish`, which lets the output
read whatever no node reads. So each result is a valid genome by construction, and nothing is
drawn and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rosearch.errors import SpaceError
from rosearch.space.genome import Embedding, Genome, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rosearch.space.search_space import SearchSpace

T = TypeVar("T")


@dataclass
class _Draft:
    """A genome under change: nodes in topological order, numbered from 1 as in a genome."""

    width: int
    embedding_width: int
    pooling: str
    embedding: Embedding
    nodes: list[Node]
    outputs: set[int]

    @classmethod
    def of(cls, genome: Genome) -> _Draft:
        genome = genome.ordered()
        return cls(
            genome.width,
            genome.embedding_width,
            genome.pooling,
            genome.embedding,
            [
                replace(node, identity=identity)
                for node, identity in zip(genome.nodes, genome.identities, strict=True)
            ],
            set(genome.outputs),
        )


def _finish(draft: _Draft) -> Genome:
    read = {i for node in draft.nodes for i in node.inputs}
    loose = {number for number in range(1, len(draft.nodes) + 1) if number not in read}
    return Genome(
        width=draft.width,
        embedding_width=draft.embedding_width,
        pooling=draft.pooling,
        embedding=draft.embedding,
        nodes=tuple(draft.nodes),
        outputs=tuple(draft.outputs | loose) or (0,),
    )


def sample(space: SearchSpace, rng: np.random.Generator) -> Genome:
    """A random genome: a chain with random detours, so that deep and wide graphs both occur."""
    width = _pick(rng, space.widths)
    draft = _Draft(
        width=width,
        embedding_width=_pick(rng, space.embedding_widths),
        pooling=_pick(rng, space.poolings),
        embedding=_random_embedding(space, rng, width),
        nodes=[],
        outputs=set(),
    )
    for number in range(1, int(rng.integers(space.nodes[0], space.nodes[1] + 1)) + 1):
        draft.nodes.append(_random_node(space, rng, width, number))
    return _finish(draft)


def crossover(space: SearchSpace, a: Genome, b: Genome, rng: np.random.Generator) -> Genome:
    """One-point crossover of the node sequences; the other genes come from either parent."""
    first, second = _Draft.of(a), _Draft.of(b)
    low, high = space.nodes
    head = int(rng.integers(0, len(first.nodes) + 1))
    # The tail is as long as the space allows, and long enough for its smallest number of nodes.
    shortest = max(0, low - head)
    longest = min(len(second.nodes), high - head)
    if shortest > longest:
        head, shortest, longest = len(first.nodes), 0, 0
    tail = int(rng.integers(shortest, longest + 1))
    cut = len(second.nodes) - tail
    width = _pick(rng, (first.width, second.width))
    draft = _Draft(
        width,
        _pick(rng, (first.embedding_width, second.embedding_width)),
        _pick(rng, (first.pooling, second.pooling)),
        _fit_embedding(space, rng, _pick(rng, (first.embedding, second.embedding)), width),
        first.nodes[:head],
        {i for i in first.outputs if i <= head},
    )
    for node in second.nodes[cut:]:
        # What the tail read in its old place it now reads at a random place of the new head.
        inputs = {
            i - cut + head if i > cut else int(rng.integers(0, head + 1)) for i in node.inputs
        }
        draft.nodes.append(replace(node, inputs=tuple(inputs)))
    draft.outputs |= {i - cut + head for i in second.outputs if i > cut}
    # Relatives may give the same node twice; the first keeps its identity.
    taken = {node.identity for node in draft.nodes[:head]}
    for k, node in enumerate(draft.nodes[head:], start=head):
        if node.identity in taken:
            draft.nodes[k] = replace(node, identity=_identity(rng))
    draft.nodes = [_fit(space, rng, node, width) for node in draft.nodes]
    return _finish(draft)


def mutate(
    space: SearchSpace, genome: Genome, rng: np.random.Generator, kind: str | None
) -> Genome:
    """One change of the given or a random kind, to a genome of the space with another key."""
    if kind is not None and kind not in MUTATIONS:
        raise SpaceError(f"No mutation is called {kind!r}; known: {', '.join(MUTATIONS)}.")
    kinds = [kind] if kind else [list(MUTATIONS)[i] for i in rng.permutation(len(MUTATIONS))]
    for name in kinds:
        # A kind may draw a change that another numbering undoes; a few draws tell that apart from
        # a kind that has no neighbour here.
        for _ in range(8):
            draft = _Draft.of(genome)
            if not MUTATIONS[name](space, draft, rng):
                break
            child = _finish(draft)
            if child.key != genome.key and child in space:
                return child
    wanted = f"by {kind}" if kind else "by any mutation"
    raise SpaceError(
        f"Genome {genome.key} has no neighbour {wanted} in this space; widen the space."
    )


def _random_node(space: SearchSpace, rng: np.random.Generator, width: int, number: int) -> Node:
    count = min(1 + int(rng.geometric(0.6) - 1), space.max_inputs, number)
    near = number - 1 if rng.random() < 0.7 else int(rng.integers(0, number))
    others = [i for i in range(number) if i != near]
    inputs = (near, *rng.choice(others, size=count - 1, replace=False)) if count > 1 else (near,)
    operator, parameters = _random_operator(space, rng, width)
    return Node(
        operator,
        parameters,
        inputs=tuple(int(i) for i in inputs),
        merge=_pick(rng, space.merges),
        residual=bool(rng.random() < 0.5),
        identity=_identity(rng),
    )


def _identity(rng: np.random.Generator) -> str:
    """A new one: 48 random bits, so that lines of descent which never met do not share any."""
    return f"{int(rng.integers(2**48)):012x}"


def _random_embedding(space: SearchSpace, rng: np.random.Generator, width: int) -> Embedding:
    name = _pick(rng, [n for n in space.embeddings if space.fitting(n, width)])
    return Embedding(name, _pick(rng, space.fitting(name, width)))


def _fit_embedding(
    space: SearchSpace, rng: np.random.Generator, source: Embedding, width: int
) -> Embedding:
    fitting = space.fitting(source.operator, width)
    if dict(source.parameters) in fitting:
        return source
    if fitting:
        return Embedding(source.operator, _pick(rng, fitting))
    return _random_embedding(space, rng, width)


def _random_operator(
    space: SearchSpace, rng: np.random.Generator, width: int, *, other_than: str | None = None
) -> tuple[str, dict[str, Any]]:
    names = [n for n in space.operators if space.fitting(n, width) and n != other_than]
    name = _pick(rng, names)
    return name, _pick(rng, space.fitting(name, width))


def _fit(space: SearchSpace, rng: np.random.Generator, node: Node, width: int) -> Node:
    """The node, with other parameters or another operator where it does not fit the width."""
    fitting = space.fitting(node.operator, width)
    if dict(node.parameters) in fitting:
        return node
    if fitting:
        return replace(node, parameters=_pick(rng, fitting))
    operator, parameters = _random_operator(space, rng, width)
    return replace(node, operator=operator, parameters=parameters)


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    # rng.choice would turn the options into numpy values.
    return options[int(rng.integers(len(options)))]


def _place(rng: np.random.Generator, draft: _Draft) -> int | None:
    return int(rng.integers(len(draft.nodes))) if draft.nodes else None


def _change_operator(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    k = _place(rng, draft)
    if k is None:
        return False
    node = draft.nodes[k]
    if not any(n != node.operator and space.fitting(n, draft.width) for n in space.operators):
        return False
    operator, parameters = _random_operator(space, rng, draft.width, other_than=node.operator)
    draft.nodes[k] = replace(node, operator=operator, parameters=parameters)
    return True


def _change_parameter(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    moves = []
    for k, node in enumerate(draft.nodes):
        moves += [
            (k, values)
            for values in space.fitting(node.operator, draft.width)
            if sum(values[name] != value for name, value in node.parameters.items()) == 1
        ]
    if not moves:
        return False
    k, values = _pick(rng, moves)
    draft.nodes[k] = replace(draft.nodes[k], parameters=values)
    return True


def _insert(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    """Split an edge: the new node reads its start, and its end reads the new node.

    It has a residual, so that a student which inherits weights can start it as the identity.
    """
    if len(draft.nodes) >= space.nodes[1]:
        return False
    edges = [(i, k) for k, node in enumerate(draft.nodes, start=1) for i in node.inputs]
    output = len(draft.nodes) + 1
    edges += [(i, output) for i in sorted(draft.outputs)]
    start, end = _pick(rng, edges)
    new = start + 1

    def shift(i: int) -> int:
        return i + 1 if i >= new else i

    operator, parameters = _random_operator(space, rng, draft.width)
    node = Node(
        operator,
        parameters,
        inputs=(start,),
        merge=space.merges[0],
        residual=True,
        identity=_identity(rng),
    )
    nodes = []
    for k, old in enumerate(draft.nodes, start=1):
        moved = [new if (i, k) == (start, end) else shift(i) for i in old.inputs]
        nodes.append(replace(old, inputs=tuple(moved)))
    nodes.insert(new - 1, node)
    outputs = {shift(i) for i in draft.outputs if (i, output) != (start, end)}
    draft.nodes, draft.outputs = nodes, outputs | ({new} if end == output else set())
    return True


def _remove(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    """Take a node out; what read it reads its inputs instead, as many as are allowed."""
    if len(draft.nodes) <= space.nodes[0] or not draft.nodes:
        return False
    gone = int(rng.integers(len(draft.nodes))) + 1
    heirs = draft.nodes[gone - 1].inputs

    def shift(i: int) -> int:
        return i - 1 if i > gone else i

    nodes = []
    for k, old in enumerate(draft.nodes, start=1):
        if k == gone:
            continue
        inputs = set(old.inputs) - {gone}
        if gone in old.inputs:
            new = [i for i in heirs if i not in inputs]
            room = space.max_inputs - len(inputs)
            inputs |= {int(i) for i in rng.permutation(new)[:room]}
        nodes.append(replace(old, inputs=tuple(shift(i) for i in inputs)))
    outputs = draft.outputs - {gone}
    if gone in draft.outputs and not outputs:
        outputs = set(heirs)
    draft.nodes, draft.outputs = nodes, {shift(i) for i in outputs}
    return True


def _rewire(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    """Let a node, or the output, gain, lose or swap one input."""
    target = int(rng.integers(len(draft.nodes) + 1))
    is_output = target == len(draft.nodes)
    inputs = set(draft.outputs if is_output else draft.nodes[target].inputs)
    free = [i for i in range(target + 1) if i not in inputs]
    room = is_output or len(inputs) < space.max_inputs
    moves = ["gain"] * bool(free and room) + ["lose"] * (len(inputs) > 1) + ["swap"] * bool(free)
    if not moves:
        return bool(draft.nodes)  # another draw may hit another target
    move = _pick(rng, moves)
    if move in ("lose", "swap"):
        inputs.discard(_pick(rng, sorted(inputs)))
    if move in ("gain", "swap"):
        inputs.add(_pick(rng, free))
    if is_output:
        draft.outputs = inputs
    else:
        node = draft.nodes[target]
        merge = node.merge if node.merge in space.merges else _pick(rng, space.merges)
        draft.nodes[target] = replace(node, inputs=tuple(inputs), merge=merge)
    return True


def _toggle_residual(_: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    k = _place(rng, draft)
    if k is None:
        return False
    draft.nodes[k] = replace(draft.nodes[k], residual=not draft.nodes[k].residual)
    return True


def _change_merge(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    moves = [
        (k, merge)
        for k, node in enumerate(draft.nodes)
        for merge in space.merges
        if len(node.inputs) > 1 and merge != node.merge
    ]
    if not moves:
        return False
    k, merge = _pick(rng, moves)
    draft.nodes[k] = replace(draft.nodes[k], merge=merge)
    return True


def _change_width(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    others = [w for w in space.widths if w != draft.width]
    if not others:
        return False
    draft.width = _pick(rng, others)
    draft.nodes = [_fit(space, rng, node, draft.width) for node in draft.nodes]
    draft.embedding = _fit_embedding(space, rng, draft.embedding, draft.width)
    return True


def _change_embedding_width(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    others = [w for w in space.embedding_widths if w != draft.embedding_width]
    if not others:
        return False
    draft.embedding_width = _pick(rng, others)
    return True


def _change_embedding(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    others = [
        Embedding(name, values)
        for name in space.embeddings
        for values in space.fitting(name, draft.width)
    ]
    others = [other for other in others if other != draft.embedding]
    if not others:
        return False
    draft.embedding = _pick(rng, others)
    return True


def _change_pooling(space: SearchSpace, draft: _Draft, rng: np.random.Generator) -> bool:
    others = [p for p in space.poolings if p != draft.pooling]
    if not others:
        return False
    draft.pooling = _pick(rng, others)
    return True


MUTATIONS: dict[str, Callable[[SearchSpace, _Draft, np.random.Generator], bool]] = {
    "change_operator": _change_operator,
    "change_parameter": _change_parameter,
    "insert": _insert,
    "remove": _remove,
    "rewire": _rewire,
    "toggle_residual": _toggle_residual,
    "change_merge": _change_merge,
    "change_width": _change_width,
    "change_embedding_width": _change_embedding_width,
    "change_embedding": _change_embedding,
    "change_pooling": _change_pooling,
}
"""The kinds of mutation by name; each changes a draft and tells whether it could."""
