"""The teacher: a fine-tuned Hugging Face classifier whose outputs are computed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerBase,
)

from rosearch.caching import cache_folder
from rosearch.checks import choice, whole_number
from rosearch.classifiers import (
    check_texts,
    check_tokenizer,
    embedding_rows,
    load_classifier,
    load_tokenizer,
)
from rosearch.data import (
    Text,
    TextDataset,
    as_dataset,
    check_class_order,
    class_names,
    require_one_class,
    warn_if_useless,
)
from rosearch.distill.losses import HardLabels, TeacherShape, Wanted
from rosearch.distill.teacher.fingerprint import ModelDigest, fingerprint
from rosearch.distill.teacher.output_cache import OutputCache
from rosearch.distill.teacher.output_reader import OutputReader
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.teacher.saving import require_model_folder, save_model
from rosearch.distill.tensor_files import read_tensors, write_tensors
from rosearch.distill.training.loop import fit, isolated_rng
from rosearch.distill.training.settings import Optimization
from rosearch.encode import EncodedTokenizer, Encoding, encoding_of
from rosearch.errors import DataError
from rosearch.quiet import quiet_transformers
from rosearch.seeding import child_seed
from rosearch.student import CompressedEmbedding, compress_embedding, parameters
from rosearch.threads import batches_at_once, computing
from rosearch.tokens import (
    Sharing,
    TokenizedText,
    default_device,
    max_tokens,
    pads_left,
    tokenize,
)


class Teacher:
    """A sequence classifier, its tokenizer, and a disk cache of its outputs.

    The cache is keyed by content (weights, tokenizer, length, texts) as it is at each call, so it
    is never stale and all processes can share it. An interrupted computation resumes where it
    stopped. A teacher loaded from a folder is pickled as the folder's path, and a process that
    finds all outputs in the cache never loads the weights.

    Args:
        model: A Hugging Face sequence classifier.
        tokenizer: Its tokenizer; students use the same.
        encoding: Encoding of texts before their tokenisation, for example
            ``rosearch.encodings.get("spelling").fit(train)``: the teacher then reads encoded texts,
            and so do students whose genome has no encoding of its own.
        max_length: Maximum tokens of a text; longer texts are truncated. Default: the limit of
            tokenizer and model.
        device: Device of the teacher; default: the GPU if available.
        storage: ``"bfloat16"`` or, at twice the space, ``"float32"``: how hidden states, attention
            values and pooled vectors are cached. Logits are always float32.
        cache_dir: Cache folder; default: ``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``.

    Raises:
        ArgumentError: ``storage`` is unknown.
        DataError: The tokenizer has no padding token or no vocabulary, is not the model's, or is
            not one that can be encoded for; or the model cannot read texts in batches, or is a
            multi-label classifier or a regression.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        encoding: Encoding | None = None,
        max_length: int | None = None,
        device: torch.device | str | None = None,
        storage: str = "bfloat16",
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.storage = choice("storage", storage, ("float32", "bfloat16"))
        require_one_class(model.config, owner=f"The teacher {type(model).__name__}")
        if encoding is not None:
            tokenizer = EncodedTokenizer.wrap(tokenizer, encoding)
        self.tokenizer = tokenizer
        self.max_length = max_tokens(model, tokenizer, max_length)
        sharing = check_tokenizer(model, tokenizer, max_length=self.max_length)
        self.pad_id = int(tokenizer.pad_token_id)
        self.device = torch.device(device) if device is not None else default_device()
        self.cache_dir = cache_dir
        self._root = cache_folder("teachers", folder=cache_dir, create=False)
        self._source: str | None = None
        self._model: Any = model.to(self.device).eval()
        self._model_digest = ModelDigest()
        # What is known of the model where it is not loaded.
        self._digest = self._source_digest = self._model_digest.of(model)
        self._known_sharing = self._digest, sharing
        self._config, self._parameters = model.config, parameters(model)
        self._embedding_rows = embedding_rows(model)
        self._embedding: tuple[str, CompressedEmbedding] | None = None

    @classmethod
    def from_pretrained(cls, name_or_folder: str | os.PathLike[str], **settings: Any) -> Teacher:
        """Load a fine-tuned classifier, in float32, and its tokenizer.

        Args:
            name_or_folder: A model of the Hugging Face Hub, or a folder written by
                ``save_pretrained``.
            settings: Keyword arguments of :class:`Teacher`.

        Raises:
            DataError: The model is an encoder without a trained classifier, or as for
                :class:`Teacher`.
            OSError: The model does not exist (from transformers).
        """
        model, tokenizer = load_classifier(name_or_folder)
        teacher = cls(model.float(), tokenizer, **settings)
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
        threads: int | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> Teacher:
        """Fine-tune a pre-trained encoder on true labels and keep the best epoch on dev.

        Args:
            name_or_folder: A model of the Hugging Face Hub, or a folder.
            train: Labelled training texts.
            dev: Labelled texts that select the epoch.
            save_to: Folder for the fine-tuned model and tokenizer: a new or empty one, or one that
                holds a model, which is replaced; other files in it stay.
            epochs: Passes over ``train``.
            learning_rate: Peak learning rate of AdamW.
            batch_size: Texts per step.
            seed: Seed of the classifier's initial weights, the order of texts, and dropout.
            threads: CPU threads. Default: as many as PyTorch has, because a teacher is wide enough
                to share them. Another number changes the last bits.
            progress: Whether to show a progress bar.
            settings: Keyword arguments of :class:`Teacher`.

        Raises:
            DataError: ``train`` and ``dev`` have different classes, the tokenizer has no padding
                token or reads other tokens than its ``tokenizer.json`` says, or ``save_to`` holds
                files other than a model's.
        """
        require_model_folder(Path(save_to))
        threads = batches_at_once() if threads is None else whole_number("threads", threads)
        train, dev = as_dataset("train", train), as_dataset("dev", dev)
        if train.classes != dev.classes:
            raise DataError(f"train has the classes {train.classes}, but dev has {dev.classes}.")
        names = class_names(AutoConfig.from_pretrained(name_or_folder), train.classes)
        # transformers would warn that the classifier is new, which is intended here.
        with isolated_rng(child_seed(seed, "classifier")), quiet_transformers(warnings=False):
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name_or_folder,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # a classifier of other classes gives way to a new
                num_labels=len(train.classes),
                problem_type="single_label_classification",
                id2label=dict(enumerate(names)),
                label2id={name: k for k, name in enumerate(names)},
            )
            model = model.float()
        for name, found, wanted in info["mismatched_keys"]:
            if wanted[0] != len(names) or found[1:] != wanted[1:]:
                raise DataError(
                    f"{name} has the shape {tuple(found)} in {name_or_folder}, and {tuple(wanted)} "
                    f"by its config.json. Weights and configuration must be of one model."
                )
        tokenizer = load_tokenizer(name_or_folder)
        if getattr(model.config, "pad_token_id", None) is None:
            model.config.pad_token_id = tokenizer.pad_token_id
        teacher = cls(model, tokenizer, **settings)
        if teacher._sharing() is not Sharing.ANY:
            model.config.pad_token_id = teacher.pad_id
        with computing(teacher.device, threads, work="fine-tuning of a teacher"):
            history = fit(
                model,
                teacher.tokenize(train.texts),
                HardLabels(train.labels),
                teacher.tokenize(dev.texts),
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
        save_model(model, teacher.tokenizer, Path(save_to))
        settings.pop("encoding", None)  # saved with the tokenizer
        return cls.from_pretrained(save_to, **settings)

    @property
    def model(self) -> Any:
        """The classifier, in eval mode on its device; loaded if necessary.

        Raises:
            DataError: The folder now holds other weights than when this teacher was made.
        """
        if self._model is None:
            with quiet_transformers():
                model = AutoModelForSequenceClassification.from_pretrained(self._source).float()
            found = ModelDigest().of(model)
            if found != self._digest:
                raise DataError(
                    f"{self._source} holds another model than the one this teacher was made from "
                    f"(digest {found}, expected {self._digest}). Make a new Teacher."
                )
            self._model = model.to(self.device).eval()
        return self._model

    @property
    def hub_name(self) -> str | None:
        """Its name on the Hugging Face Hub; ``None`` if it did not come from there."""
        name = str(self._source or getattr(self._config, "name_or_path", ""))
        return None if not name or Path(name).is_absolute() or Path(name).is_dir() else name

    @property
    def name(self) -> str:
        """Its name on the Hub, else that of its folder, else of its class."""
        folder = Path(str(self._source or getattr(self._config, "name_or_path", ""))).name
        return self.hub_name or folder or type(self.model).__name__

    @property
    def fingerprint(self) -> str:
        """Hash of weights, configuration, tokenizer, encoding and maximum length as they are now.

        A model that was trained on, merged with an adapter, cast or quantised is another teacher.
        Each call reads all weights, at the speed of memory.
        """
        if self._model is not None:
            self._digest = self._model_digest.of(self._model)
        return fingerprint(self._digest, self.tokenizer, self.max_length)

    def _sharing(self) -> Sharing:
        """Which texts share batches, for the model as it was at the last fingerprint."""
        if self._known_sharing[0] != self._digest:
            require_one_class(self.config, owner="The teacher")
            found = check_tokenizer(self.model, self.tokenizer, max_length=self.max_length)
            self._known_sharing = self._digest, found
        return self._known_sharing[1]

    @property
    def config(self) -> Any:
        """The classifier's configuration."""
        return self._config if self._model is None else self._model.config

    @property
    def parameters(self) -> int:
        """Number of the classifier's parameters."""
        return self._parameters if self._model is None else parameters(self._model)

    @property
    def encoding(self) -> Encoding | None:
        """The encoding of the texts that the teacher reads, if any."""
        return encoding_of(self.tokenizer)

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return int(self.config.num_labels)

    def check(self, dataset: TextDataset) -> None:
        """Check that a data set has the teacher's classes, and texts that it can tell apart.

        Raises:
            DataError: The number of classes differs, or named classes are in another order; almost
                all texts have the same tokens; or the teacher does not choose one class any more.
        """
        require_one_class(self.config, owner="The teacher")
        check_class_order(self.config, dataset.classes, owner="The teacher")
        self._check_texts(dataset)

    def check_for_students(self) -> None:
        """Check that students can start from the teacher's token vectors.

        Raises:
            DataError: It has none, as models of hashed characters or of bytes.
        """
        rows = self._embedding_rows if self._model is None else embedding_rows(self._model)
        if rows is None:
            raise DataError(
                f"Students start from the teacher's token vectors, one for each token of its "
                f"vocabulary, and a model of type {self.config.model_type!r} has none. Use another "
                f"teacher; this one can be attacked all the same."
            )

    def _check_texts(self, dataset: TextDataset) -> None:
        rows = self._embedding_rows if self._model is None else embedding_rows(self._model)
        check_texts(self.tokenizer, dataset.texts, max_length=self.max_length, rows=rows)

    @property
    def shape(self) -> TeacherShape:
        """Layers, width and heads according to the configuration; 0 if it does not say."""
        names = ("num_hidden_layers", "hidden_size", "num_attention_heads")
        return TeacherShape(*(int(getattr(self.config, name, None) or 0) for name in names))

    def tokenize(self, texts: Sequence[Text]) -> list[TokenizedText]:
        """Tokenise texts or pairs as teacher and students read them."""
        return tokenize(self.tokenizer, texts, max_length=self.max_length)

    def logits(self, dataset: TextDataset, *, progress: bool = True) -> np.ndarray:
        """Return the teacher's logits, computed at the first call and cached.

        Args:
            dataset: Texts, with or without labels.
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
        """Return outputs as memory maps, computed at the first call and cached.

        The cache knows single texts, so subsets and unions of earlier data sets are served from it.
        What shares a batch with a text changes its float32 outputs by about 1e-6 of their size;
        the first process to compute them decides the last bits, and all others read those.

        Args:
            dataset: Texts, with or without labels.
            wanted: Which outputs.
            token_budget: Tokens of a batch while computing.
            progress: Whether to show a progress bar while computing, with the disk space needed.
            cached: ``False`` computes the outputs now and keeps them in memory, for texts that are
                used only once.

        Raises:
            DataError: An output is not finite, the teacher does not have it, almost all texts have
                the same tokens, or the disk has too little space.
        """

        def reader() -> OutputReader:
            if cached:
                self._check_texts(dataset)
            return OutputReader(
                self.model,
                self.tokenizer,
                self.shape,
                sharing=self._sharing(),
                dtype=torch.float32 if self.storage == "float32" else torch.bfloat16,
                token_budget=token_budget,
            )

        cache = self._cache(dataset)
        if cached:
            return cache.get(wanted, reader, progress=progress)
        return cache.compute(wanted, reader())

    def check_outputs(self, dataset: TextDataset, wanted: Wanted) -> None:
        """Check on two texts that the teacher has the outputs; nothing is stored.

        Raises:
            DataError: It does not, or they are not finite.
        """
        if set(wanted.names) - {"logits"}:
            self.outputs(dataset[:2], wanted, progress=False, cached=False)

    def cache_size(self, dataset: TextDataset, wanted: Wanted | None = None) -> int:
        """Return the bytes that :meth:`outputs` would still write; nothing is computed.

        Args:
            dataset: The texts.
            wanted: Which outputs; default: the logits.
        """
        return self._cache(dataset).size(wanted or Wanted())

    def _cache(self, dataset: TextDataset) -> OutputCache:
        return OutputCache(
            self._root / self.fingerprint,
            texts=dataset.texts,
            encoded=self.tokenize,
            shape=self.shape,
            classes=self.num_labels,
            storage=self.storage,
        )

    def accuracy(self, dataset: TextDataset, *, progress: bool = True) -> float:
        """Return the teacher's accuracy; warn if a constant classifier would be as accurate.

        Raises:
            DataError: The data set has no labels, or other classes than the teacher.
        """
        self.check(dataset)
        labels = dataset.labels
        share = float((self.logits(dataset, progress=progress).argmax(axis=1) == labels).mean())
        warn_if_useless(share, dataset, owner="The teacher")
        return share

    @property
    def embedding(self) -> CompressedEmbedding:
        """The embedding tables that students start from, computed once and cached."""
        key = self.fingerprint
        if self._embedding is None or self._embedding[0] != key:
            path = self._root / key / "embedding.safetensors"
            tables = read_tensors(path)
            if tables is None:
                made = compress_embedding(self.model)
                tables = {n: torch.tensor(t, dtype=torch.float32) for n, t in vars(made).items()}
                write_tensors(path, tables)
            arrays = {name: table.numpy() for name, table in tables.items()}
            self._embedding = key, CompressedEmbedding(**arrays)
        return self._embedding[1]

    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_embedding": None, "_model_digest": ModelDigest()}
        if self._model is not None:
            state["_digest"] = self._model_digest.of(self._model)
            state["_config"], state["_parameters"] = self.config, self.parameters
        if self._source is not None and state["_digest"] == self._source_digest:
            state["_model"] = None
        return state

    def __repr__(self) -> str:
        name = self._source or type(self._model).__name__
        return f"Teacher({name!r}, {self.parameters / 1e6:.1f} M parameters, {self.fingerprint})"
