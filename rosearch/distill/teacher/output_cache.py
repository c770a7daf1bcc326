"""A disk cache of a teacher's outputs, shared by all processes."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import compress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from rosearch.data import Text, hashed_bytes
from rosearch.distill.losses.base import TeacherShape, Wanted
from rosearch.distill.teacher.output_reader import OutputReader
from rosearch.distill.teacher.outputs import Output, OutputPart, TeacherOutputs, is_per_text
from rosearch.distill.tensor_files import read_tensors, read_unverified, write_tensors
from rosearch.errors import DataError
from rosearch.progress import bytes_text, progress_bar
from rosearch.tokens import TokenizedText

TEXTS_PER_FILE = 1024
"""An interrupted computation resumes after the last whole file; until a file is written, its
outputs are held in memory."""

_DIGEST = np.dtype("S16")
"""Fixed size, so that NumPy compares all 16 bytes; it drops zeros only from single elements."""


@dataclass(eq=False)
class OutputCache:
    """Computes a teacher's outputs for each distinct text once and stores them in a folder.

    Any data set whose texts are known is served, whatever data sets they were computed for. A file
    holds one output for up to 1,024 texts, and the texts' digests, by which it is found. It is
    written under another name and then renamed, so it is complete or absent. Where several files
    hold a text, the first by name counts.

    The batch in which a text was computed decides the last bits of its outputs, for all readers.
    Texts that a data set adds are batched in the order of their digests: which texts were unknown,
    and the token budget, matter, but neither order and repetitions nor the number of processes.
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
        digests = np.frombuffer(b"".join(map(_digest, self.texts)), dtype=_DIGEST)
        self._digests, first, self._index = np.unique(
            digests, return_index=True, return_inverse=True
        )
        self._texts = [self.texts[i] for i in first]
        self._folder = self.folder / "outputs"

    def size(self, wanted: Wanted) -> int:
        """Return the bytes that missing outputs would take on disk."""
        return self._size(list(self._gaps(self._find(wanted))))

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
        found = self._find(wanted)
        if not all(known.complete for known in found.values()):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Other processes wait here, and then find the work done.
            with FileLock(str(self._folder / ".lock")):
                self._compute(wanted, reader, progress=progress)
            found = self._find(wanted)
        for name, known in found.items():
            if not known.complete:
                raise OSError(f"Files in {self._path(name)} cannot be read; check the disk.")
        return TeacherOutputs(
            {name: Output(known.parts, known.places[self._index]) for name, known in found.items()}
        )

    def compute(self, wanted: Wanted, reader: OutputReader) -> TeacherOutputs:
        """Compute outputs now and keep them in memory only."""
        rows = self.encoded(self._texts)
        computed = reader.read(rows, wanted)
        outputs = {}
        for name in wanted.names:
            part = _part(computed[name], None if is_per_text(name) else _lengths(rows))
            outputs[name] = Output([part], self._index)
        return TeacherOutputs(outputs)

    def _compute(
        self, wanted: Wanted, reader: Callable[[], OutputReader], *, progress: bool
    ) -> None:
        found = self._find(wanted)
        gaps = list(self._gaps(found))
        if not gaps:
            return
        size, free = self._size(gaps), shutil.disk_usage(self._folder).free
        needed = bytes_text(size)
        if size > free:
            raise DataError(
                f"The teacher's outputs take {needed}, and {self._folder} has space for "
                f"{bytes_text(free)}. Choose another cache_dir, storage='bfloat16', "
                f"or losses that need fewer of the teacher's layers."
            )
        made = reader()
        with progress_bar(
            total=sum(len(gap.places) for gap in gaps),
            desc=f"teacher ({needed} to cache)",
            unit="text",
            leave=False,
            show=progress,
        ) as bar:
            for gap in gaps:
                computed = made.read(gap.rows, wanted, on_batch=bar.update)
                for name in gap.names:
                    self._write(name, gap, computed[name])
        for path in {path for known in found.values() for path in known.damaged}:
            if read_tensors(path) is None:  # else it has just been replaced
                with contextlib.suppress(OSError):
                    path.unlink()

    def _write(self, name: str, gap: _Gap, values: torch.Tensor) -> None:
        digests = self._digests[gap.places]
        texts = torch.from_numpy(digests.view(np.uint8).reshape(len(digests), -1))
        tensors = {"values": values, "texts": texts}
        if not is_per_text(name):
            tensors["lengths"] = gap.lengths
        key = hashlib.blake2b(digests.tobytes(), digest_size=_DIGEST.itemsize).hexdigest()
        write_tensors(self._path(name) / f"{key}.safetensors", tensors)

    def _find(self, wanted: Wanted) -> dict[str, _Known]:
        return {name: self._known(name) for name in wanted.names}

    def _known(self, name: str) -> _Known:
        """Return one output of the texts that sound files hold."""
        known = _Known(np.full(len(self._texts), -1))
        missing, held = len(self._texts), 0
        for path in sorted(self._path(name).glob("*.safetensors")):
            if not missing:
                break
            texts = read_unverified(path, "texts")
            if texts is None:
                known.damaged.append(path)
                continue
            digests = texts.numpy().view(_DIGEST).ravel()
            ours = np.searchsorted(self._digests, digests) % len(self._digests)
            new = (self._digests[ours] == digests) & (known.places[ours] < 0)
            if not new.any():
                continue
            tensors = read_tensors(path)
            if tensors is None:
                known.damaged.append(path)
                continue
            known.places[ours[new]] = held + np.flatnonzero(new)
            known.parts.append(_part(tensors["values"], tensors.get("lengths")))
            missing, held = missing - int(new.sum()), held + len(digests)
        return known

    def _gaps(self, found: Mapping[str, _Known]) -> Iterator[_Gap]:
        """Yield the missing outputs, a file's texts at a time."""
        lacking = np.array([known.places < 0 for known in found.values()], dtype=bool)
        lacking = lacking.reshape(len(found), -1).T
        for pattern in np.unique(lacking[lacking.any(axis=1)], axis=0):
            alike = np.flatnonzero((lacking == pattern).all(axis=1))
            for start in range(0, len(alike), TEXTS_PER_FILE):
                places = alike[start : start + TEXTS_PER_FILE]
                texts = [self._texts[place] for place in places]
                yield _Gap(list(compress(found, pattern)), places, partial(self.encoded, texts))

    def _size(self, gaps: Sequence[_Gap]) -> int:
        total = 0
        for gap in gaps:
            for name in gap.names:
                per_text, texts = is_per_text(name), len(gap.places)
                width = self.classes if name == "logits" else self.shape.width
                bytes_each = 4 if self._stored_as(name) == "float32" else 2
                total += (texts if per_text else int(gap.lengths.sum())) * width * bytes_each
                total += texts * (_DIGEST.itemsize + (0 if per_text else 4))
        return total

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.{self._stored_as(name)}"

    def _stored_as(self, name: str) -> str:
        return "float32" if name == "logits" else self.storage


@dataclass(eq=False)
class _Known:
    """One output of those texts of a cache that files hold."""

    places: np.ndarray
    """int64 ``(distinct texts,)``, position among the texts of all parts; -1 if unknown."""

    parts: list[OutputPart] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return bool((self.places >= 0).all())


@dataclass(eq=False)
class _Gap:
    """Texts that lack the same outputs, at most as many as a file holds."""

    names: list[str]
    """The outputs."""

    places: np.ndarray
    """Positions among the cache's distinct texts."""

    tokenized: Callable[[], list[TokenizedText]]

    @cached_property
    def rows(self) -> list[TokenizedText]:
        # Made when needed: the size of outputs per text needs no tokens.
        return self.tokenized()

    @cached_property
    def lengths(self) -> torch.Tensor:
        return _lengths(self.rows)


def _lengths(rows: Sequence[TokenizedText]) -> torch.Tensor:
    return torch.tensor([len(row.ids) for row in rows], dtype=torch.int32)


def _part(values: torch.Tensor, lengths: torch.Tensor | None) -> OutputPart:
    """Return a part; ``lengths`` are the tokens of each text, for outputs per token only."""
    if lengths is None:
        return OutputPart(values, np.arange(len(values) + 1))
    return OutputPart(values, np.cumsum([0, *lengths.tolist()]))


def _digest(text: Text) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST.itemsize)
    for piece in (text,) if isinstance(text, str) else ("pair", *text):
        digest.update(hashed_bytes(piece))
    return digest.digest()
