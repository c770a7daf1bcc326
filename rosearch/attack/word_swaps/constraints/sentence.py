"""Sentence similarity: a new text must mean what the old one meant."""

from __future__ import annotations

import math
from typing import Any, Literal

from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.resources.sentence_encoders import SentenceEncoder
from rosearch.attack.settings import check_number, check_whole
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.vectors import new_words
from rosearch.errors import DataError


class SentenceSimilarity(Constraint):
    """The embedding of the new text is near to that of the old one.

    As TextAttack's ``SentenceEncoder``. The thresholds of published recipes were tuned for the
    Universal Sentence Encoder; with another encoder the same number lets other texts pass.

    Args:
        encoder: A :class:`~rosearch.attack.resources.sentence_encoders.SentenceEncoder`, or what
            makes one (name, folder, ``SentenceTransformer``, function). Default: all-MiniLM-L6-v2.
        threshold: Least similarity.
        metric: ``"cosine"``, or ``"angular"``: one minus the angle as a share of half a turn.
        window: Compare this many words around the change only. Default: the whole text.
        skip_short: Let texts of fewer words than ``window`` pass unseen, with similarity 1.
        against: ``"original"`` or ``"previous"``, the text before this one change.

    Raises:
        MissingResourceError: The encoder is not on this machine.
        DataError: A setting is out of range, or ``skip_short`` comes without ``window``.
    """

    name = "sentence-similarity"
    dear = True

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
        if metric not in ("cosine", "angular"):
            raise DataError(f"metric is 'cosine' or 'angular', got {metric!r:.80}.")
        if against not in ("original", "previous"):
            raise DataError(f"against is 'original' or 'previous', got {against!r:.80}.")
        if skip_short and window is None:
            raise DataError("skip_short=True skips texts shorter than window; give window too.")
        self.threshold = check_number("threshold", threshold, least=-1, most=1)
        self.metric = metric
        self.window = None if window is None else check_whole("window", window)
        self.skip_short = skip_short
        self.against = against
        self.encoder = encoder if isinstance(encoder, SentenceEncoder) else SentenceEncoder(encoder)

    def examine(self, change: Change) -> Asking[Examined]:
        reference = change.original if self.against == "original" else change.current
        similarities = [1.0] * len(change.candidates)
        asked: list[int] = []
        questions: list[tuple[str, str]] = []
        # Made once, because answers are remembered by their pair of texts.
        windows: dict[int, str] = {}
        for place, candidate in enumerate(change.candidates):
            if self.skip_short and self.window is not None and len(candidate) < self.window:
                continue
            # TextAttack takes whichever index its set yields first.
            index = next(
                iter(set(new_words(change.current, candidate, change.index))), change.index
            )
            if index not in windows:
                windows[index] = text_window(reference, index, self.window)
            old = windows[index]
            new = text_window(candidate, index, self.window)
            if old != new:
                asked.append(place)
                questions.append((old, new))
        cosines = (yield Ask(self.encoder, questions)) if questions else ()
        for place, cosine in zip(asked, cosines, strict=True):
            similarities[place] = self._similarity(cosine)
        return Examined([value >= self.threshold for value in similarities], similarities)

    def _similarity(self, cosine: float) -> float:
        if self.metric == "cosine":
            return cosine
        # Rounding may leave a cosine just outside the range of acos.
        return 1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi


def text_window(text: Words, index: int, size: int | None) -> str:
    """The part of ``text`` from the first to the last of ``size`` words around word ``index``.

    Near an end of the text the window is moved inwards, as in TextAttack.

    Args:
        text: A text.
        index: A word of it; one behind the end counts as the end.
        size: Number of words; ``None``: all.
    """
    length = len(text)
    if not length:
        return text.text
    half = math.inf if size is None else (size - 1) / 2
    if size is None or index - half < 0:
        start, end = 0, (length if size is None else min(size, length)) - 1
    elif index + half >= length:
        start, end = max(0, length - size), length - 1
    else:
        start, end = index - math.ceil(half), index + math.floor(half)
    return "".join(text.pieces[2 * start + 1 : 2 * end + 2])
