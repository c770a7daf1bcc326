"""Hugging Face configuration of a student."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig

from rosearch.space import Genome


class StudentConfig(PretrainedConfig):
    """Architecture and sizes of a student.

    Args:
        genome: Architecture, as a Genome or its ``to_dict()``. Default: a bag of words, for
            Hugging Face, which creates default configurations for comparison.
        vocab_size: Tokens of the tokenizer, which students share with their teacher.
        max_position_embeddings: Maximum number of tokens in a text.
        type_vocab_size: Token types (segments).
        dropout: Dropout probability after each operator and before the classifier.
        pad_token_id: Id of the padding token, whose vector stays zero.
        cues: Tokens that open or end scopes, and their kinds, for genomes with ``scopes``; see
            :func:`rosearch.operators.scopes.cue_tokens`.
        kwargs: Arguments of every Hugging Face configuration, such as ``num_labels``.

    Raises:
        GenomeError: The genome is invalid.
    """

    model_type = "rosearch (import rosearch before loading)"
    """In the error of a process without rosearch, which shows nothing else of the folder."""

    def __init__(
        self,
        genome: Genome | dict[str, Any] | None = None,
        vocab_size: int = 30522,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        dropout: float = 0.1,
        pad_token_id: int | None = 0,
        cues: Sequence[Sequence[int]] = (),
        **kwargs: Any,
    ) -> None:
        if genome is None:
            genome = Genome(width=128, embedding_width=128)
        if not isinstance(genome, Genome):
            genome = Genome.from_dict(genome)
        self.genome: dict[str, Any] = genome.to_dict()
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.dropout = dropout
        if cues or genome.scopes:
            self.cues = [[int(token), int(kind)] for token, kind in cues]
        super().__init__(pad_token_id=pad_token_id, **kwargs)
        # Assigned again: from version 5 on, transformers leaves unknown names to the subclass.
        self.pad_token_id = pad_token_id

    @property
    def architecture(self) -> Genome:
        """The genome as a :class:`~rosearch.Genome`."""
        return Genome.from_dict(self.genome)
