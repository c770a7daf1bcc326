"""Input that averages the vector of each word with those of its nearest words."""

from __future__ import annotations

import torch
from torch.nn import functional

from rosearch.operators.base import registry
from rosearch.operators.inputs.base import EmbeddingOperator, IndirectTable, InputShape
from rosearch.operators.inputs.vocabulary import NearestWords, Vocabulary
from rosearch.parameters import Choice


class SmoothedTable(IndirectTable):
    """An embedding table multiplied by a fixed sparse matrix.

    Args:
        tokens: Rows.
        width: Columns.
        neighbours: Maximum number of other rows that a row is averaged with.
        padding: Row that stays zero.
    """

    neighbours: torch.Tensor
    """int32 buffer ``(tokens, neighbours + 1)``: rows averaged for a token, its own first."""

    weights: torch.Tensor
    """float buffer ``(tokens, neighbours + 1)``: their weights, which sum to 1."""

    def __init__(self, tokens: int, width: int, *, neighbours: int, padding: int | None) -> None:
        super().__init__(tokens, width, padding_idx=padding)
        own = torch.arange(tokens, dtype=torch.int32).unsqueeze(1)
        self.register_buffer("neighbours", own.repeat(1, neighbours + 1))
        weights = torch.zeros(tokens, neighbours + 1)
        weights[:, 0] = 1.0
        self.register_buffer("weights", weights)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's own name
        rows = functional.embedding(self.neighbours[input].long(), self.weight, self.padding_idx)
        weights = self.weights[input].to(rows.dtype)
        return (weights.unsqueeze(-2) @ rows).squeeze(-2)


@registry.register("neighbour_smoothed_embedding")
class NeighbourSmoothedEmbedding(EmbeddingOperator):
    """The vector of each word averaged with those of its nearest words, by a fixed sparse matrix.

    Token ``i`` reads ``(1 - s) E[i] + s * sum_j w_ij E[j]`` over its neighbours ``j``, with
    ``w_ij`` proportional to their nearness and summing to 1, and the strength ``s``. A word and the
    synonym that an attack substitutes for it then read overlapping sums, so the substitution
    changes the input less. The neighbours come from
    :class:`~rosearch.operators.NearestWords`: by vectors, antonyms are near; by WordNet, they are
    the substitutions of WordNet attacks, so that a gain under PWWS is partly knowledge of the
    attack.

    There are no more parameters than in the plain input, ``neighbours + 1`` look-ups a token, and
    two buffers of ``vocabulary * (neighbours + 1)`` numbers, saved with the student. Before
    :meth:`prepare` it is the plain input. Special tokens, pieces inside words and tokens other than
    letters read their own vector.

    This simplifies two published methods: Dirichlet neighbourhood ensembles (Zhou et al. 2021,
    equation 1) mix the vectors of a word and its synonyms by random weights; SAFER (Ye et al. 2020)
    smooths over random synonyms. Here the weights are fixed.

    Args:
        shape: Sizes of the tables.
        neighbours: Maximum number of nearest words that a word is averaged with.
        strength: Their share of the average, 0 to 1.
    """

    choices = {"neighbours": Choice(4, 8), "strength": Choice(0.25, 0.5, 0.75, default=0.5)}
    source = "after Zhou et al. 2021 (Dirichlet Neighborhood Ensemble), with fixed weights"

    tokens: SmoothedTable

    def __init__(self, shape: InputShape, *, neighbours: int, strength: float) -> None:
        super().__init__(shape)
        self.count = neighbours
        self.strength = strength
        self.tokens = SmoothedTable(
            shape.vocabulary, shape.inner, neighbours=neighbours, padding=shape.padding
        )

    def prepare(self, vocabulary: Vocabulary, nearest_words: NearestWords) -> None:
        """Fill the sparse matrix with the nearest words of each word.

        Raises:
            ArgumentError: The vocabulary and the table differ in size.
        """
        vocabulary.check(self.shape.vocabulary)
        rows = torch.arange(self.shape.vocabulary).unsqueeze(1).repeat(1, self.count + 1)
        weights = torch.zeros(rows.shape)
        weights[:, 0] = 1.0
        for own, near in vocabulary.near(nearest_words, count=self.count):
            total = sum(nearness for _, nearness in near)
            if not total:
                continue
            rows[own, 1 : len(near) + 1] = torch.tensor([other for other, _ in near])
            shares = torch.tensor([nearness / total for _, nearness in near])
            weights[own, 0] = 1.0 - self.strength
            weights[own, 1 : len(near) + 1] = self.strength * shares
        self.tokens.neighbours.copy_(rows)
        self.tokens.weights.copy_(weights)
