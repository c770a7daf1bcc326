"""Random genomes: the frame first, then one node after another, within the limits of the space."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from rosearch.space.cost.additive import extras
from rosearch.space.cost.limits import Limits, Price, added
from rosearch.space.draft import Draft
from rosearch.space.nodes import Embedding, Node, Parameters
from rosearch.space.rng import Draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rosearch.space.search_space import SearchSpace


def compose(space: SearchSpace, draws: Draws) -> Draft:
    """A random draft: a chain with random detours, so that deep and wide graphs both occur.

    With limits, it is drawn so that what is still to come can meet them wherever the costs of
    single parts allow it; the last parts may miss them by a little.
    """
    limits = space.limits
    if limits is None:
        draft = _free_frame(space, draws)
        count = _count(draws, *space.nodes)
        for number in range(1, count + 1):
            operator, parameters = random_operator(space, draws, draft.width)
            draft.nodes.append(_attached(space, draws, number, operator, parameters))
    else:
        frame = draws.weighted(limits.frames, limits.cumulative)
        draft = Draft(frame.width, frame.embedding_width, frame.pooling, frame.embedding, [], set())
        count = _count(draws, frame.fewest, frame.most)
        spent = frame.price
        for number in range(1, count + 1):
            node, spent = _limited_node(space, limits, draws, draft.width, number, count, spent)
            draft.nodes.append(node)
    # What the output reads beside the loose ends.
    draft.outputs = {number for number in range(count) if draws.chance(0.05)}
    return draft


def random_operator(space: SearchSpace, draws: Draws, width: int) -> tuple[str, Parameters]:
    """A random operator, then random parameters, of those that fit the width."""
    name = draws.pick(space.operators_at(width))
    return name, draws.pick(space.fitting(name, width))


def random_embedding(space: SearchSpace, draws: Draws, width: int) -> Embedding:
    """A random input that fits the width."""
    name = draws.pick(space.embeddings_at(width))
    return Embedding.unchecked(name, draws.pick(space.fitting(name, width)))


def fit_embedding(space: SearchSpace, draws: Draws, source: Embedding, width: int) -> Embedding:
    """The input, with other parameters or another operator where it does not fit the width."""
    fitting = space.fitting(source.operator, width)
    if source.parameters in fitting:
        return source
    if fitting:
        return Embedding.unchecked(source.operator, draws.pick(fitting))
    return random_embedding(space, draws, width)


def fit_node(space: SearchSpace, draws: Draws, node: Node, width: int) -> Node:
    """The node, with other parameters or another operator where it does not fit the width."""
    fitting = space.fitting(node.operator, width)
    if node.parameters in fitting:
        return node
    if fitting:
        return node.changed(parameters=draws.pick(fitting))
    operator, parameters = random_operator(space, draws, width)
    return node.changed(operator=operator, parameters=parameters)


def _free_frame(space: SearchSpace, draws: Draws) -> Draft:
    width = draws.weighted(space.widths, space.width_weights)
    return Draft(
        width,
        draws.weighted(space.embedding_widths, space.embedding_width_weights),
        draws.pick(space.poolings),
        random_embedding(space, draws, width),
        [],
        set(),
    )


def _count(draws: Draws, few: int, many: int) -> int:
    """A number of nodes, half as likely with every four more."""
    return draws.weighted(range(few, many + 1), _halving(many - few + 1))


@lru_cache(maxsize=1024)
def _halving(count: int) -> tuple[float, ...]:
    return tuple(accumulate(0.5 ** (k / 4) for k in range(count)))


def _attached(
    space: SearchSpace, draws: Draws, number: int, operator: str, parameters: Parameters
) -> Node:
    """Node ``number`` of that operator, reading random nodes before it."""
    count = 1
    while count < min(space.max_inputs, number) and draws.chance(0.4):
        count += 1
    near = number - 1 if draws.chance(0.7) else draws.below(number)
    inputs = {near}
    while len(inputs) < count:
        inputs.add(draws.below(number))
    return Node.unchecked(
        operator,
        parameters,
        tuple(sorted(inputs)),
        draws.pick(space.merges),
        draws.chance(0.5),
        draws.identity(),
    )


def _limited_node(
    space: SearchSpace,
    limits: Limits,
    draws: Draws,
    width: int,
    number: int,
    count: int,
    spent: Price,
) -> tuple[Node, Price]:
    """Node ``number`` of ``count``, and what is spent with it.

    Its place in the graph is drawn first, then an operator of a price that leaves the nodes after
    it able to meet the limits. Where none does, it reads one input without residual, and where that
    does not help, its price is the nearest.
    """
    later = count - number
    options = limits.options[width]
    nothing = (0.0,) * len(limits.kinds)
    node = _attached(space, draws, number, *options[0][:2])
    for plain in (False, True):
        if plain:
            node = node.changed(inputs=node.inputs[-1:], residual=False)
        extra = added(nothing, *map(limits.price, extras(node, width)))
        bounds = [
            (low - s - e - later * dear, high - s - e - later * cheap)
            for low, high, s, e, dear, cheap in zip(
                limits.low,
                limits.high,
                spent,
                extra,
                limits.dearest[width],
                limits.cheapest[width],
                strict=True,
            )
        ]
        fitting: dict[str, list[tuple[Parameters, Price]]] = {}
        for name, parameters, price in options:
            if all(lo <= p <= hi for p, (lo, hi) in zip(price, bounds, strict=True)):
                fitting.setdefault(name, []).append((parameters, price))
        if fitting:
            break
    if fitting:
        name = draws.pick(list(fitting))
        parameters, price = draws.pick(fitting[name])
    else:
        name, parameters, price = min(options, key=lambda option: _distance(option[2], bounds))
    return node.changed(operator=name, parameters=parameters), added(spent, extra, price)


def _distance(price: Price, bounds: Sequence[tuple[float, float]]) -> float:
    return sum(
        max(lo - p, 0.0, p - hi) / max(abs(p), 1e-12)
        for p, (lo, hi) in zip(price, bounds, strict=True)
    )
