"""The kinds of mutation: each lists what it can make of a draft, in random order.

A kind draws what it changes step by step (the node, then the operator, then its parameters), each
in random order, and yields drafts until it is asked for no more. So the first draft that the caller
accepts is drawn step by step among those that have an acceptable outcome, and a kind that ends has
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rosearch.space.draft import Draft
from rosearch.space.nodes import Embedding, Node
from rosearch.space.rng import Draws
from rosearch.space.sampling import fit_embedding, fit_node

if TYPE_CHECKING:
    from rosearch.space.search_space import SearchSpace

Mutation = Callable[["SearchSpace", Draft, Draws], Iterator[Draft]]


def _change_operator(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    for k in draws.shuffled(range(len(draft.nodes))):
        node = draft.nodes[k]
        for name in draws.shuffled(space.operators_at(draft.width)):
            if name == node.operator:
                continue
            for values in draws.shuffled(space.fitting(name, draft.width)):
                yield draft.with_node(k, node.changed(operator=name, parameters=values))


def _change_parameter(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    moves = [
        (k, values)
        for k, node in enumerate(draft.nodes)
        for values in space.neighbours(node.operator, node.parameters, draft.width)
    ]
    for k, values in draws.shuffled(moves):
        yield draft.with_node(k, draft.nodes[k].changed(parameters=values))


def _insert(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    """Split an edge: the new node reads its start, and its end reads the new node.

    It has a residual, so that a student which inherits weights can start it as the identity.
    """
    if len(draft.nodes) >= space.nodes[1]:
        return
    output = len(draft.nodes) + 1
    edges = [(i, k) for k, node in enumerate(draft.nodes, start=1) for i in node.inputs]
    edges += [(i, output) for i in draft.read()]
    for name in draws.shuffled(space.operators_at(draft.width)):
        for values in draws.shuffled(space.fitting(name, draft.width)):
            for start, end in draws.shuffled(edges):
                node = Node.unchecked(
                    name, values, (start,), space.merges[0], True, draws.identity()
                )
                yield _split(draft, start, end, node)


def _split(draft: Draft, start: int, end: int, node: Node) -> Draft:
    new, output = start + 1, len(draft.nodes) + 1

    def shift(i: int) -> int:
        return i + 1 if i >= new else i

    nodes = []
    for k, old in enumerate(draft.nodes, start=1):
        if old.inputs[-1] >= new or k == end:
            inputs = [new if (i, k) == (start, end) else shift(i) for i in old.inputs]
            old = old.changed(inputs=tuple(sorted(inputs)))
        nodes.append(old)
    nodes.insert(new - 1, node)
    outputs = {shift(i) for i in draft.read() if (i, output) != (start, end)}
    return draft.but(nodes=nodes, outputs=outputs | ({new} if end == output else set()))


def _remove(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    """Take a node out; what read it reads its inputs instead, as many as are allowed."""
    if len(draft.nodes) <= space.nodes[0]:
        return
    for k in draws.shuffled(range(len(draft.nodes))):
        yield without(space, draft, k, draws)


def without(space: SearchSpace, draft: Draft, k: int, draws: Draws) -> Draft:
    """The draft without ``nodes[k]``, whose readers read its inputs instead."""
    gone = k + 1
    heirs = draft.nodes[k].inputs

    def shift(i: int) -> int:
        return i - 1 if i > gone else i

    nodes = []
    for number, old in enumerate(draft.nodes, start=1):
        if number == gone:
            continue
        inputs = set(old.inputs)
        if gone in inputs:
            inputs.discard(gone)
            new = [i for i in heirs if i not in inputs]
            inputs.update(draws.shuffled(new)[: space.max_inputs - len(inputs)])
        nodes.append(_reading(space, draws, old, {shift(i) for i in inputs}))
    outputs = set(draft.outputs) - {gone}
    if gone in draft.outputs and not outputs:
        outputs = set(heirs)
    return draft.but(nodes=nodes, outputs={shift(i) for i in outputs})


def _reading(space: SearchSpace, draws: Draws, node: Node, inputs: set[int]) -> Node:
    merge = node.merge
    if len(inputs) > 1 and merge not in space.merges:  # it had one input, where all are the same
        merge = draws.pick(space.merges)
    return node.changed(inputs=tuple(sorted(inputs)), merge=merge)


def _rewire(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    """Let a node, or the output, gain, lose or swap one input."""
    for target in draws.shuffled(range(len(draft.nodes) + 1)):
        is_output = target == len(draft.nodes)
        inputs = set(draft.read() if is_output else draft.nodes[target].inputs)
        free = [i for i in range(target + 1) if i not in inputs]
        room = is_output or len(inputs) < space.max_inputs
        kinds = (
            ["gain"] * bool(free and room) + ["lose"] * (len(inputs) > 1) + ["swap"] * bool(free)
        )
        for kind in draws.shuffled(kinds):
            for lost in [None] if kind == "gain" else draws.shuffled(sorted(inputs)):
                for gained in [None] if kind == "lose" else draws.shuffled(free):
                    changed = {i for i in (*inputs, gained) if i is not None and i != lost}
                    if is_output:
                        yield draft.but(outputs=changed)
                    else:
                        node = _reading(space, draws, draft.nodes[target], changed)
                        yield draft.with_node(target, node)


def _toggle_residual(_: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    for k in draws.shuffled(range(len(draft.nodes))):
        yield draft.with_node(k, draft.nodes[k].changed(residual=not draft.nodes[k].residual))


def _change_merge(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    moves = [
        (k, merge)
        for k, node in enumerate(draft.nodes)
        for merge in space.merges
        if len(node.inputs) > 1 and merge != node.merge
    ]
    for k, merge in draws.shuffled(moves):
        yield draft.with_node(k, draft.nodes[k].changed(merge=merge))


def _change_width(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    """Parts that do not fit the new width get other parameters, or another operator."""
    for width in draws.shuffled(w for w in space.widths if w != draft.width):
        yield draft.but(
            width=width,
            nodes=[fit_node(space, draws, node, width) for node in draft.nodes],
            embedding=fit_embedding(space, draws, draft.embedding, width),
        )


def _change_embedding_width(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    for width in draws.shuffled(w for w in space.embedding_widths if w != draft.embedding_width):
        yield draft.but(embedding_width=width)


def _change_embedding(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    others = [
        Embedding.unchecked(name, values)
        for name in space.embeddings
        for values in space.fitting(name, draft.width)
    ]
    for other in draws.shuffled(others):
        if other != draft.embedding:
            yield draft.but(embedding=other)


def _change_pooling(space: SearchSpace, draft: Draft, draws: Draws) -> Iterator[Draft]:
    for pooling in draws.shuffled(p for p in space.poolings if p != draft.pooling):
        yield draft.but(pooling=pooling)


MUTATIONS: dict[str, Mutation] = {
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
"""The kinds of mutation by name; each lists the drafts that it can make of one."""
