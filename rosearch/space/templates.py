"""Hand-designed students, as baselines and as initial genomes of a search.

All widths are channels; all embedding widths are the inner width of the factorised embedding.
``encodings`` say how texts are rewritten before they are tokenised, and ``bound`` how far the graph
moves a sum of token scores, as in a genome.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rosearch import operators as ops
from rosearch.errors import GenomeError
from rosearch.space.genome import Genome
from rosearch.space.nodes import Node, TextEncoding, changed
from rosearch.space.search_space import SearchSpace


def bag_of_words(
    *,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return a classifier of the mean of the word embeddings."""
    return Genome(width, embedding_width, "mean", encodings=encodings, bound=bound)


def additive(*, encodings: tuple[TextEncoding, ...] = (), scopes: bool = False) -> Genome:
    """Return a sum of token scores, whose worst case is known exactly.

    With a ``bound``, other templates add token scores to their graph, which moves their sum by at
    most the bound: ``text_cnn(bound=0.3)``.
    """
    return Genome(8, 8, encodings=encodings, bound=0.0, scopes=scopes)


def text_cnn(
    *,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return parallel convolutions over 3, 5 and 7 tokens, max-pooled (TextCNN, Kim 2014).

    Kim uses windows of 3, 4 and 5 words and concatenates the pooled features; here windows are
    odd and the features are summed.
    """
    nodes = tuple(Node("convolution", {"kernel_size": size}, residual=False) for size in (3, 5, 7))
    return Genome(width, embedding_width, "max", nodes, (1, 2, 3), encodings=encodings, bound=bound)


def bigru(
    *,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return one bidirectional GRU, mean-pooled."""
    nodes = (Node("bidirectional_gru", residual=False),)
    return Genome(width, embedding_width, "mean", nodes, encodings=encodings, bound=bound)


def bilstm(
    *,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return one bidirectional LSTM, mean-pooled (the student of Tang et al. 2019).

    Theirs has a hidden layer between the LSTM and the classes; here there is a linear map.
    """
    nodes = (Node("bidirectional_lstm", residual=False),)
    return Genome(width, embedding_width, "mean", nodes, encodings=encodings, bound=bound)


def transformer(
    *,
    layers: int = 3,
    width: int = 160,
    embedding_width: int = 128,
    heads: int = 4,
    expansion: int = 4,
    pooling: str = "mean",
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return a pre-norm transformer encoder (Vaswani et al. 2017).

    With the teacher's width and heads, and fewer layers, these are the students of BERT-PKD (Sun et
    al. 2019) without their post-norm: ``transformer(layers=6, width=768, embedding_width=768,
    heads=12)``.

    Args:
        layers: Number of pairs of attention and feed-forward.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
        heads: Attention heads per layer.
        expansion: Inner width of the feed-forward part as a multiple of ``width``.
        pooling: How the output becomes a vector.
        encodings: How texts are rewritten before they are tokenised.
        bound: See :class:`Genome`.
    """
    layer = [Node("attention", {"heads": heads}), Node("feed_forward", {"expansion": expansion})]
    nodes = _chain(layer * layers)
    return Genome(width, embedding_width, pooling, nodes, encodings=encodings, bound=bound)


def tinybert(
    *,
    width: int = 312,
    embedding_width: int = 312,
    heads: int = 12,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return TinyBERT's four layers of width 312 with 12 heads (Jiao et al. 2020).

    They are pooled at ``[CLS]``. TinyBERT's feed-forward parts are 1,200 wide, 3.85 times the
    width; here they are 4 times as wide, 1,248. It normalises after each part, here before.
    """
    return transformer(
        layers=4,
        width=width,
        embedding_width=embedding_width,
        heads=heads,
        pooling="first",
        encodings=encodings,
        bound=bound,
    )


def mobilebert(
    *,
    layers: int = 4,
    width: int = 128,
    embedding_width: int = 128,
    heads: int = 4,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return thin layers of one attention and four feed-forwards (MobileBERT, Sun et al. 2020).

    MobileBERT has 24 layers of inner width 128, with linear maps from and to hidden states 512
    wide, and an embedding of three neighbouring tokens. Here everything has the inner width, and
    four layers make 20 nodes. Its feed-forwards are four times as wide inside, as here.
    """
    layer = [Node("attention", {"heads": heads})] + [Node("feed_forward", {"expansion": 4})] * 4
    nodes = _chain(layer * layers)
    return Genome(width, embedding_width, "first", nodes, encodings=encodings, bound=bound)


def adabert(
    *,
    cells: int = 3,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return stacked convolution cells such as AdaBERT's search finds (Chen et al. 2020).

    Each cell reads the two before it (the first reads the embedding twice) through four operations,
    from convolutions with kernels of 3, 5 and 7, poolings and skips, and sums the results. The
    published cells differ from task to task; this one has the most frequent operations. AdaBERT
    pools the layers with attention; here the last cell is mean-pooled.

    Args:
        cells: Number of cells of five nodes.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
        encodings: How texts are rewritten before they are tokenised.
        bound: See :class:`Genome`.
    """
    nodes: list[Node] = []
    before, last = 0, 0
    for _ in range(cells):
        first = len(nodes) + 1
        nodes += [
            Node("separable_convolution", {"kernel_size": 3}, (before,), residual=False),
            Node("separable_convolution", {"kernel_size": 7}, (last,), residual=False),
            Node("max_pooling", {"window": 3}, (last,), residual=False),
            Node("convolution", {"kernel_size": 3}, (first, first + 1), residual=False),
            Node("identity", {}, (first + 2, first + 3), residual=False),
        ]
        before, last = last, len(nodes)
    return Genome(width, embedding_width, "mean", tuple(nodes), encodings=encodings, bound=bound)


def dpcnn(
    *,
    blocks: int = 4,
    width: int = 128,
    embedding_width: int = 128,
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return pairs of residual convolutions, max-pooled between (DPCNN, Johnson and Zhang 2017).

    DPCNN halves the length at each block by pooling with a stride of 2; here the length stays and
    the window slides, so that the deeper blocks see fewer tokens.

    Args:
        blocks: Number of blocks of two convolutions and, except for the first, a pooling.
        width: Channels.
        embedding_width: Inner width of the factorised embedding.
        encodings: How texts are rewritten before they are tokenised.
        bound: See :class:`Genome`.
    """
    block = [Node("max_pooling", {"window": 3}, residual=False)]
    block += [Node("convolution", {"kernel_size": 3})] * 2
    nodes = _chain((block * blocks)[1:])
    return Genome(width, embedding_width, "max", nodes, encodings=encodings, bound=bound)


def from_transformer(
    config: Any,
    *,
    pooling: str = "first",
    encodings: tuple[TextEncoding, ...] = (),
    bound: float | None = None,
) -> Genome:
    """Return a genome with the layers, width and heads of a Hugging Face encoder.

    Supports configurations that name their sizes as BERT, RoBERTa, ELECTRA, ALBERT, DeBERTa or
    DistilBERT do. The differences: a genome normalises before each part and not after, DeBERTa's
    relative positions become learned absolute ones, and ALBERT's layers share no weights.

    Args:
        config: A ``transformers.PretrainedConfig``.
        pooling: How the output becomes a vector; these models read the first token.
        encodings: How texts are rewritten before they are tokenised.
        bound: See :class:`Genome`.

    Raises:
        GenomeError: A size is missing or does not fit: the heads are not among the choices of the
            operator ``attention`` or do not divide the width, or the inner width of the
            feed-forward parts is more than 10 % from what the operator ``feed_forward`` offers.
    """
    width = _size(config, "hidden_size", "dim")
    layers = _size(config, "num_hidden_layers", "n_layers")
    heads = _size(config, "num_attention_heads", "n_heads")
    inner = _size(config, "intermediate_size", "hidden_dim")
    name = _model_type(config)
    known = ops.get("attention").choices["heads"].values
    if heads not in known or width % heads:
        raise GenomeError(
            f"The {name} configuration has {heads} heads at width {width}; the heads of a genome "
            f"must be one of {known} and divide the width."
        )
    expansions = ops.get("feed_forward").choices["expansion"].values
    expansion = min(expansions, key=lambda e: abs(e * width - inner))
    # The tolerance allows TinyBERT's 1,200 at width 312.
    if abs(expansion * width - inner) > 0.1 * inner:
        raise GenomeError(
            f"The {name} configuration has feed-forward parts {inner} wide at width {width}; in a "
            f"genome they must be {', '.join(map(str, expansions))} times the width, and the "
            f"nearest, {expansion * width}, is more than 10 % off."
        )
    return transformer(
        layers=layers,
        width=width,
        embedding_width=getattr(config, "embedding_size", None) or width,
        heads=heads,
        expansion=expansion,
        pooling=pooling,
        encodings=encodings,
        bound=bound,
    )


def _size(config: Any, *names: str) -> int:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and value >= 1:
            return value
    raise GenomeError(
        f"The {_model_type(config)} configuration has no {' or '.join(names)} that is a whole "
        f"number from 1; from_transformer supports encoders such as bert, roberta, electra, albert "
        f"and distilbert."
    )


def _model_type(config: Any) -> str:
    return str(getattr(config, "model_type", type(config).__name__))


def _chain(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes, each reading the one before it."""
    return tuple(changed(node, inputs=(k,)) for k, node in enumerate(nodes))


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
"""Display name to template; all accept ``width``, ``embedding_width``, ``encodings`` and ``bound``,
and are in the default space."""


def fitting(space: SearchSpace) -> tuple[Genome, ...]:
    """Return the templates of :data:`ALL` that are in a search space, near to their own size.

    Each is tried with all widths and embedding widths of the space. Of those inside the space and
    its limits, the one that differs least from the template's defaults is returned, by the sum of
    the absolute log ratios. Where the space has bounds, the one in their middle is taken, and
    ``None`` besides if it is among them. They can start a search::

        rs.Evolver(space, evaluate, fitness, initial_genomes=rs.templates.fitting(space))

    Args:
        space: The search space. A template is left out if none of its sizes is in the space.
    """
    found: dict[str, Genome] = {}
    sizes = list(itertools.product(space.widths, space.embedding_widths))
    numbers = sorted(bound for bound in space.bounds if bound is not None)
    bounds = [None] * (None in space.bounds) + numbers[len(numbers) // 2 :][:1]
    for make, bound in itertools.product(ALL.values(), bounds):
        for width, embedding_width in sorted(sizes, key=partial(_size_difference, make())):
            try:
                genome = make(width=width, embedding_width=embedding_width, bound=bound)
                genome = changed(genome, scopes=space.scopes and bound is not None)
            except GenomeError:  # heads that do not divide the width
                continue
            if genome in space:
                found.setdefault(genome.key, genome)
                break
    return tuple(found.values())


def _size_difference(genome: Genome, size: tuple[int, int]) -> float:
    own = (genome.width, genome.embedding_width)
    return sum(abs(math.log(s / o)) for s, o in zip(size, own, strict=True))
