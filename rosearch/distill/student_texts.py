"""The texts of a distillation as students of one encoding read them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from rosearch.data import Text, TextDataset
from rosearch.distill.losses import Wanted
from rosearch.distill.robust.choices_files import cached_choices
from rosearch.distill.robust.word_perturbation import Replacements
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.teacher.teacher import Teacher
from rosearch.encode import EncodedTokenizer, Encoding, plain_tokenizer
from rosearch.tokens import TokenizedText, WordChoices, tokenize, visible_span
from rosearch.words import word_spans

TeacherReads = Literal["original", "encoded"]


@dataclass(eq=False)
class StudentTexts:
    """Training and dev texts, tokenised for students, and the teacher's outputs for them."""

    teacher: Teacher
    train: TextDataset
    dev: TextDataset

    encoding: Encoding | None
    """What students apply to a text before its tokenisation; ``None``: what the teacher does."""

    wanted: Wanted | None
    """The outputs that losses read, if any."""

    teacher_reads: TeacherReads
    """Whether the teacher answers to a text as it is or to what students read of it."""

    progress: bool
    """Whether to show a progress bar while the teacher computes outputs."""

    max_length: int
    """Tokens after which students' texts are cut."""

    @cached_property
    def tokenizer(self) -> Any:
        """The students' tokenizer: the teacher's, with their encoding."""
        tokenizer = self.teacher.tokenizer
        if self.encoding is not None:
            tokenizer = EncodedTokenizer.wrap(plain_tokenizer(tokenizer), self.encoding)
        if tokenizer.model_max_length > self.max_length:
            tokenizer = copy.deepcopy(tokenizer)
            tokenizer.model_max_length = self.max_length
        return tokenizer

    def tokenize(self, texts: Sequence[Text]) -> list[TokenizedText]:
        """Tokenise texts or pairs as students read them."""
        return tokenize(self.tokenizer, texts, max_length=self.max_length)

    @cached_property
    def train_rows(self) -> list[TokenizedText]:
        """The training texts."""
        return self.tokenize(self.train.texts)

    @cached_property
    def train_as_read(self) -> TextDataset:
        """The training texts without the words that truncation hides."""
        own = self.teacher.tokenizer
        rows = tokenize(own, self.train.texts, max_length=self.max_length)
        read = [
            text if len(row.ids) < self.max_length else self._as_read(text)
            for text, row in zip(self.train.texts, rows, strict=True)
        ]
        return self.train.with_texts(read)

    def _as_read(self, text: Text) -> Text:
        if isinstance(text, str):
            return self._side_as_read(text, 0)
        return self._side_as_read(text, 0), self._side_as_read(text, 1)

    def _side_as_read(self, text: Text, side: int) -> str:
        own = text if isinstance(text, str) else text[side]
        span = visible_span(self.teacher.tokenizer, text, side, max_length=self.max_length)
        start, end = span or (0, len(own))
        words = word_spans(own)  # one that is cut stays whole
        start = min([a for a, b in words if a < start < b], default=start)
        end = max([b for a, b in words if a < end < b], default=end)
        return own[start:end]

    @cached_property
    def dev_rows(self) -> list[TokenizedText]:
        """The dev texts."""
        return self.tokenize(self.dev.texts)

    @cached_property
    def outputs(self) -> TeacherOutputs | None:
        """The teacher's outputs for the training texts; ``None`` if no loss reads any."""
        return None if self.wanted is None else self.outputs_for(self.train)

    @property
    def train_logits(self) -> np.ndarray:
        """The teacher's logits for the training texts, ``(texts, classes)``."""
        return self.teacher.logits(self._answered(self.train), progress=self.progress)

    def outputs_for(self, texts: TextDataset, *, cached: bool = True) -> TeacherOutputs:
        """Return the teacher's outputs for other texts; see :meth:`Teacher.outputs`."""
        texts = self._answered(texts)
        wanted = self.wanted or Wanted()
        return self.teacher.outputs(texts, wanted, progress=self.progress, cached=cached)

    def _answered(self, texts: TextDataset) -> TextDataset:
        """The texts that the teacher answers to."""
        if self.encoding is None or self.teacher_reads == "original":
            return texts
        return texts.with_texts(self.encoding(texts.texts))

    def choices(self, replacements: Replacements) -> WordChoices:
        """Return the replacements in the training texts, as students read them; they are cached."""
        return cached_choices(
            replacements,
            self.train,
            self.tokenizer,
            max_length=self.max_length,
            cache_dir=self.teacher.cache_dir,
        )
