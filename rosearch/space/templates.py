"""Hand-designed students, to compare with and to start a search from."""

from __future__ import annotations

from rosearch.space.genome import Genome, Node


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
    nodes = (Node("bidirectional_gru", inputs=(0,), residual=False),)
    return Genome(width=width, embedding_width=embedding_width, pooling="mean", nodes=nodes)


def transformer(
    *,
    layers: int = 3,
    width: int = 160,
    embedding_width: int = 128,
    heads: int = 4,
    expansion: int = 4,
) -> Genome:
    """A pre-norm transformer encoder, mean-pooled (Vaswani et al. 2017).

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


ALL = {
    "bag of words": bag_of_words,
    "TextCNN": text_cnn,
    "BiGRU": bigru,
    "transformer": transformer,
}
"""Display name to template."""
