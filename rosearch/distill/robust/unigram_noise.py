"""Data augmentation by random words of the training texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from rosearch.checks import number, whole_number
from rosearch.data import Text, TextDataset
from rosearch.distill.robust.perturbed_texts import Answers
from rosearch.seeding import generator
from rosearch.words import word_spans, words_of


@dataclass(frozen=True)
class UnigramNoise:
    """Training texts with random words in them, for ``Distiller(augmentation=...)``.

    Each word is replaced with probability ``share`` by a word drawn from all words of the training
    texts (unigram noising, Xie et al. 2017, eq. 3), and the student learns the teacher's outputs
    for the result. So it sees what the teacher makes of each word in many more contexts than the
    training texts have, which helps most where they are few.

    The texts depend only on ``seed``, the training texts, the copy and, with ``redraw``, the epoch;
    all students share them and the teacher's outputs for them. Both texts of a pair are changed.

    Raises:
        ArgumentError: A setting is out of range.
    """

    share: float = 0.3
    """Probability that a word is replaced, above 0 and at most 1."""

    copies: int = 3
    """Changed texts per example and epoch."""

    redraw: bool = False
    """Whether to draw other texts in every epoch; the teacher then reads each of them."""

    seed: int = 0
    """Seed of all draws."""

    answers: ClassVar[Answers] = "perturbed"

    def __post_init__(self) -> None:
        number("share", self.share, 0.0, 1.0, open_minimum=True)
        whole_number("copies", self.copies)
        whole_number("seed", self.seed, None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings as plain values."""
        return {"name": "unigram_noise", **asdict(self)}

    def texts(self, dataset: TextDataset, *, epoch: int) -> list[tuple[int, Text]]:
        """Return changed texts, each with the position of its original.

        Args:
            dataset: The training texts.
            epoch: Other epochs give other texts.
        """
        texts = [(text,) if isinstance(text, str) else text for text in dataset.texts]
        words = [word for text in texts for part in text for word in words_of(part)]
        found: list[tuple[int, Text]] = []
        for copy in range(self.copies):
            rng = generator(self.seed, "unigram noise", epoch, copy)
            for k, text in enumerate(texts):
                noisy = tuple(self._noisy(part, words, rng) for part in text)
                if noisy != text:
                    found.append((k, noisy[0] if len(noisy) == 1 else (noisy[0], noisy[1])))
        return found

    def _noisy(self, text: str, words: list[str], rng: np.random.Generator) -> str:
        spans = word_spans(text)
        chosen = rng.random(len(spans)) < self.share
        pieces, done = [], 0
        for (start, end), replaced in zip(spans, chosen, strict=True):
            if replaced:
                pieces += [text[done:start], words[rng.integers(len(words))]]
                done = end
        return "".join([*pieces, text[done:]])
