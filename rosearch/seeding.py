"""Randomness without globals: every draw comes from a root seed and a path of keys.

A path names what the draw is for, such as ``("attack", recipe, text)``. Equal paths give equal
streams in every process, so the order of work, batch sizes and the number of workers
change nothing.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

Seed = int | np.random.Generator
"""A whole number, or a numpy generator that the caller keeps."""


def child_seed(root: int, *path: str | int | float) -> int:
    """A 63-bit seed for ``path`` below ``root``, the same on every machine."""
    payload = json.dumps([int(root), *path], ensure_ascii=True).encode()
    return int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big") >> 1


def generator(root: Seed, *path: str | int | float) -> np.random.Generator:
    """A numpy generator for ``path`` below ``root``.

    A generator given as ``root`` is returned as it is: its owner has seeded it.
    """
    if isinstance(root, np.random.Generator):
        return root
    return np.random.default_rng(child_seed(root, *path))
