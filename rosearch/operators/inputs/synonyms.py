"""An input where all words of a group of synonyms read one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from rosearch.operators.base import Choice, registry
from rosearch.operators.inputs.base import EmbeddingOperator, IndirectTable, InputShape

if TYPE_CHECKING:
    from rosearch.operators.inputs.vocabulary import Lexicon, Vocabulary


class CodedTable(IndirectTable):
    """A table of vectors in which several tokens may share a row.

    Args:
        tokens: Rows.
        width: Columns.
        padding: Row that stays zero.
    """

    codes: torch.Tensor
    """int32 buffer ``(tokens,)``: the row that a token reads, at first its own."""

    def __init__(self, tokens: int, width: int, *, padding: int | None) -> None:
        super().__init__(tokens, width, padding_idx=padding)
        self.register_buffer("codes", torch.arange(tokens, dtype=torch.int32))

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's own name
        return functional.embedding(self.codes[input].long(), self.weight, self.padding_idx)


@registry.register("synonym_code_embedding")
class SynonymCodeEmbedding(EmbeddingOperator):
    """All words of a group of synonyms read one shared vector.

    The Synonym Encoding Method (Wang et al. 2021, algorithm 1): words are visited from the most
    frequent to the rarest. One that has no code yet takes over that of its nearest synonym that
    has one, else it becomes a code itself; its synonyms without a code then get the same. A
    student cannot tell the words of a group apart, so replacing one by another changes nothing.
    It cannot tell them apart on clean text either: where a group holds words of opposite meaning,
    as groups by vectors may, accuracy falls.

    Token frequencies are unknown here. The order of ids stands for them: WordPiece and BPE
    vocabularies are listed about from frequent to rare. The paper's synonyms are the nearest words
    among counter-fitted GloVe vectors within a distance; here they are what the
    :class:`~rosearch.operators.inputs.vocabulary.Lexicon` says. With the WordNet lexicon this
    input knows the list that PWWS and other WordNet attacks draw from: what it wins there says
    little of attacks that draw their words elsewhere.

    Costs no parameters more than the plain input, and some of the table's rows are read by no one;
    the buffer of ``vocabulary`` codes is saved and is no parameter. Before :meth:`prepare` it is
    the plain input. Special tokens, pieces within words and tokens that are no letters keep
    their own vector.

    Args:
        shape: The sizes.
        neighbours: Synonyms of a word at most (the paper's ``k``).
        threshold: Nearness from which a neighbour counts as a synonym; the paper's distance
            ``delta`` the other way round.
    """

    choices = {
        "neighbours": Choice(2, 4, 8, default=4),
        "threshold": Choice(0.3, 0.5, 0.6, 0.7, default=0.6),
    }
    source = "Wang et al. 2021 (Synonym Encoding Method), algorithm 1"

    tokens: CodedTable

    def __init__(self, shape: InputShape, *, neighbours: int, threshold: float) -> None:
        super().__init__(shape)
        self.count = neighbours
        self.threshold = threshold
        self.tokens = CodedTable(shape.vocabulary, shape.inner, padding=shape.padding)

    def prepare(self, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
        """Give each word its code.

        Raises:
            ValueError: The vocabulary is not that of the table.
        """
        vocabulary.check(self.shape.vocabulary)
        codes: dict[int, int] = {}
        for own, near in vocabulary.near(lexicon, count=self.count):
            synonyms = [other for other, nearness in near if nearness >= self.threshold]
            if own not in codes:
                # Nearest first, so the first that has a code is the nearest that has one.
                codes[own] = next((codes[s] for s in synonyms if s in codes), own)
            for synonym in synonyms:
                codes.setdefault(synonym, codes[own])
        filled = torch.arange(self.shape.vocabulary)
        filled[list(codes)] = torch.tensor(list(codes.values()), dtype=filled.dtype)
        self.tokens.codes.copy_(filled)
