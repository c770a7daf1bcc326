"""The teacher: a fine-tuned Hugging Face classifier whose outputs are computed once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

from rosearch.caching import cache_folder, share
from rosearch.data import TextDataset
from rosearch.distill.losses import TeacherShape
from rosearch.distill.objective import HardLabels
from rosearch.distill.teacher.array_cache import STORAGE
from rosearch.distill.teacher.outputs import OutputCache, TeacherOutputs, Wanted
from rosearch.distill.training.loop import fit, isolated_rng
from rosearch.distill.training.settings import Optimization
from rosearch.errors import DataError
from rosearch.labels import check_class_order, warn_if_useless
from rosearch.quiet import quiet_transformers
from rosearch.seeding import child_seed
from rosearch.student import CompressedEmbedding, compress_embedding, parameters
from rosearch.tokens import (
    default_device,
    encode,
    length_limit,
    pads_left,
    position_limit,
    require_padding,
)


class Teacher:
    """A sequence classifier, its tokenizer, and a disk cache of what it says.

    The cache is keyed by content (weights, tokenizer, length, texts), so it can be shared
    by all processes and is never stale. What an interrupted process computed is kept, and files
    that are damaged or hold something else are computed again. A teacher that came from a folder
    is pickled as that folder's path; a process that finds all outputs in the cache never loads its
    weights.

    Args:
        model: Any Hugging Face sequence classifier.
        tokenizer: Its tokenizer; students share it.
        max_length: Tokens after which texts are cut; default: what tokenizer and model allow.
        device: Where the teacher runs; default: the GPU where there is one.
        precision: What the outputs are computed in, ``"float32"`` or ``"bfloat16"``, by a copy of
            the model where its weights are of another type; loaded weights are float32. Part of
            the fingerprint, so the two never share a cache.
        storage: How hidden states, attention values and pooled vectors are cached: ``"bfloat16"``,
            or ``"float32"`` in twice the space. Logits are always float32.
        cache_dir: Folder of the cache; default: ``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``.

    Raises:
        DataError: The tokenizer has no padding token.
        ValueError: ``precision`` or ``storage`` is neither of the two.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        precision: str = "float32",
        storage: str = "bfloat16",
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, value in (("precision", precision), ("storage", storage)):
            if value not in STORAGE:
                raise ValueError(f"{name}={value!r}: expected {' or '.join(map(repr, STORAGE))}.")
        self.pad_id = require_padding(tokenizer)
        self.tokenizer = tokenizer
        self.config = model.config
        limits = [length_limit(tokenizer, max_length), position_limit(model)]
        self.max_length = min(limit for limit in limits if limit is not None)
        self.device = torch.device(device) if device is not None else default_device()
        self.parameters = parameters(model)
        self._source: str | None = None
        self._model: Any = model.to(self.device).eval()
        self._cache = cache_folder(folder=cache_dir, create=False)
        self.precision = precision
        self.storage = storage
        self.fingerprint = _fingerprint(model, tokenizer, self.max_length, precision)

    @classmethod
    def from_pretrained(cls, name_or_folder: str | os.PathLike[str], **settings: Any) -> Teacher:
        """Load a fine-tuned classifier and its tokenizer.

        Args:
            name_or_folder: A name on the Hugging Face Hub, or a folder made by ``save_pretrained``.
            settings: Keyword arguments of :class:`Teacher`.

        Raises:
            DataError: The tokenizer has no padding token, or the model is an encoder without a
                trained classifier.
            OSError: There is no such model (from transformers).
        """
        with quiet_transformers(warnings=False):
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name_or_folder, output_loading_info=True
            )
            model = model.float()  # transformers keeps the type of what was saved
        missing = sorted(info["missing_keys"])
        if missing:
            raise DataError(
                f"{name_or_folder} has no weights for {', '.join(missing[:4])}: it is not "
                f"fine-tuned for classification, and would answer at random. Fine-tune it first, "
                f"for example with Teacher.fine_tune."
            )
        teacher = cls(model, AutoTokenizer.from_pretrained(name_or_folder), **settings)
        folder = Path(name_or_folder)
        # Another process may have another working directory.
        teacher._source = str(folder.resolve() if folder.is_dir() else name_or_folder)
        return teacher

    @classmethod
    def fine_tune(
        cls,
        name_or_folder: str | os.PathLike[str],
        train: TextDataset,
        dev: TextDataset,
        *,
        save_to: str | os.PathLike[str],
        epochs: int = 2,
        learning_rate: float = 5e-5,
        batch_size: int = 32,
        seed: int = 0,
        progress: bool = True,
        **settings: Any,
    ) -> Teacher:
        """Make a teacher of a pre-trained encoder, on hard labels, best epoch on dev kept.

        Args:
            name_or_folder: A name on the Hugging Face Hub, or a folder.
            train: Labelled texts to train on.
            dev: Labelled texts to choose the epoch by.
            save_to: Folder for the fine-tuned model and tokenizer: a new or empty one, or one that
                holds a model, which is replaced; other files there stay.
            epochs: Passes over ``train``.
            learning_rate: Peak of AdamW's.
            batch_size: Texts of a step.
            seed: Fixes the new classifier's weights, order and dropout.
            progress: Whether to show a progress bar.
            settings: Keyword arguments of :class:`Teacher`.

        Raises:
            DataError: ``train`` and ``dev`` differ in their classes, the tokenizer has no padding
                token, or ``save_to`` holds files and no model.
        """
        _require_place(Path(save_to))
        if train.classes != dev.classes:
            raise DataError(f"train has the classes {train.classes}, dev has {dev.classes}.")
        # That the classifier's weights are new is the point, and no reason for a warning.
        with isolated_rng(child_seed(seed, "classifier")), quiet_transformers(warnings=False):
            model = AutoModelForSequenceClassification.from_pretrained(
                name_or_folder,
                num_labels=len(train.classes),
                id2label=dict(enumerate(train.classes)),
                label2id={name: k for k, name in enumerate(train.classes)},
            ).float()
        teacher = cls(model, AutoTokenizer.from_pretrained(name_or_folder), **settings)
        history = fit(
            model,
            encode(teacher.tokenizer, train.texts, max_length=teacher.max_length),
            HardLabels(train.labels),
            encode(teacher.tokenizer, dev.texts, max_length=teacher.max_length),
            dev.labels,
            optimization=Optimization(
                learning_rate=learning_rate, epochs=epochs, batch_size=batch_size
            ),
            pad_id=teacher.pad_id,
            pad_left=pads_left(teacher.tokenizer),
            seed=seed,
            progress="fine-tune teacher" if progress else None,
        )
        accuracy = max(epoch.accuracy for epoch in history)
        warn_if_useless(accuracy, dev, owner="The fine-tuned teacher")
        _save_whole(teacher, Path(save_to))
        return cls.from_pretrained(save_to, **settings)

    @property
    def model(self) -> Any:
        """The classifier, in eval mode on its device.

        Raises:
            DataError: It was to be loaded again, and its folder holds other weights by now.
        """
        if self._model is None:
            with quiet_transformers():
                model = AutoModelForSequenceClassification.from_pretrained(self._source).float()
            found = _fingerprint(model, self.tokenizer, self.max_length, self.precision)
            if found != self.fingerprint:
                raise DataError(
                    f"{self._source} holds another model than the one this teacher was made from "
                    f"(fingerprint {found}, expected {self.fingerprint}). Make a new Teacher."
                )
            self._model = model.to(self.device).eval()
        return self._model

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return int(self.config.num_labels)

    def check(self, dataset: TextDataset) -> None:
        """Refuse a data set whose classes are not the teacher's.

        Raises:
            DataError: The number of classes differs, or named classes are in another order.
        """
        if len(dataset.classes) != self.num_labels:
            raise DataError(
                f"The teacher tells {self.num_labels} classes apart, the data has "
                f"{len(dataset.classes)}: {', '.join(dataset.classes)}. Use a teacher that was "
                f"fine-tuned on these classes."
            )
        check_class_order(self.config, dataset.classes, owner="The teacher")

    @property
    def shape(self) -> TeacherShape:
        """Layers, width and heads as the configuration tells them; 0 where it does not."""
        names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
        return TeacherShape(*(int(getattr(self.config, name, None) or 0) for name in names))

    def logits(self, dataset: TextDataset, *, progress: bool = True) -> np.ndarray:
        """The teacher's logits, computed at the first call and read from the cache later.

        Args:
            dataset: Texts in the order of the result.
            progress: Whether to show a progress bar while computing.

        Returns:
            float32 ``(examples, classes)``, read-only.
        """
        return self.outputs(dataset, Wanted(), progress=progress).logits()

    def outputs(
        self,
        dataset: TextDataset,
        wanted: Wanted,
        *,
        token_budget: int = 4096,
        progress: bool = True,
        cached: bool = True,
    ) -> TeacherOutputs:
        """More than the logits: computed at the first call, mapped from the cache later.

        What is cached belongs to the texts, whatever their order and labels. It does not depend on
        ``token_budget`` but for rounding, of about 1e-6 of the size of a float32 output: the first
        process to compute decides the last bits, and every other reads those.

        Args:
            dataset: Texts in the order of the result.
            wanted: Which outputs.
            token_budget: Tokens of a batch while computing.
            progress: Whether to show a progress bar while computing, with the space it will take.
            cached: ``False``: compute now and keep the outputs in memory, for texts that no other
                candidate will ask about.

        Raises:
            DataError: The disk is too small, an output is not finite, or the teacher does not have
                what is wanted.
        """
        outputs = self._outputs(dataset)
        settings: dict[str, Any] = {
            "pad_id": self.pad_id,
            "pad_left": pads_left(self.tokenizer),
            "cls_id": getattr(self.tokenizer, "cls_token_id", None),
            "precision": self.precision,
            "token_budget": token_budget,
        }
        if not cached:
            return outputs.compute(wanted, self.model, **settings)
        return outputs.get(wanted, lambda: self.model, progress=progress, **settings)

    def cache_size(self, dataset: TextDataset, wanted: Wanted | None = None) -> int:
        """Bytes of disk that :meth:`outputs` would still fill; nothing is computed.

        Args:
            dataset: The texts; they are tokenised to know their lengths.
            wanted: Which outputs; default: the logits.
        """
        return self._outputs(dataset).size(wanted or Wanted())

    def _outputs(self, dataset: TextDataset) -> OutputCache:
        return OutputCache(
            self._cache / "teachers" / self.fingerprint,
            fingerprint=self.fingerprint,
            texts=dataset.texts,
            encoded=lambda texts: encode(self.tokenizer, texts, max_length=self.max_length),
            shape=self.shape,
            classes=self.num_labels,
            storage=self.storage,
        )

    def accuracy(self, dataset: TextDataset, *, progress: bool = True) -> float:
        """Share of the examples that the teacher gets right.

        Warns where a constant answer would be right as often.

        Raises:
            DataError: The data set has no labels.
        """
        labels = dataset.labels
        share = float((self.logits(dataset, progress=progress).argmax(axis=1) == labels).mean())
        warn_if_useless(share, dataset, owner="The teacher")
        return share

    @cached_property
    def embedding(self) -> CompressedEmbedding:
        """The embedding tables for students to start from, computed once and cached."""
        folder = self._cache / "teachers" / self.fingerprint
        paths = {name: folder / f"{name}.npy" for name in ("tokens", "positions", "types")}
        found = {name: _read_array(path) for name, path in paths.items()}
        tables = {name: table for name, table in found.items() if table is not None}
        if len(tables) == len(paths):
            return CompressedEmbedding(**tables)
        computed = compress_embedding(self.model)
        for name, path in paths.items():
            _write_array(path, getattr(computed, name))
        return computed

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("embedding", None)
        if self._source is not None:
            state["_model"] = None
        return state

    def __repr__(self) -> str:
        name = self._source or type(self._model).__name__
        return f"Teacher({name!r}, {self.parameters / 1e6:.1f} M parameters, {self.fingerprint})"


_INCIDENTAL = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "architectures", "dtype",
    "torch_dtype", "transformers_version",
}  # fmt: skip
"""Parts of a configuration that say where a model came from, not what it computes."""


def _fingerprint(
    model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int, precision: str
) -> str:
    config = {k: v for k, v in model.config.to_dict().items() if k not in _INCIDENTAL}
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items()}
    parts = [type(model).__qualname__, config, _rules(tokenizer), special, max_length]
    sides = [pads_left(tokenizer), tokenizer.truncation_side]
    (row,) = encode(tokenizer, ["a"], max_length=max_length)
    # Only where something is unusual, so that what is cached for most teachers keeps its name.
    if sides != [False, "right"] or row.types is not None:
        parts += [sides, row.types]
    if precision != "float32":
        parts.append(precision)
    digest = hashlib.blake2b(
        json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16
    )
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _rules(tokenizer: PreTrainedTokenizerBase) -> Any:
    """How texts become tokens, as plain values."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        # What the tokenizer's last caller asked for, not what the tokenizer is.
        return {k: v for k, v in rules.items() if k not in ("truncation", "padding")}
    # A tokenizer in Python does not tell its rules, but it knows what it was made with. Files and
    # special tokens are left out: the vocabulary holds them, and saving changes their form.
    named = inspect.signature(type(tokenizer).__init__).parameters
    made = {
        name: value
        for name, value in tokenizer.init_kwargs.items()
        if name in named and not name.endswith(("_file", "_token", "_tokens"))
    }
    return [type(tokenizer).__qualname__, made, sorted(tokenizer.get_vocab().items())]


def _read_array(path: Path) -> np.ndarray | None:
    """The cached array, or None where there is none that can be used."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if np.isfinite(array).all() else None


def _write_array(path: Path, array: np.ndarray) -> None:
    # Written beside its place and moved there, so that no process ever reads half a file.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, np.ascontiguousarray(array, dtype=np.float32))
        share(Path(scratch))
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _require_place(target: Path) -> None:
    """Refuse a folder that holds something else than a model."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        known = "model_type" in json.loads((target / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise DataError(
            f"save_to={str(target)!r} is there already and holds no model (no config.json with a "
            f"model_type). Expected a new or empty folder, or one of a model that may be replaced."
        )


def _save_whole(teacher: Teacher, target: Path) -> None:
    # A new folder is complete or not there: a run killed while saving starts afresh.
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        with quiet_transformers():
            teacher.model.save_pretrained(scratch)
        teacher.tokenizer.save_pretrained(scratch)
        share(scratch)
        if not target.exists():
            scratch.rename(target)
            return
        written = {path.name for path in scratch.iterdir()}
        for path in target.glob("model*.safetensors*"):
            # Weights in one file are found before those in several.
            if path.name not in written:
                path.unlink()
        for name in sorted(written, key=lambda name: name == "config.json"):
            (scratch / name).replace(target / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
