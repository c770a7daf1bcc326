"""Input in which all words of a group of synonyms share one vector."""

from __future__ import annotations

import torch
from torch.nn import functional

from rosearch.operators.base import registry
from rosearch.operators.inputs.base import EmbeddingOperator, IndirectTable, InputShape
from rosearch.operators.inputs.vocabulary import NearestWords, Vocabulary
from rosearch.parameters import Choice


class CodedTable(IndirectTable):
    """An embedding table in which several tokens may share a row.

    Args:
        tokens: Rows.
        width: Columns.
        padding: Row that stays zero.
    """

    codes: torch.Tensor
    """int32 buffer ``(tokens,)``: the row that a token reads, initially its own."""

    def __init__(self, tokens: int, width: int, *, padding: int | None) -> None:
        super().__init__(tokens, width, padding_idx=padding)
        self.register_buffer("codes", torch.arange(tokens, dtype=torch.int32))

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's own name
        return functional.embedding(self.codes[input].long(), self.weight, self.padding_idx)


@registry.register("synonym_code_embedding")
class SynonymCodeEmbedding(EmbeddingOperator):
    """All words of a group of synonyms share one vector.

    The Synonym Encoding Method (Wang et al. 2021, algorithm 1): words are visited from the most
    frequent to the rarest. A word without a code gets that of its nearest synonym with a code, or
    becomes a code itself; its synonyms without a code then get the same. A student cannot tell the
    words of a group apart, so substituting one for another changes nothing. Neither can it on
    clean text: where a group contains words of opposite meaning, as groups by vectors may, accuracy
    falls.

    Token frequencies are unknown here. The order of ids stands for them: WordPiece and BPE
    vocabularies are listed roughly by falling frequency. The paper's synonyms are the nearest words
    among counter-fitted GloVe vectors within a distance; here they come from
    :class:`~rosearch.operators.NearestWords`. With WordNet the groups are the substitutions of PWWS
    and other WordNet attacks: a gain under these says little about attacks with other words.

    There are no more parameters than in the plain input; some rows of the table are unused, and the
    buffer of ``vocabulary`` codes is saved with the student. Before :meth:`prepare` it is the plain
    input. Special tokens, pieces inside words and tokens other than letters keep their own vector.

    Args:
        shape: Sizes of the tables.
        neighbours: Maximum number of synonyms of a word (``k`` in the paper).
        threshold: Minimum nearness of a synonym, 0 to 1; the paper has a maximum distance
            ``delta``.
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

    def prepare(self, vocabulary: Vocabulary, nearest_words: NearestWords) -> None:
        """Compute the code of each word.

        Raises:
            ArgumentError: The vocabulary and the table differ in size.
        """
        vocabulary.check(self.shape.vocabulary)
        codes: dict[int, int] = {}
        for own, near in vocabulary.near(nearest_words, count=self.count):
            synonyms = [other for other, nearness in near if nearness >= self.threshold]
            if own not in codes:
                # Nearest first, so the first that has a code is the nearest that has one.
                codes[own] = next((codes[s] for s in synonyms if s in codes), own)
            for synonym in synonyms:
                codes.setdefault(synonym, codes[own])
        self.tokens.codes[list(codes)] = torch.tensor(list(codes.values()), dtype=torch.int32)
