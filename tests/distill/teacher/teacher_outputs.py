"""Reading of a teacher's outputs and of its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rosearch.data import TextDataset
from rosearch.distill import Teacher, Wanted

EVERYTHING = Wanted(pooled=True, hidden_states=(0, 1, 2), values=(1, 2))


def arrays(teacher: Teacher, data: TextDataset, wanted: Wanted = EVERYTHING) -> dict[str, Any]:
    """All outputs of the data, in its order, as numpy in full."""
    found = teacher.outputs(data, wanted, progress=False)
    batch = found.batch(np.arange(len(data)), length=64)
    tensors = {"logits": batch.logits, "pooled": batch.pooled}
    tensors |= {f"hidden-{k}": t for k, t in batch.hidden_states.items()}
    tensors |= {f"values-{k}": t for k, t in batch.values.items()}
    return {name: t.float().numpy() for name, t in tensors.items() if t is not None}


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def files(cache: Path) -> list[Path]:
    """The files of outputs in a cache folder."""
    return sorted(cache.glob("teachers/*/*/*/*.safetensors"))
