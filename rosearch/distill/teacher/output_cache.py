"""A disk cache of a teacher's outputs, shared by all processes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from rosearch.data import Text, hashed_bytes
from rosearch.distill.losses.base import TeacherShape, Wanted
from rosearch.distill.teacher.output_reader import OutputReader
from rosearch.distill.teacher.outputs import OutputPart, TeacherOutputs, is_per_text
from rosearch.distill.tensor_files import read_tensors, write_tensors
from rosearch.errors import DataError
from rosearch.tokens import TokenizedText

TEXTS_PER_FILE = 1024
"""An interrupted computation resumes after the last whole file; until a file is written, its
outputs are held in memory."""


@dataclass(eq=False)
class OutputCache:
    """Computes a teacher's outputs for distinct texts once and stores them in a folder.

    The texts are deduplicated and sorted by a hash of their content, so that a shuffled data set
    reads the same numbers, and batches depend on neither order nor number of processes. Each file
    holds one output for up to 1,024 texts. It is written under another name and then renamed, so
    it is complete or absent.
    """

    folder: Path
    """The teacher's folder of the cache."""

    texts: Sequence[Text]
    """Texts, which may repeat."""

    encoded: Callable[[Sequence[Text]], list[TokenizedText]]
    """Tokenises texts."""

    shape: TeacherShape
    """The teacher's sizes."""

    classes: int
    """Number of classes."""

    storage: str
    """How all outputs except logits are stored, ``"bfloat16"`` or ``"float32"``."""

    def __post_init__(self) -> None:
        digests = np.array([_digest(text) for text in self.texts])
        distinct, first, self._index = np.unique(digests, return_index=True, return_inverse=True)
        key = hashlib.blake2b(b"".join(distinct.tolist()), digest_size=16).hexdigest()
        self._texts = [self.texts[i] for i in first]
        self._folder = self.folder / key

    def size(self, wanted: Wanted) -> int:
        """Return the bytes that missing outputs would take on disk."""
        offsets = self._offsets(wanted)
        total = 0
        for start, end in self._spans():
            for name in self._missing(wanted, start, end):
                rows = end - start if is_per_text(name) else offsets[end] - offsets[start]
                width = self.classes if name == "logits" else self.shape.width
                total += int(rows) * width * (4 if self._stored_as(name) == "float32" else 2)
        return total

    def get(
        self, wanted: Wanted, reader: Callable[[], OutputReader], *, progress: bool
    ) -> TeacherOutputs:
        """Return outputs as memory maps, computing those that are missing.

        Args:
            wanted: Which outputs.
            reader: Makes the reader; called only if an output is missing.
            progress: Whether to show a progress bar.

        Raises:
            DataError: The teacher cannot give an output, see :meth:`OutputReader.read`, or the
                disk has less space than the missing outputs need.
            OSError: The disk cannot be written.
        """
        offsets = self._offsets(wanted)
        spans = self._spans()
        if any(self._missing(wanted, *span) for span in spans):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Other processes wait here, and then find the work done.
            with FileLock(str(self._folder / ".lock")):
                self._compute(wanted, reader, progress=progress)
        parts = []
        for start, end in spans:
            tensors = {}
            for name in wanted.names:
                found = read_tensors(self._path(name, start, end))
                if found is None:
                    raise OSError(f"{self._path(name, start, end)} cannot be read; check the disk.")
                tensors[name] = found["values"]
            parts.append(OutputPart(tensors, offsets[start : end + 1] - offsets[start]))
        return TeacherOutputs(parts, self._index)

    def compute(self, wanted: Wanted, reader: OutputReader) -> TeacherOutputs:
        """Compute outputs now and keep them in memory only."""
        part = OutputPart(reader.read(self._rows, wanted), self._offsets(wanted))
        return TeacherOutputs([part], self._index)

    def _compute(
        self, wanted: Wanted, reader: Callable[[], OutputReader], *, progress: bool
    ) -> None:
        spans = [span for span in self._spans() if self._missing(wanted, *span)]
        if not spans:
            return
        size, free = self.size(wanted), shutil.disk_usage(self._folder).free
        needed = tqdm.format_sizeof(size, "B")
        if size > free:
            raise DataError(
                f"The teacher's outputs take {needed}, and {self._folder} has space for "
                f"{tqdm.format_sizeof(free, 'B')}. Choose another cache_dir, storage='bfloat16', "
                f"or losses that need fewer of the teacher's layers."
            )
        made = reader()
        with tqdm(
            total=sum(end - start for start, end in spans),
            desc=f"teacher ({needed} to cache)",
            unit="text",
            delay=2,
            leave=False,
            disable=not progress,
        ) as bar:
            for start, end in spans:
                computed = made.read(self._rows[start:end], wanted, on_batch=bar.update)
                for name in self._missing(wanted, start, end):
                    write_tensors(self._path(name, start, end), {"values": computed[name]})

    def _spans(self) -> list[tuple[int, int]]:
        """Return the first text of each file, and the one after its last."""
        count = len(self._texts)
        starts = range(0, count, TEXTS_PER_FILE)
        return [(start, min(start + TEXTS_PER_FILE, count)) for start in starts]

    def _missing(self, wanted: Wanted, start: int, end: int) -> list[str]:
        """Return the outputs without a readable file for these texts."""
        paths = {name: self._path(name, start, end) for name in wanted.names}
        return [name for name, path in paths.items() if read_tensors(path) is None]

    def _path(self, name: str, start: int, end: int) -> Path:
        folder = self._folder / f"{name}.{self._stored_as(name)}"
        return folder / f"{start:08}-{end:08}.safetensors"

    def _stored_as(self, name: str) -> str:
        return "float32" if name == "logits" else self.storage

    @cached_property
    def _rows(self) -> list[TokenizedText]:
        return self.encoded(self._texts)

    def _offsets(self, wanted: Wanted) -> np.ndarray:
        # Outputs per text need no lengths, so a process that finds them tokenises nothing.
        if all(map(is_per_text, wanted.names)):
            return np.arange(len(self._texts) + 1)
        return np.cumsum([0, *(len(row.ids) for row in self._rows)])


def _digest(text: Text) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for piece in (text,) if isinstance(text, str) else ("pair", *text):
        digest.update(hashed_bytes(piece))
    # As text, because numpy drops zeros at the end of bytes.
    return digest.hexdigest().encode()
