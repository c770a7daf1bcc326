"""Base class of inputs, and the factorized embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from rosearch.errors import ArgumentError
from rosearch.operators.base import Searchable, registry, tracing
from rosearch.operators.inputs.vocabulary import NearestWords, Vocabulary


@dataclass(frozen=True)
class InputShape:
    """Sizes of an input."""

    vocabulary: int
    """Tokens of the tokenizer."""

    positions: int
    """Maximum length of a text in tokens."""

    types: int
    """Token types (segments)."""

    inner: int
    """Embedding width of the genome."""

    width: int
    """Channels of the hidden states."""

    padding: int | None = None
    """Id of the padding token, whose vector stays zero."""


class IndirectTable(nn.Embedding):
    """An embedding table in which tokens do not simply read their own row.

    Subclasses override ``forward``.
    """

    def table(self) -> torch.Tensor:
        """Return the vector of each token, ``(tokens, width)``, for white-box attacks."""
        out: torch.Tensor = self(torch.arange(self.num_embeddings, device=self.weight.device))
        return out


class EmbeddingOperator(Searchable):
    """The input of a student, from token ids ``(batch, length)`` to ``(batch, length, width)``.

    Token, position and type vectors of a small width are summed, projected to the student's
    width and normalized. The factorization is ALBERT's (Lan et al. 2020): vocabulary times
    embedding width plus embedding width times width, instead of vocabulary times width.

    Override :meth:`vectors`; :meth:`prepare`, if the input depends on the tokens' texts; and
    :meth:`fit`, if more than the token table can be initialized from the teacher.
    :class:`rosearch.testing.EmbeddingConformance` holds the tests that every input must pass. An
    input in which tokens do not read their own row should replace ``self.tokens`` by an
    :class:`IndirectTable`, so that white-box attacks see the vectors that the model computes with.

    Args:
        shape: Sizes of the tables.
    """

    family: ClassVar[str] = "embedding"

    def __init__(self, shape: InputShape) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.inner, padding_idx=shape.padding)
        self.positions = nn.Embedding(shape.positions, shape.inner)
        self.types = nn.Embedding(shape.types, shape.inner)
        self.projection = nn.Linear(shape.inner, shape.width)
        self.norm = nn.LayerNorm(shape.width)

    def vectors(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the vector of each token, before its position and type are added.

        The result must not depend on the student's width.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, length, inner)``.
        """
        out: torch.Tensor = self.tokens(input_ids)
        return out

    def prepare(self, vocabulary: Vocabulary, nearest_words: NearestWords) -> None:
        """Fill buffers that depend on the tokens' texts; the default does nothing.

        Called once for a new student. The shapes of the buffers must depend on :attr:`shape` and
        the parameters only.

        Args:
            vocabulary: The tokens as text.
            nearest_words: Nearest words of each word.
        """

    def fit(self, tokens: torch.Tensor) -> None:
        """Initialize further parameters from the teacher; the default does nothing.

        Called by :meth:`adopt`, whose argument it gets.
        """

    def adopt(self, tokens: torch.Tensor) -> None:
        """Initialize the token table from the teacher's.

        Called once for a new student, after :meth:`prepare`. Columns beyond the teacher's keep
        their values.

        Args:
            tokens: ``(vocabulary, teacher width)``, columns by falling importance.
        """
        columns = min(tokens.shape[1], self.shape.inner)
        with torch.no_grad():
            self.tokens.weight[:, :columns] = tokens[:, :columns].to(self.tokens.weight)
            if self.shape.padding is not None:
                self.tokens.weight[self.shape.padding].zero_()
            self.fit(tokens)

    def forward(
        self, input_ids: torch.Tensor, mask: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the hidden states of a batch.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.
            token_type_ids: int64 ``(batch, length)``; ``None``: all of type 0.

        Returns:
            ``(batch, length, width)``.

        Raises:
            ArgumentError: A text has more tokens than there are positions.
        """
        return self.embed(self.vectors(input_ids, mask), mask, token_type_ids)

    def embed(
        self, vectors: torch.Tensor, mask: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the hidden states of a batch of vectors, as of :meth:`vectors`.

        The other arguments, the result and the error are those of :meth:`forward`.
        """
        positions = self.positions.num_embeddings
        # Only a batch that is wider than the table is read, because a GPU would have to wait.
        if not tracing() and mask.shape[1] > positions:
            longest = int(mask.sum(dim=1).max())
            if longest > positions:
                raise ArgumentError(
                    f"A text has {longest} tokens, and the student reads at most {positions}. "
                    f"Truncate texts, with truncation=True in calls of a pipeline or of the "
                    f"student's tokenizer, or distil with Distiller(..., positions=)."
                )
        # Counting real tokens keeps positions right on whichever side the padding is.
        position = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        summed = vectors + self.positions(position)
        if token_type_ids is None:
            summed = summed + self.types.weight[0]
        else:
            summed = summed + self.types(token_type_ids)
        out: torch.Tensor = self.norm(self.projection(summed))
        return out


@registry.register("subword_embedding")
class SubwordEmbedding(EmbeddingOperator):
    """A learned vector for each token of the tokenizer."""

    source = "Lan et al. 2020 (ALBERT), section 3.1"
