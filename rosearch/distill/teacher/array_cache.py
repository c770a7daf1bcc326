"""Arrays on disk that are computed once: written in parts, checked, and read as memory maps."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rosearch.caching import share
from rosearch.errors import DataError

FORMAT = 1
"""Of the files; files of another format are computed again."""

ROWS_A_PART = 1024
"""Examples after which what is computed is safe on disk. Until then they are held in memory."""

ALWAYS_CHECKED = 2**26
"""Bytes up to which a file's checksums are verified whenever it is opened. Those of a larger file
are verified when its size or time of change are not as they were when it was last found good."""

STORAGE = ("bfloat16", "float32")
"""How numbers are stored."""


@dataclass(frozen=True)
class CachedArray:
    """A matrix in a file, with a manifest beside it that says what it is and how far it is.

    Every example has one or more rows of the matrix: one for its logits, one a token for hidden
    states. Numbers are stored as float32, or as bfloat16 in the bits of uint16, which numpy lacks
    a type for. A part's checksum enters the manifest once the part is on the disk, so that an
    interrupted computation goes on after the last whole part. One process at a time may write;
    any number may read, because nobody reads before the manifest is complete.
    """

    path: Path
    """The data; the manifest has ``.json`` behind the name."""

    identity: Mapping[str, str]
    """What the numbers are and come from. A file of another identity is never used."""

    offsets: np.ndarray
    """int64 ``(examples + 1,)``: the matrix's row at which each example begins, and the end."""

    width: int
    """Columns."""

    storage: str
    """One of :data:`STORAGE`."""

    @property
    def bytes(self) -> int:
        """Size of the whole file."""
        return int(self.offsets[-1]) * self.width * self._dtype.itemsize

    @cached_property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """First example and end of each part."""
        count = len(self.offsets) - 1
        return tuple((k, min(k + ROWS_A_PART, count)) for k in range(0, count, ROWS_A_PART))

    def open(self) -> np.ndarray | None:
        """A read-only map of the whole matrix; ``None`` if it is not there, not whole, or damaged.

        Returns:
            ``(rows, width)``, float32 or, for bfloat16, uint16; see :func:`to_tensor`.
        """
        manifest = self._manifest()
        if manifest is None or len(manifest["sums"]) != len(self.parts):
            return None
        try:
            state = self._state()
            if state[0] != self.bytes:
                return None
            if self.bytes <= ALWAYS_CHECKED or state != manifest.get("state"):
                if self._good_parts(manifest["sums"]) != len(self.parts):
                    return None
                self._remember(manifest, state)
            return np.memmap(
                self.path, self._dtype, mode="r", shape=(int(self.offsets[-1]), self.width)
            )
        except (OSError, ValueError):
            return None

    def begin(self) -> int:
        """Make ready for writing, and tell how many parts there are already that can be kept."""
        manifest = self._manifest()
        kept = 0
        # A part that was written and not yet entered in the manifest may follow, but nothing else.
        if manifest is not None and self.path.exists() and self._state()[0] <= self.bytes:
            kept = self._good_parts(manifest["sums"])
        if kept == 0:
            # Never written over: a process may have the old file mapped.
            self.path.unlink(missing_ok=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self._write_manifest({**self._header, "sums": []})
        elif manifest is not None and kept < len(manifest["sums"]):
            self._renew(manifest, kept)
        return kept

    def write(self, part: int, values: torch.Tensor) -> None:
        """Add the next part.

        Args:
            part: Its number.
            values: ``(rows of the part, width)``.

        Raises:
            DataError: The shape is another, or a value is not finite, and so of no use to any
                student.
        """
        first, end = self.parts[part]
        expected = (int(self.offsets[end] - self.offsets[first]), self.width)
        if tuple(values.shape) != expected:
            raise DataError(
                f"The teacher's {self.identity.get('what', 'outputs')} have the shape "
                f"{tuple(values.shape)}; expected {expected} by its configuration. Nothing is "
                f"cached; leave out the loss that needs them."
            )
        if not bool(torch.isfinite(values).all()):
            raise DataError(
                f"The teacher's {self.identity.get('what', 'outputs')} are not finite (in float32: "
                f"check its weights; in bfloat16: try precision='float32'). Nothing is cached."
            )
        data = to_array(values, self.storage).tobytes()
        start, _ = self._span(part)
        with self.path.open("r+b") as file:
            file.seek(start)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        manifest = self._manifest()
        if manifest is None or len(manifest["sums"]) != part:
            raise OSError(f"{self.path} was changed by another process while it was written.")
        manifest["sums"].append(zlib.crc32(data))
        if len(manifest["sums"]) == len(self.parts):
            manifest["state"] = self._state()
        self._write_manifest(manifest)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype("<u2" if self.storage == "bfloat16" else "<f4")

    @cached_property
    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "identity": dict(self.identity),
            "examples": len(self.offsets) - 1,
            "examples_a_part": ROWS_A_PART,
            "offsets": zlib.crc32(np.ascontiguousarray(self.offsets, dtype="<i8").tobytes()),
            "width": self.width,
            "storage": self.storage,
        }

    @property
    def _manifest_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _manifest(self) -> dict[str, Any] | None:
        """The manifest, if there is one and it is this array's."""
        try:
            found = json.loads(self._manifest_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or not isinstance(found.get("sums"), list):
            return None
        if {k: found.get(k) for k in self._header} != self._header:
            return None
        return found if len(found["sums"]) <= len(self.parts) else None

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        # Moved into place, so that no process ever reads half of it.
        handle, scratch = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(manifest, file)
                file.flush()
                os.fsync(file.fileno())
            share(Path(scratch))
            Path(scratch).replace(self._manifest_path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise

    def _state(self) -> list[int]:
        status = self.path.stat()
        return [status.st_size, status.st_mtime_ns]

    def _remember(self, manifest: dict[str, Any], state: list[int]) -> None:
        if state == manifest.get("state"):
            return
        try:
            self._write_manifest({**manifest, "state": state})
        except OSError:
            return  # a cache on a read-only disk is verified each time

    def _span(self, part: int) -> tuple[int, int]:
        """Bytes at which a part begins and ends."""
        first, end = self.parts[part]
        row = self.width * self._dtype.itemsize
        return int(self.offsets[first]) * row, int(self.offsets[end]) * row

    def _good_parts(self, sums: list[int]) -> int:
        """How many parts from the first on hold what was written."""
        with self.path.open("rb") as file:
            for part, expected in enumerate(sums):
                start, end = self._span(part)
                check, left = 0, end - start
                while left > 0:
                    block = file.read(min(left, 2**22))
                    if not block:
                        return part
                    check, left = zlib.crc32(block, check), left - len(block)
                if check != expected:
                    return part
        return len(sums)

    def _renew(self, manifest: dict[str, Any], kept: int) -> None:
        """Keep the first parts in a new file, because the old one may be mapped somewhere."""
        handle, scratch = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as target, self.path.open("rb") as source:
            left = self._span(kept - 1)[1]
            while left > 0:
                block = source.read(min(left, 2**22))
                target.write(block)
                left -= len(block)
        self._write_manifest({**self._header, "sums": manifest["sums"][:kept]})
        share(Path(scratch))
        Path(scratch).replace(self.path)


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: Where it is to be; an existing folder.
        needed: Bytes.

    Raises:
        DataError: There is less room.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"The teacher's outputs take {in_words(needed)}, and {folder} has room for "
            f"{in_words(free)}. Choose another cache_dir, storage='bfloat16', or losses that need "
            f"fewer of the teacher's layers."
        )


def in_words(size: int) -> str:
    """A number of bytes as people read it."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def to_tensor(stored: np.ndarray) -> torch.Tensor:
    """Stored numbers as a tensor of their type.

    Args:
        stored: float32, or the bits of bfloat16 as uint16; copied.
    """
    if stored.dtype == np.dtype("<u2"):
        return torch.from_numpy(stored.astype("<u2").view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(stored, dtype=np.float32))


def to_array(values: torch.Tensor, storage: str) -> np.ndarray:
    """Numbers as they are stored: float32, or the bits of bfloat16 as uint16."""
    values = values.detach().cpu().contiguous()
    if storage == "bfloat16":
        bits: np.ndarray = values.to(torch.bfloat16).view(torch.int16).numpy()
        return bits.view("<u2")
    return np.asarray(values.float().numpy(), dtype="<f4")
