"""The operators and inputs of the default search space.

Fixed lists: a study is identified by its space, which must not change with what is registered or
installed. Plug-ins are named, as in ``SearchSpace(operators=(*OPERATORS, "mine"))``.
"""

OPERATORS = (
    "attention",
    "average_pooling",
    "bidirectional_gru",
    "bidirectional_lstm",
    "convolution",
    "depthwise_convolution",
    "dilated_convolution",
    "dynamic_convolution",
    "feed_forward",
    "fourier_mixing",
    "gated_feed_forward",
    "gated_linear_unit",
    "identity",
    "lightweight_convolution",
    "linear_attention",
    "max_pooling",
    "minimal_gru",
    "relative_attention",
    "separable_convolution",
    "squeeze_excitation",
)
"""Operators of nodes in the default search space."""

EMBEDDINGS = (
    "character_embedding",
    "neighbour_smoothed_embedding",
    "subword_embedding",
    "synonym_code_embedding",
)
"""Inputs in the default search space."""
