"""Random numbers from a root seed and a path of keys, without global state.

A path names the purpose, such as ``("attack", recipe, text)``. Equal paths give equal streams in
every process, so results do not depend on the order of work, batch sizes or the number of workers.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

Seed = int | np.random.Generator
"""A whole number, or a numpy generator."""


def child_seed(root: int, *path: str | int | float) -> int:
    """A 63-bit seed for ``path`` under ``root``, the same on every machine."""
    payload = json.dumps([int(root), *path], ensure_ascii=True).encode()
    return int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big") >> 1


def generator(root: Seed, *path: str | int | float) -> np.random.Generator:
    """A numpy generator for ``path`` under ``root``; a generator given as ``root`` is returned."""
    if isinstance(root, np.random.Generator):
        return root
    return np.random.default_rng(child_seed(root, *path))
