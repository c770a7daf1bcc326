"""Which tokens stand in the scope of a negation, and which before or after a contrast."""

from __future__ import annotations

from typing import Any

import torch

NEGATIONS = ("no", "not", "nor", "n't", "'t", "t")
"""Words whose scope reaches to the next punctuation mark. ``t`` is what WordPiece makes of
``n't``. Those without an apostrophe are stop words, which most attacks leave alone."""

CONTRASTS = ("but",)
"""Words after which a text says something else than before."""

PUNCTUATION = (".", ",", ";", ":", "!", "?", "(", ")", '"', "--")
"""Ends of scopes."""

NEGATION, CONTRAST, END = 1, 2, 3
"""Kinds of cues; 0 is any other token."""

SCOPES = 6
"""Negated or not, times: no contrast in the text, before the last one, after it."""


def cue_tokens(tokenizer: Any) -> list[tuple[int, int]]:
    """Return the ids of the tokens that open or end scopes, and the kind of each, sorted.

    There are none for a tokenizer without these English words.
    """
    vocabulary = tokenizer.get_vocab()
    found: dict[int, int] = {}
    for words, kind in ((NEGATIONS, NEGATION), (CONTRASTS, CONTRAST), (PUNCTUATION, END)):
        for word in words:
            for cased in (word, word.capitalize(), word.upper()):
                # As in WordPiece, byte-level, SentencePiece and ``</w>`` vocabularies.
                for token in (cased, f"\u0120{cased}", f"\u2581{cased}", f"{cased}</w>"):
                    if token in vocabulary:
                        found.setdefault(int(vocabulary[token]), kind)
    return sorted(found.items())


def scopes(kinds: torch.Tensor) -> torch.Tensor:
    """Return the scope of each token of texts, given the kinds of tokens.

    A negation's scope are the tokens after it up to the next punctuation mark (Pang, Lee and
    Vaithyanathan, EMNLP 2002, section 4). A text with contrasts is divided by the last one, which
    belongs to what is before.

    Args:
        kinds: int64 ``(batch, length)``; 0 at padding.

    Returns:
        int64 ``(batch, length)``, from 0 to ``SCOPES - 1``.
    """
    places = torch.arange(1, kinds.shape[1] + 1, device=kinds.device).expand_as(kinds)
    # Each pair of tokens, as ONNX has no cumulative maximum.
    clause = (kinds == END).cumsum(dim=1)
    is_same = clause[:, :, None] == clause[:, None]
    is_before = places[:, :, None] > places[:, None]
    negated = (is_same & is_before & (kinds == NEGATION)[:, None]).any(dim=2) & (kinds != END)
    last = torch.where(kinds == CONTRAST, places, 0).amax(dim=1, keepdim=True)
    side = torch.where(last == 0, 0, torch.where(places <= last, 1, 2))
    found: torch.Tensor = negated.long() + 2 * side
    return found
