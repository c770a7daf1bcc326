"""Mutation. Each kind is a generator of changes of a draft in random order.

A kind draws what it changes step by step (the node, then the operator, then its parameters), each
in random order, and yields changes until no more are requested. So the first one that the caller
accepts is drawn step by step among those that have an acceptable outcome, and a kind that ends has
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from rosearch.checks import choice
from rosearch.errors import SpaceError
from rosearch.space.cost.limits import Limits
from rosearch.space.domain import Domain
from rosearch.space.draft import Change, Draft
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, TextEncoding, changed, unchecked
from rosearch.space.random_choices import RandomChoices

Mutation = Callable[[Domain, Draft, RandomChoices], Iterator[Change]]

_MAX_NEIGHBOURS = 2000
"""Neighbours of one kind that are tried."""

_ROUNDING = 1e-9
"""By how much costs that are added up in another order may be outside of the limits."""


def _change_operator(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    for k, node in rng.shuffled(enumerate(draft.nodes)):
        for name in rng.shuffled(domain.operators_at[draft.width]):
            if name == node.operator:
                continue
            for values in rng.shuffled(domain.fitting(name, draft.width)):
                yield Change.of_node(draft, k, changed(node, operator=name, parameters=values))


def _change_parameter(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    moves = [
        (k, values)
        for k, node in enumerate(draft.nodes)
        for values in domain.fitting(node.operator, draft.width)
        if sum(values[name] != value for name, value in node.parameters.items()) == 1
    ]
    for k, values in rng.shuffled(moves):
        yield Change.of_node(draft, k, changed(draft.nodes[k], parameters=values))


def _insert(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Split an edge: the new node reads its start, and its end reads the new node.

    The node has a residual, so that a student that inherits weights can start it as the identity.
    """
    return insert(domain, draft, rng, edges=None)


def insert(
    domain: Domain, draft: Draft, rng: RandomChoices, *, edges: int | None
) -> Iterator[Change]:
    """Insert each node at every edge, or at so many: its costs are the same at all of them."""
    if len(draft.nodes) >= domain.nodes[1]:
        return
    output = len(draft.nodes) + 1
    places = [(i, k) for k, node in enumerate(draft.nodes, start=1) for i in node.inputs]
    places += [(i, output) for i in draft.read_by_output()]
    for name in rng.shuffled(domain.operators_at[draft.width]):
        for values in rng.shuffled(domain.fitting(name, draft.width)):
            for start, end in rng.shuffled(places)[:edges]:
                merge, identity = domain.merges[0], rng.identity()
                node = unchecked(Node, name, values, (start,), merge, True, identity)
                yield Change(partial(_split, draft, start, end, node), new=node)


def _split(draft: Draft, start: int, end: int, node: Node) -> Draft:
    new = start + 1

    def inputs(reader: int, old: Iterable[int]) -> list[int]:
        shifted = (i + 1 if i >= new else i for i in old)
        return sorted(new if (i, reader) == (start, end) else i for i in shifted)

    numbered = enumerate(draft.nodes, start=1)
    nodes = [changed(old, inputs=tuple(inputs(k, old.inputs))) for k, old in numbered]
    nodes.insert(new - 1, node)
    outputs = inputs(len(draft.nodes) + 1, draft.read_by_output())
    return changed(draft, nodes=nodes, outputs=set(outputs))


def _remove(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Take a node out; its readers read its inputs instead, as many as are allowed."""
    if len(draft.nodes) <= domain.nodes[0]:
        return
    for number in rng.shuffled(range(1, len(draft.nodes) + 1)):
        yield Change.to(_without(domain, draft, number, rng))


def _without(domain: Domain, draft: Draft, removed: int, rng: RandomChoices) -> Draft:
    def shift(i: int) -> int:
        return i - 1 if i > removed else i

    inherited = draft.nodes[removed - 1].inputs
    nodes = []
    for old in [*draft.nodes[: removed - 1], *draft.nodes[removed:]]:
        inputs = set(old.inputs)
        if removed in inputs:
            inputs.discard(removed)
            new = [i for i in inherited if i not in inputs]
            inputs.update(rng.shuffled(new)[: domain.max_inputs - len(inputs)])
        nodes.append(_with_inputs(domain, rng, old, {shift(i) for i in inputs}))
    outputs = draft.outputs - {removed}
    if removed in draft.outputs and not outputs:
        outputs = set(inherited)
    return changed(draft, nodes=nodes, outputs={shift(i) for i in outputs})


def _with_inputs(domain: Domain, rng: RandomChoices, node: Node, inputs: set[int]) -> Node:
    merge = node.merge
    if len(inputs) > 1 and merge not in domain.merges:  # with one input, any merge was allowed
        merge = rng.pick(domain.merges)
    return changed(node, inputs=tuple(sorted(inputs)), merge=merge)


def _rewire(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Let a node, or the output, gain, lose or swap one input."""
    for target in rng.shuffled(range(len(draft.nodes) + 1)):
        is_output = target == len(draft.nodes)
        inputs = set(draft.read_by_output() if is_output else draft.nodes[target].inputs)
        free = [i for i in range(target + 1) if i not in inputs]
        room = is_output or len(inputs) < domain.max_inputs
        kinds = (
            ["gain"] * bool(free and room) + ["lose"] * (len(inputs) > 1) + ["swap"] * bool(free)
        )
        for kind in rng.shuffled(kinds):
            for lost in [None] if kind == "gain" else rng.shuffled(sorted(inputs)):
                for gained in [None] if kind == "lose" else rng.shuffled(free):
                    new = {i for i in (*inputs, gained) if i is not None and i != lost}
                    if is_output:
                        yield Change.to(changed(draft, outputs=new))
                    else:
                        node = _with_inputs(domain, rng, draft.nodes[target], new)
                        yield Change.to(draft.with_node(target, node))


def _toggle_residual(_: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    for k, node in rng.shuffled(enumerate(draft.nodes)):
        yield Change.of_node(draft, k, changed(node, residual=not node.residual))


def _change_merge(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    moves = [
        (k, merge)
        for k, node in enumerate(draft.nodes)
        for merge in domain.merges
        if len(node.inputs) > 1 and merge != node.merge
    ]
    for k, merge in rng.shuffled(moves):
        yield Change.of_node(draft, k, changed(draft.nodes[k], merge=merge))


def _change_width(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Parts that do not fit the new width get other parameters, or another operator."""
    for width in rng.shuffled(w for w in domain.widths if w != draft.width):
        yield Change.to(
            changed(
                draft,
                width=width,
                nodes=[domain.fit_part(rng, node, width) for node in draft.nodes],
                embedding=domain.fit_part(rng, draft.embedding, width),
            )
        )


def _change_embedding_width(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    for width in rng.shuffled(w for w in domain.embedding_widths if w != draft.embedding_width):
        yield Change.to(changed(draft, embedding_width=width))


def _change_embedding(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    others = [
        unchecked(Embedding, name, values)
        for name in domain.embeddings
        for values in domain.fitting(name, draft.width)
    ]
    for other in rng.shuffled(others):
        if other != draft.embedding:
            yield Change.to(changed(draft, embedding=other))


def _change_pooling(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    for pooling in rng.shuffled(p for p in domain.poolings if p != draft.pooling):
        yield Change.to(changed(draft, pooling=pooling))


def _change_encoding(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    """Add, remove or exchange an encoding, or change one parameter of it."""
    for level in rng.shuffled(domain.encodings_at):
        old = draft.encodings.get(level)
        for options in rng.shuffled([(None,), *domain.encodings_at[level].values()]):
            for new in rng.shuffled(options):
                if _is_one_change(old, new):
                    yield Change.to(changed(draft, encodings={**draft.encodings, level: new}))


def _change_bound(domain: Domain, draft: Draft, rng: RandomChoices) -> Iterator[Change]:
    for bound in rng.shuffled(b for b in domain.bounds if b != draft.bound):
        yield Change.to(changed(draft, bound=bound, scopes=domain.scopes))


def _is_one_change(old: TextEncoding | None, new: TextEncoding | None) -> bool:
    if old is None or new is None or old.name != new.name:
        return old is not new
    return sum(new.parameters[name] != value for name, value in old.parameters.items()) == 1


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
    "change_encoding": _change_encoding,
    "change_bound": _change_bound,
}
"""The kinds of mutation by name; each yields the changes that it can make of a draft."""


def mutate(
    domain: Domain, limits: Limits | None, genome: Genome, rng: RandomChoices, kind: str | None
) -> Genome:
    """Return a genome that is one change away and has another key.

    Args:
        domain: The values that a genome's parts may have.
        limits: The limits on its costs.
        genome: A genome inside both.
        rng: Source of randomness.
        kind: One of :data:`MUTATIONS`; random if ``None``.

    Raises:
        ArgumentError: No kind of mutation has that name.
        SpaceError: The genome has no such neighbour.
    """
    draft = Draft.of(genome)
    costs = limits.total(genome) if limits else ()
    # A kind that never applies would shift the random numbers of spaces without its genes.
    applies = {"change_encoding": bool(domain.encodings), "change_bound": len(domain.bounds) > 1}
    kinds = [name for name in MUTATIONS if applies.get(name, True)]
    for name in [choice("kind", kind, MUTATIONS)] if kind else rng.shuffled(kinds):
        for change in islice(MUTATIONS[name](domain, draft, rng), _MAX_NEIGHBOURS):
            # The limits first: they exclude more neighbours than the other conditions.
            if limits and limits.outside(limits.total_after(draft, costs, change)) > _ROUNDING:
                continue
            child = change.make().genome()
            if limits and limits.excess(child):
                continue
            if not child.same_architecture(genome) and domain.disallowed_part(child) is None:
                return child
    by = f"by {kind}" if kind else "by any mutation"
    raise SpaceError(f"Genome {genome.key} has no neighbour {by} in this space; widen the space.")
