"""How tokens become hidden states: the base class of inputs, and the factorised embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from rosearch.operators.base import Searchable, registry

if TYPE_CHECKING:
    from rosearch.operators.inputs.vocabulary import Lexicon, Vocabulary


@dataclass(frozen=True)
class InputShape:
    """The sizes that an input has to fit."""

    vocabulary: int
    """Tokens of the tokenizer."""

    positions: int
    """Longest text in tokens."""

    types: int
    """Token types (segments)."""

    inner: int
    """The genome's embedding width."""

    width: int
    """Channels of the hidden states."""

    padding: int | None = None
    """Id of the padding token, whose vector stays zero."""


class IndirectTable(nn.Embedding):
    """A table of vectors that tokens read in another way than each its own row.

    Subclasses override ``forward``.
    """

    def table(self) -> torch.Tensor:
        """What each token reads, ``(tokens, width)``; for attacks that see the model's weights."""
        out: torch.Tensor = self(torch.arange(self.num_embeddings, device=self.weight.device))
        return out


class EmbeddingOperator(Searchable):
    """What a genome's input computes, from ``(batch, length)`` to ``(batch, length, width)``.

    This is where an attack enters: a replaced word changes its token's vector and nothing else.
    Token, position and type vectors of a small width are summed, projected to the student's
    width and normalised. The factorisation is ALBERT's (Lan et al. 2020): vocabulary times
    embedding width plus embedding width times width, instead of vocabulary times width.

    Authors override :meth:`vectors`, :meth:`prepare` where the input needs to know what the
    tokens are, and :meth:`adopt` where more than the token table can start from the teacher.
    :class:`rosearch.testing.EmbeddingConformance` holds the tests that every input must pass. An
    input that reads its table in another way does best to replace ``self.tokens`` by an
    :class:`IndirectTable`, whose method ``table()`` is what each token reads: attacks that see the
    model's weights then see what the model computes.

    Args:
        shape: The sizes.
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
        """What stands for each token before its position and type are added.

        What it computes must not depend on the width.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, length, inner)``.
        """
        out: torch.Tensor = self.tokens(input_ids)
        return out

    def prepare(self, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
        """Fill what is fixed and follows from the tokens themselves; by default there is nothing.

        Called once for a new student. Keep what is filled here in buffers, so that it is saved
        with the student; their shapes must follow from :attr:`shape` and the parameters alone.

        Args:
            vocabulary: The tokens as text.
            lexicon: Which words are near each other.
        """

    def adopt(self, tokens: torch.Tensor) -> None:
        """Start from a teacher's token vectors.

        Called once for a new student, after :meth:`prepare`. What the teacher's table has no
        column for stays as it is.

        Args:
            tokens: ``(vocabulary, teacher width)``, columns by falling importance.
        """
        columns = min(tokens.shape[1], self.shape.inner)
        with torch.no_grad():
            self.tokens.weight[:, :columns] = tokens[:, :columns].to(self.tokens.weight)
            if self.shape.padding is not None:
                self.tokens.weight[self.shape.padding].zero_()

    def forward(
        self, input_ids: torch.Tensor, mask: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> torch.Tensor:
        """Hidden states of a batch.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.
            token_type_ids: int64 ``(batch, length)``; ``None``: all of type 0.

        Returns:
            ``(batch, length, width)``.
        """
        # Counting real tokens keeps positions right whichever side the padding is on.
        position = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        summed = self.vectors(input_ids, mask) + self.positions(position)
        if token_type_ids is None:
            summed = summed + self.types.weight[0]
        else:
            summed = summed + self.types(token_type_ids)
        out: torch.Tensor = self.norm(self.projection(summed))
        return out


@registry.register("subword_embedding")
class SubwordEmbedding(EmbeddingOperator):
    """A learned vector for every token of the tokenizer.

    Args:
        shape: The sizes.
    """

    source = "Lan et al. 2020 (ALBERT), section 3.1"
