"""What a teacher says about a data set: computed once for all processes, read in batches."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from filelock import FileLock
from tqdm import tqdm
from typing_extensions import Self

from rosearch.data import Text
from rosearch.distill.losses.base import Outputs, TeacherShape
from rosearch.distill.teacher.array_cache import (
    CachedArray,
    check_space,
    in_words,
    to_array,
    to_tensor,
)
from rosearch.distill.teacher.attention_values import AttentionValues
from rosearch.errors import DataError
from rosearch.tokens import Encoding, answers


@dataclass(frozen=True)
class Wanted:
    """Which of a teacher's outputs are to be had."""

    logits: bool = True
    """For every text, one number a class; always stored as float32."""

    pooled: bool = False
    """For every text, the last hidden state at the classification token where the text begins with
    it, else at the last token, where causal models and XLNet classify."""

    hidden_states: tuple[int, ...] = ()
    """Layers whose hidden states are wanted, for every token; 0 is the embedding."""

    values: tuple[int, ...] = ()
    """Layers, from 1, whose attention values are wanted, for every token."""

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(
            logits=self.logits or other.logits,
            pooled=self.pooled or other.pooled,
            hidden_states=tuple(sorted({*self.hidden_states, *other.hidden_states})),
            values=tuple(sorted({*self.values, *other.values})),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """One name an array."""
        return (
            *(("logits",) if self.logits else ()),
            *(("pooled",) if self.pooled else ()),
            *(f"hidden-{layer}" for layer in self.hidden_states),
            *(f"values-{layer}" for layer in self.values),
        )


class TeacherOutputs:
    """The cached outputs for the examples of one data set, in its order.

    Reading a batch touches the rows of that batch and no others.

    Args:
        index: int64 ``(examples,)``, the place of each example among the distinct texts.
        offsets: int64 ``(distinct texts + 1,)``, where each text's tokens begin.
        arrays: Maps of the files by their name in :class:`Wanted`.
    """

    def __init__(
        self, index: np.ndarray, offsets: np.ndarray, arrays: Mapping[str, np.ndarray]
    ) -> None:
        self.index = index
        self.offsets = offsets
        self.arrays = dict(arrays)

    def logits(self) -> np.ndarray:
        """All logits, float32 ``(examples, classes)``, read-only."""
        values: np.ndarray = self.arrays["logits"][self.index].astype(np.float32)
        values.setflags(write=False)
        return values

    def batch(
        self, rows: np.ndarray, *, length: int, device: torch.device | str = "cpu"
    ) -> Outputs:
        """The outputs for some examples, token by token padded with zeros on the right.

        Args:
            rows: int64 ``(batch,)``, numbers of examples.
            length: Tokens to pad to.
            device: Where the tensors are to be.

        Raises:
            DataError: An example has more tokens than ``length``: the student reads other texts
                than the teacher did.
        """
        places = self.index[rows]
        found: dict[str, torch.Tensor] = {}
        for name, stored in self.arrays.items():
            if name in ("logits", "pooled"):
                found[name] = to_tensor(stored[places])
            else:
                found[name] = self._padded(stored, places, length)
        found = {name: t.to(device, non_blocking=True) for name, t in found.items()}

        def layers(kind: str) -> dict[int, torch.Tensor]:
            return {
                int(name.partition("-")[2]): tensor
                for name, tensor in found.items()
                if name.startswith(kind)
            }

        return Outputs(
            logits=found.get("logits"),
            pooled=found.get("pooled"),
            hidden_states=layers("hidden-"),
            values=layers("values-"),
        )

    def _padded(self, stored: np.ndarray, places: np.ndarray, length: int) -> torch.Tensor:
        starts, ends = self.offsets[places], self.offsets[places + 1]
        if int((ends - starts).max(initial=0)) > length:
            raise DataError(
                f"The teacher read {int((ends - starts).max())} tokens where the student reads "
                f"{length}. Losses on tokens need both sides to read the same text."
            )
        out = np.zeros((len(places), length, stored.shape[1]), dtype=stored.dtype)
        for row, start, end in zip(out, starts, ends, strict=True):
            row[: end - start] = stored[start:end]
        return to_tensor(out)


class OutputCache:
    """Computes a teacher's outputs for distinct texts, or finds them in a folder.

    Texts are kept in an order that follows from their content, each once. So a shuffled data set
    finds the very numbers of the ordered one, and the batches in which they are computed depend on
    neither order nor number of processes.

    Args:
        folder: The teacher's folder of the cache.
        fingerprint: Of the teacher: weights, tokenizer, length, precision.
        texts: Any texts, repeated or not.
        encoded: Tokenises texts.
        shape: The teacher's sizes.
        classes: Their number.
        storage: How hidden states, values and pooled vectors are stored, ``"bfloat16"`` or
            ``"float32"``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fingerprint: str,
        texts: Sequence[Text],
        encoded: Callable[[Sequence[Text]], list[Encoding]],
        shape: TeacherShape,
        classes: int,
        storage: str,
    ) -> None:
        digests = np.array([_digest(text) for text in texts])
        distinct, first, self.index = np.unique(digests, return_index=True, return_inverse=True)
        key = hashlib.blake2b(b"".join(distinct.tolist()), digest_size=16).hexdigest()
        self.texts = [texts[i] for i in first]
        self.folder = folder / key
        self.fingerprint = fingerprint
        self.shape = shape
        self.classes = classes
        self.storage = storage
        self._encoded = encoded
        self._rows: list[Encoding] | None = None

    def rows(self) -> list[Encoding]:
        """The distinct texts, tokenised."""
        if self._rows is None:
            self._rows = self._encoded(self.texts)
        return self._rows

    def size(self, wanted: Wanted) -> int:
        """Bytes on disk of what is wanted and not there yet."""
        arrays = self._arrays(wanted, self._offsets())
        return sum(array.bytes for array in arrays.values() if array.open() is None)

    def get(
        self,
        wanted: Wanted,
        model: Callable[[], Any],
        *,
        pad_id: int,
        pad_left: bool,
        cls_id: int | None,
        precision: str,
        token_budget: int,
        progress: bool,
    ) -> TeacherOutputs:
        """What is wanted, computed now as far as it is not there.

        Args:
            wanted: Which outputs.
            model: Gives the classifier; not called where all is there.
            pad_id: Id of the padding token.
            pad_left: Whether padding stands before the text.
            cls_id: Id of the classification token; ``None`` where there is none.
            precision: ``"float32"``, or ``"bfloat16"`` to compute with a copy in bfloat16.
            token_budget: Tokens of a batch.
            progress: Whether to show a progress bar.

        Raises:
            DataError: The disk is too small, an output is not finite, or the teacher's attention
                is of an unknown kind.
        """
        # Logits alone need no lengths, so a process that finds them tokenises nothing.
        plain = not (wanted.hidden_states or wanted.values)
        offsets = np.arange(len(self.texts) + 1) if plain else self._offsets()
        arrays = self._arrays(wanted, offsets)
        found = {name: array.open() for name, array in arrays.items()}
        if any(opened is None for opened in found.values()):
            self.folder.mkdir(parents=True, exist_ok=True)
            # Whoever comes second waits here, and then finds the work done.
            with FileLock(str(self.folder / ".lock")):
                found = {name: array.open() for name, array in arrays.items()}
                missing = {n: a for n, a in arrays.items() if found[n] is None}
                if missing:
                    self._compute(
                        missing,
                        wanted,
                        _in_precision(model(), precision),
                        pad_id=pad_id,
                        pad_left=pad_left,
                        cls_id=cls_id,
                        token_budget=token_budget,
                        progress=progress,
                    )
                    found.update({name: array.open() for name, array in missing.items()})
        opened = {name: array for name, array in found.items() if array is not None}
        if len(opened) != len(found):
            raise OSError(f"{self.folder} cannot be read back after writing; check the disk.")
        return TeacherOutputs(self.index, offsets, opened)

    def compute(
        self,
        wanted: Wanted,
        model: Any,
        *,
        pad_id: int,
        pad_left: bool,
        cls_id: int | None,
        precision: str,
        token_budget: int,
    ) -> TeacherOutputs:
        """What is wanted, computed now and kept in memory.

        Args:
            wanted: Which outputs.
            model: The classifier.
            pad_id: Id of the padding token.
            pad_left: Whether padding stands before the text.
            cls_id: Id of the classification token; ``None`` where there is none.
            precision: As for :meth:`get`.
            token_budget: Tokens of a batch.

        Raises:
            DataError: An output is not finite, or the teacher's attention is of an unknown kind.
        """
        model = _in_precision(model, precision)
        with _Reader(
            model, wanted, shape=self.shape, storage=self.storage, cls_id=cls_id
        ) as reader:
            rows = reader.read(
                self.rows(), pad_id=pad_id, pad_left=pad_left, token_budget=token_budget
            )
        arrays = {}
        for name in wanted.names:
            values = torch.cat([row[name] for row in rows])
            if not bool(torch.isfinite(values).all()):
                raise DataError(
                    f"The teacher's {name} for changed texts are not finite; check its weights, or "
                    f"compute in precision='float32'."
                )
            arrays[name] = to_array(values, "float32" if name == "logits" else self.storage)
        return TeacherOutputs(self.index, self._offsets(), arrays)

    def _offsets(self) -> np.ndarray:
        return np.cumsum([0, *(len(row.ids) for row in self.rows())])

    def _arrays(self, wanted: Wanted, offsets: np.ndarray) -> dict[str, CachedArray]:
        whole = np.arange(len(self.texts) + 1)
        arrays = {}
        for name in wanted.names:
            storage = "float32" if name == "logits" else self.storage
            arrays[name] = CachedArray(
                path=self.folder / f"{name}.{storage}",
                identity={"teacher": self.fingerprint, "texts": self.folder.name, "what": name},
                offsets=whole if name in ("logits", "pooled") else offsets,
                width=self.classes if name == "logits" else self.shape.width,
                storage=storage,
            )
        return arrays

    def _compute(
        self,
        arrays: Mapping[str, CachedArray],
        wanted: Wanted,
        model: Any,
        *,
        pad_id: int,
        pad_left: bool,
        cls_id: int | None,
        token_budget: int,
        progress: bool,
    ) -> None:
        size = sum(array.bytes for array in arrays.values())
        check_space(self.folder, size)
        done = {name: array.begin() for name, array in arrays.items()}
        rows = self.rows()
        parts = next(iter(arrays.values())).parts
        first = min(done.values())
        with (
            _Reader(model, wanted, shape=self.shape, storage=self.storage, cls_id=cls_id) as reader,
            tqdm(
                total=len(rows),
                initial=parts[first][0] if first < len(parts) else len(rows),
                desc=f"teacher ({in_words(size)} to cache)",
                unit="text",
                delay=2,
                leave=False,
                disable=not progress,
            ) as bar,
        ):
            for number, (start, end) in enumerate(parts[first:], start=first):
                computed = reader.read(
                    rows[start:end],
                    pad_id=pad_id,
                    pad_left=pad_left,
                    token_budget=token_budget,
                    on_batch=bar.update,
                )
                for name, array in arrays.items():
                    if done[name] <= number:
                        array.write(number, torch.cat([row[name] for row in computed]))


class _Reader:
    """Runs the model on a batch and takes what is wanted; used by several threads at once."""

    def __init__(
        self, model: Any, wanted: Wanted, *, shape: TeacherShape, storage: str, cls_id: int | None
    ) -> None:
        self.model = model
        self.wanted = wanted
        self.shape = shape
        self.dtype = torch.bfloat16 if storage == "bfloat16" else torch.float32
        self.cls_id = cls_id
        self.values = AttentionValues(model, width=shape.width) if wanted.values else None
        self.states = wanted.pooled or bool(wanted.hidden_states)
        # Before version 5 some models are patched while they collect hidden states.
        self.threaded = not self.states or int(transformers.__version__.split(".")[0]) >= 5

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.values is not None:
            self.values.remove()

    def read(
        self,
        rows: Sequence[Encoding],
        *,
        pad_id: int,
        pad_left: bool,
        token_budget: int,
        on_batch: Callable[[int], object] | None = None,
    ) -> list[dict[str, torch.Tensor]]:
        """What :meth:`__call__` gives for each row, in their order."""
        found: dict[int, dict[str, torch.Tensor]] = {}
        for batch, outputs in answers(
            self.model,
            rows,
            self,
            pad_id=pad_id,
            pad_left=pad_left,
            token_budget=token_budget,
            threaded=self.threaded,
        ):
            found.update(zip(batch.tolist(), outputs, strict=True))
            if on_batch:
                on_batch(len(batch))
        return [found[place] for place in range(len(rows))]

    def __call__(self, inputs: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """One dictionary a row, the tensors ``(1, ...)`` or ``(tokens, width)`` on the CPU."""
        wanted = self.wanted
        if self.values is not None:
            self.values.clear()
        out = self.model(**inputs, output_hidden_states=self.states)
        if self.states and len(out.hidden_states) != self.shape.layers + 1:
            raise DataError(
                f"{type(self.model).__name__} gives {len(out.hidden_states)} hidden states; "
                f"expected {self.shape.layers + 1}, the embedding and one a layer. Leave out the "
                f"losses that need them."
            )
        texts: dict[str, torch.Tensor] = {}
        tokens: dict[str, torch.Tensor] = {}
        if wanted.logits:
            texts["logits"] = out.logits.float().cpu()
        if wanted.pooled:
            place = _classified(inputs, self.cls_id)
            rows = torch.arange(len(place), device=place.device)
            texts["pooled"] = self._stored(out.hidden_states[-1][rows, place])
        for layer in wanted.hidden_states:
            tokens[f"hidden-{layer}"] = self._stored(out.hidden_states[layer])
        if self.values is not None:
            values = self.values.collected(self.shape.layers)
            tokens.update(
                {f"values-{layer}": self._stored(values[layer - 1]) for layer in wanted.values}
            )
        mask = inputs["attention_mask"].bool().cpu()
        return [
            {
                **{name: tensor[row : row + 1] for name, tensor in texts.items()},
                **{name: tensor[row][mask[row]] for name, tensor in tokens.items()},
            }
            for row in range(len(mask))
        ]

    def _stored(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.dtype).cpu()


def _classified(inputs: Mapping[str, torch.Tensor], cls_id: int | None) -> torch.Tensor:
    """Where each text's classification token stands, or else its last token, ``(batch,)``."""
    ids, real = inputs["input_ids"], inputs["attention_mask"]
    place = torch.arange(ids.shape[1], device=ids.device)
    first, last = real.argmax(dim=1), (real * place).argmax(dim=1)
    if cls_id is None:
        return last
    return torch.where(ids.gather(1, first[:, None])[:, 0] == cls_id, first, last)


def _digest(text: Text) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for piece in (text,) if isinstance(text, str) else ("pair", *text):
        encoded = piece.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    # As text, because numpy drops zeros at the end of bytes.
    return digest.hexdigest().encode()


def _in_precision(model: Any, precision: str) -> Any:
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    if all(p.dtype == dtype for p in model.parameters() if p.is_floating_point()):
        return model
    return copy.deepcopy(model).to(dtype)
