"""A constraint on meaning: the new text must be similar to the old one."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any, Literal

from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.resources.sentence_encoders import SentenceEncoder
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.checks import choice, number, whole_number
from rosearch.errors import ArgumentError


class SentenceSimilarity(Constraint):
    """Requires the embeddings of the new and the old text to be similar.

    Like TextAttack's ``SentenceEncoder``. The thresholds of published recipes were tuned for the
    Universal Sentence Encoder; with another encoder the same number allows other texts.

    Args:
        encoder: A :class:`~rosearch.attack.resources.sentence_encoders.SentenceEncoder`, or the
            first argument of one: a name, a folder, a ``SentenceTransformer`` or a function.
            Default: all-MiniLM-L6-v2.
        threshold: Minimum similarity, from -1 to 1.
        metric: ``"cosine"``, or ``"angular"``: one minus the angle divided by pi.
        window: Number of words around the change that are compared. Default: the whole text.
        skip_short: Whether to allow any change of a text of fewer words than ``window``, with
            similarity 1.
        against: ``"original"``, or ``"previous"``: the text before this one change.

    Raises:
        MissingResourceError: The encoder is not available.
        ArgumentError: A setting is out of range, or ``skip_short`` is set without ``window``.
    """

    name = "sentence-similarity"
    expensive = True

    def __init__(
        self,
        encoder: Any = None,
        threshold: float = 0.8,
        *,
        metric: Literal["cosine", "angular"] = "cosine",
        window: int | None = None,
        skip_short: bool = False,
        against: Literal["original", "previous"] = "original",
    ) -> None:
        if skip_short and window is None:
            raise ArgumentError("skip_short=True skips texts shorter than window; give window too.")
        self.threshold = number("threshold", threshold, -1, 1)
        self.metric = choice("metric", metric, ("cosine", "angular"))
        self.window = None if window is None else whole_number("window", window)
        self.skip_short = skip_short
        self.against = choice("against", against, ("original", "previous"))
        self.encoder = encoder if isinstance(encoder, SentenceEncoder) else SentenceEncoder(encoder)

    def examine(self, change: Change) -> Asking[Examined]:
        reference = change.original if self.against == "original" else change.current
        # Made once, because the encoder keeps the pairs of texts in memory.
        old_window = cache(partial(text_window, reference, size=self.window))
        similarities = [1.0] * len(change.candidates)
        asked: list[int] = []
        questions: list[tuple[str, str]] = []
        for position, candidate in enumerate(change.candidates):
            if self.skip_short and self.window is not None and len(candidate) < self.window:
                continue
            # TextAttack takes the index that its set yields first.
            index = next(iter(set(change.new_words(candidate))), change.index)
            old, new = old_window(index), text_window(candidate, index, self.window)
            if old != new:
                asked.append(position)
                questions.append((old, new))
        cosines = (yield Ask(self.encoder, questions)) if questions else ()
        for position, cosine in zip(asked, cosines, strict=True):
            similarities[position] = cosine if self.metric == "cosine" else _angular(cosine)
        return Examined([value >= self.threshold for value in similarities], similarities)


def _angular(cosine: float) -> float:
    # Rounding may leave a cosine just outside the range of acos.
    return 1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi


def text_window(text: Words, index: int, size: int | None) -> str:
    """The part of ``text`` from the first to the last of ``size`` words around word ``index``.

    Near an end of the text the window is moved inwards, as in TextAttack.

    Args:
        text: A text.
        index: Index of a word; an index past the end counts as the end.
        size: Number of words; ``None`` takes all.
    """
    if not len(text):
        return text.text
    size = len(text) if size is None else min(size, len(text))
    start = min(max(0, index - size // 2), len(text) - size)
    return "".join(text.pieces[2 * start + 1 : 2 * (start + size)])
