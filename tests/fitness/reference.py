"""Dominance and hypervolume by their definitions, to test what is computed from them."""

from __future__ import annotations

import moocore
import numpy as np


def beats(a, b):
    """Dominance, written as its definition."""
    if any(np.isnan(a)):
        return False
    if any(np.isnan(b)):
        return True
    return all(x >= y for x, y in zip(a, b, strict=True)) and list(a) != list(b)


def hypervolume(points, corner):
    points = np.asarray(points)
    above = points[(points > corner).all(axis=1)]
    return moocore.hypervolume(above, ref=corner, maximise=True) if len(above) else 0.0
