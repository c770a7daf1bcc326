"""Hand-designed students, to compare with and to start a search from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rosearch import operators as ops
from rosearch.errors import GenomeError
from rosearch.space.genome import Genome
from rosearch.space.nodes import Node

if TYPE_CHECKING:
    from rosearch.space.search_space import SearchSpace


def bag_of_words(*, width: int = 128, embedding_width: int = 128) -> Genome:
    """The mean of the word embeddings, classified."""
    return Genome(width=width, embedding_width=embedding_width, pooling="mean")


def text_cnn(*, width: int = 128, embedding_width: int = 128) -> Genome:
    """Parallel convolutions over 3, 5 and 7 tokens, each max-pooled (TextCNN, Kim 2014).

    Kim uses windows of 3, 4 and 5 words and concatenates the pooled features; here windows are
    odd and the features are summed.
    """
    nodes = tuple(
        Node("convolution", {"kernel_size": size}, inputs=(0,), residual=False)
        for size in (3, 5, 7)
    )
    return Genome(
        width=width, embedding_width=embedding_width, pooling="max", nodes=nodes, outputs=(1, 2, 3)
    )


def bigru(*, width: int = 128, embedding_width: int = 128) -> Genome:
    """One bidirectional GRU, mean-pooled."""
    return _one("bidirectional_gru", width, embedding_width)


def bilstm(*, width: int = 128, embedding_width: int = 128) -> Genome:
    """One bidirectional LSTM, mean-pooled (the student of Tang et al. 2019).

    Theirs has one hidden layer between the LSTM and the classes; here there is a linear map.
    """
    return _one("bidirectional_lstm", width, embedding_width)


def transformer(
    *,
    layers: int = 3,
    width: int = 160,
    embedding_width: int = 128,
    heads: int = 4,
    expansion: int = 4,
) -> Genome:
    """A pre-norm transformer encoder, mean-pooled (Vaswani et al. 2017).

    With the teacher's width and heads, and fewer layers, these are the students of BERT-PKD (Sun et
    al. 2019): ``transformer(layers=6, width=768, embedding_width=768, heads=12)``, less their
    post-norm.

    Args:
        layers: Number of attention and feed-forward pairs.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
        heads: Attention heads a layer.
        expansion: Inner width of the feed-forward part as a multiple of ``width``.
    """
    nodes = []
    for layer in range(layers):
        nodes.append(Node("attention", {"heads": heads}, inputs=(2 * layer,)))
        nodes.append(Node("feed_forward", {"expansion": expansion}, inputs=(2 * layer + 1,)))
    return Genome(width=width, embedding_width=embedding_width, pooling="mean", nodes=tuple(nodes))


def tinybert(*, width: int = 312, embedding_width: int = 312, heads: int = 12) -> Genome:
    """TinyBERT's four layers of width 312 with 12 heads (Jiao et al. 2020), pooled at ``[CLS]``.

    Its feed-forward parts are 1,200 wide, 3.85 times the width; the nearest here is 4 times, 1,248.
    It normalises after each part, here before.
    """
    genome = transformer(
        layers=4, width=width, embedding_width=embedding_width, heads=heads, expansion=4
    )
    return Genome(width=width, embedding_width=embedding_width, pooling="first", nodes=genome.nodes)


def mobilebert(
    *, layers: int = 4, width: int = 128, embedding_width: int = 128, heads: int = 4
) -> Genome:
    """Thin layers of one attention and four stacked feed-forwards (MobileBERT, Sun et al. 2020).

    MobileBERT has 24 layers 128 wide inside, between states 512 wide that linear maps lead into and
    out of, with an embedding of three neighbouring tokens. Here all is as thin as the inside, and
    four layers fill 20 nodes. Its feed-forwards are four times as wide inside, as here.
    """
    nodes: list[Node] = []
    for _ in range(layers):
        nodes.append(Node("attention", {"heads": heads}, inputs=(len(nodes),)))
        nodes += [
            Node("feed_forward", {"expansion": 4}, inputs=(len(nodes) + k,)) for k in range(4)
        ]
    return Genome(width=width, embedding_width=embedding_width, pooling="first", nodes=tuple(nodes))


def adabert(*, cells: int = 3, width: int = 128, embedding_width: int = 128) -> Genome:
    """Stacked convolution cells such as AdaBERT's search finds (Chen et al. 2020), mean-pooled.

    Each cell reads the two before it (the first twice the embedding) through four operations, of
    convolutions with kernels of 3, 5 and 7, poolings and skips, and sums what they give. The
    cells that were published differ from task to task; this one has the operations that they
    favour. AdaBERT weighs the layers' pooled states by attention; here the last cell is pooled.

    Args:
        cells: Number of cells of five nodes.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
    """
    nodes: list[Node] = []
    before, last = 0, 0
    for _ in range(cells):
        base = len(nodes)
        nodes += [
            Node("separable_convolution", {"kernel_size": 3}, inputs=(before,), residual=False),
            Node("separable_convolution", {"kernel_size": 7}, inputs=(last,), residual=False),
            Node("max_pooling", {"window": 3}, inputs=(last,), residual=False),
            Node("convolution", {"kernel_size": 3}, inputs=(base + 1, base + 2), residual=False),
            Node("identity", inputs=(base + 3, base + 4), residual=False),
        ]
        before, last = last, len(nodes)
    return Genome(width=width, embedding_width=embedding_width, pooling="mean", nodes=tuple(nodes))


def dpcnn(*, blocks: int = 4, width: int = 128, embedding_width: int = 128) -> Genome:
    """Pairs of convolutions with a shortcut, max-pooled between (DPCNN, Johnson and Zhang 2017).

    DPCNN halves the length at each block by pooling with a stride of 2; here the length stays and
    the window slides, so that the deeper blocks see less far.

    Args:
        blocks: Number of blocks of two convolutions and, but for the first, a pooling.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
    """
    nodes: list[Node] = []
    for block in range(blocks):
        if block:
            nodes.append(Node("max_pooling", {"window": 3}, inputs=(len(nodes),), residual=False))
        for _ in range(2):
            nodes.append(Node("convolution", {"kernel_size": 3}, inputs=(len(nodes),)))
    return Genome(width=width, embedding_width=embedding_width, pooling="max", nodes=tuple(nodes))


def from_transformer(config: Any, *, pooling: str = "first") -> Genome:
    """The genome of a Hugging Face encoder: as many layers, as wide, with as many heads.

    Knows configurations that name their sizes as BERT, RoBERTa, ELECTRA, ALBERT, DeBERTa or
    DistilBERT do. What differs: a genome normalises before each part and not after, DeBERTa's
    relative positions become learned absolute ones, and ALBERT's layers share no weights.

    Args:
        config: A ``transformers.PretrainedConfig``.
        pooling: How the output becomes a vector; these models read the first token.

    Raises:
        GenomeError: It lacks a size, or a size does not fit: the heads are no choice of the
            operator ``attention`` or do not divide the width, or the inner width of the
            feed-forward parts is more than a tenth off what the operator ``feed_forward`` has.
    """
    width = _size(config, "hidden_size", "dim")
    layers = _size(config, "num_hidden_layers", "n_layers")
    heads = _size(config, "num_attention_heads", "n_heads")
    inner = _size(config, "intermediate_size", "hidden_dim")
    embedding_width = getattr(config, "embedding_size", None) or width
    known = ops.get("attention").choices["heads"].values
    name = getattr(config, "model_type", type(config).__name__)
    if heads not in known or width % heads:
        raise GenomeError(
            f"The {name} configuration has {heads} heads at width {width}; a genome's attention "
            f"has one of {known}, and they divide the width."
        )
    expansions = ops.get("feed_forward").choices["expansion"].values
    expansion = min(expansions, key=lambda e: abs(e * width - inner))
    # TinyBERT's 1,200 of 312 is near enough to 4; 2.5 or 8 times the width is another model.
    if abs(expansion * width - inner) > 0.1 * inner:
        raise GenomeError(
            f"The {name} configuration has feed-forward parts {inner} wide at width {width}; a "
            f"genome's are {', '.join(map(str, expansions))} times the width, and the nearest is "
            f"{expansion * width}, more than a tenth off."
        )
    genome = transformer(
        layers=layers,
        width=width,
        embedding_width=embedding_width,
        heads=heads,
        expansion=expansion,
    )
    return Genome(width=width, embedding_width=embedding_width, pooling=pooling, nodes=genome.nodes)


def _size(config: Any, *names: str) -> int:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and value >= 1:
            return value
    kind = getattr(config, "model_type", type(config).__name__)
    raise GenomeError(
        f"The {kind} configuration has no {' or '.join(names)} that is a whole number from 1; "
        f"from_transformer reads encoders such as bert, roberta, electra, albert and distilbert."
    )


def _one(operator: str, width: int, embedding_width: int) -> Genome:
    nodes = (Node(operator, inputs=(0,), residual=False),)
    return Genome(width=width, embedding_width=embedding_width, pooling="mean", nodes=nodes)


SMALL: dict[str, Callable[..., Genome]] = {
    "bag of words": bag_of_words,
    "TextCNN": text_cnn,
    "BiGRU": bigru,
    "transformer": transformer,
}
"""Display name to template, for the four that train in minutes on a laptop."""

ALL: dict[str, Callable[..., Genome]] = {
    **SMALL,
    "BiLSTM": bilstm,
    "TinyBERT": tinybert,
    "MobileBERT-like": mobilebert,
    "AdaBERT-like": adabert,
    "DPCNN-like": dpcnn,
}
"""Display name to template; all take ``width`` and ``embedding_width``, and are in the default
space."""


def fitting(space: SearchSpace) -> tuple[Genome, ...]:
    """The templates of :data:`ALL` that a space holds, each as near to its own size as it can be.

    Each is tried with all widths and embedding widths of the space; of those with which it is in
    the space and meets its limits, that one is taken which differs least from the template's
    defaults, by the sum of the ratios' logarithms. Made to start a search from::

        rs.Evolver(space, evaluate, fitness, initial_genomes=rs.templates.fitting(space))

    Args:
        space: Templates whose operators, pooling or number of nodes it does not have are left out,
            and those that meet its limits at none of its widths.
    """
    found: dict[str, Genome] = {}
    sizes = list(itertools.product(space.widths, space.embedding_widths))
    for make in ALL.values():
        own = make()

        def away(size: tuple[int, int], own: Genome = own) -> float:
            return abs(math.log(size[0] / own.width)) + abs(math.log(size[1] / own.embedding_width))

        for width, embedding_width in sorted(sizes, key=away):
            try:
                genome = make(width=width, embedding_width=embedding_width)
            except GenomeError:  # heads that do not divide the width
                continue
            if genome in space:
                found.setdefault(genome.key, genome)
                break
    return tuple(found.values())
