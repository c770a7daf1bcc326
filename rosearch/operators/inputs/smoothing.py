"""An input that averages each word's vector with those of its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from rosearch.operators.base import Choice, registry
from rosearch.operators.inputs.base import EmbeddingOperator, IndirectTable, InputShape

if TYPE_CHECKING:
    from rosearch.operators.inputs.vocabulary import Lexicon, Vocabulary


class SmoothedTable(IndirectTable):
    """A table of vectors that is read through a fixed sparse matrix.

    Args:
        tokens: Rows.
        width: Columns.
        neighbours: Other rows that a row is averaged with.
        padding: Row that stays zero.
    """

    neighbours: torch.Tensor
    """int32 buffer ``(tokens, neighbours + 1)``: the rows that stand for a token, itself first."""

    weights: torch.Tensor
    """float buffer ``(tokens, neighbours + 1)``, rows sum to 1."""

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
    """Each word's vector averaged with those of its nearest words, by a fixed sparse matrix.

    Token ``i`` reads ``(1 - s) E[i] + s * sum_j w_ij E[j]`` over its neighbours ``j``, with
    ``w_ij`` in proportion to their nearness and a sum of 1, ``s`` the strength. A word and the
    synonym that an attack puts in its place then read overlapping sums, so the replacement moves
    the input less. Which words are neighbours is the
    :class:`~rosearch.operators.inputs.vocabulary.Lexicon`'s to say: vectors call antonyms near, and
    WordNet is the very list that WordNet attacks draw from, so that a gain under PWWS by a WordNet
    lexicon is in part one of knowing the attack.

    Costs no parameters more than the plain input, ``neighbours + 1`` look-ups a token, and two
    buffers of ``vocabulary * (neighbours + 1)`` numbers, which are saved and are no parameters.
    Before :meth:`prepare` it is the plain input. Special tokens, pieces within words and tokens
    that are no letters read their own vector alone.

    A simplification of two published ideas: Dirichlet neighbourhood ensembles (Zhou et al. 2021,
    equation 1) mix a word's vector with its synonyms' by random weights; SAFER (Ye et al. 2020)
    smooths over synonyms by random draws. Here the weights are fixed, so nothing is drawn.

    Args:
        shape: The sizes.
        neighbours: Nearest words that a word is averaged with.
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

    def prepare(self, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
        """Fill the sparse matrix with each word's nearest words.

        Raises:
            ValueError: The vocabulary is not that of the table.
        """
        vocabulary.check(self.shape.vocabulary)
        rows = torch.arange(self.shape.vocabulary).unsqueeze(1).repeat(1, self.count + 1)
        weights = torch.zeros(rows.shape)
        weights[:, 0] = 1.0
        for own, near in vocabulary.near(lexicon, count=self.count):
            total = sum(nearness for _, nearness in near)
            if not total:
                continue
            rows[own, 1 : len(near) + 1] = torch.tensor([other for other, _ in near])
            shares = torch.tensor([nearness / total for _, nearness in near])
            weights[own, 0] = 1.0 - self.strength
            weights[own, 1 : len(near) + 1] = self.strength * shares
        self.tokens.neighbours.copy_(rows)
        self.tokens.weights.copy_(weights)
