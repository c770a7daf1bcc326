"""What attacks may put in place of words, as tokens: made by attacks, read by training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choices:
    """What may stand in place of words, as tokens, for all texts of a data set.

    Flat arrays, because there are millions of them. Slot ``s`` is ``tokens[starts[s]:ends[s]]`` of
    its text's row; a text's slots lie in order and do not overlap. A slot's choices are
    ``first_choices[s]`` to ``first_choices[s + 1]``, and the first is what the text has there.
    Choice ``c`` has the tokens ``ids[first_ids[c]:first_ids[c + 1]]``, at least one.
    """

    first_slots: np.ndarray
    """int64 ``(texts + 1,)``, the first slot of each text."""
    starts: np.ndarray
    """int64 ``(slots,)``, first token in the row."""
    ends: np.ndarray
    """int64 ``(slots,)``, the token after the last."""
    first_choices: np.ndarray
    """int64 ``(slots + 1,)``."""
    first_ids: np.ndarray
    """int64 ``(choices + 1,)``."""
    ids: np.ndarray
    """int32, the tokens of all choices."""
