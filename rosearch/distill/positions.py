"""How many tokens of a text students can read."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from rosearch.checks import whole_number
from rosearch.data import TextDataset
from rosearch.distill.teacher.teacher import Teacher
from rosearch.errors import ArgumentError
from rosearch.tokens import positions_for


@dataclass(eq=False)
class StudentPositions:
    """Positions of the students of a teacher, given or made to fit the texts.

    Raises:
        ArgumentError: The given number is below 3 or more than the teacher reads.
    """

    teacher: Teacher
    train: TextDataset
    dev: TextDataset

    given: int | None
    """The number, if it is not to fit the texts."""

    def __post_init__(self) -> None:
        if self.given is not None:
            self.given = whole_number("positions", self.given, 3, self.teacher.max_length)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest training or dev text as the teacher reads it."""
        texts = list(dict.fromkeys((*self.train.texts, *self.dev.texts)))
        return max(len(row.ids) for row in self.teacher.tokenize(texts))

    @property
    def count(self) -> int:
        """Maximum tokens of a text, and rows of the position table."""
        return self.given or positions_for(self.longest, limit=self.teacher.max_length)

    def check(self, needs: Collection[str]) -> None:
        """Warn if texts have more tokens than the given number.

        Args:
            needs: The kinds of outputs that losses read.

        Raises:
            ArgumentError: They have, and a loss compares tokens.
        """
        if self.given is None or self.given >= self.longest:
            return
        per_token = sorted({"hidden_states", "values"}.intersection(needs))
        if per_token:
            raise ArgumentError(
                f"positions must be at least {self.longest}, the tokens of the longest text, for a "
                f"loss that compares {per_token[0]} token by token, got {self.given}. Give more, "
                f"or leave out that loss."
            )
        warnings.warn(
            f"The longest text of train and dev has {self.longest} tokens, of which students with "
            f"positions={self.given} read the first {self.given}.",
            UserWarning,
            stacklevel=4,
        )
