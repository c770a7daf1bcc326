"""Masked language models: which words fit a position in a text."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from rosearch.attack.resources.hub_models import model_folder, weight_files
from rosearch.attack.resources.model_identity import digest_of_folder, digest_of_model
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.text import Words
from rosearch.checks import refused, whole_number
from rosearch.errors import DataError, MissingResourceError
from rosearch.quiet import quiet_transformers
from rosearch.tokens import (
    answers,
    default_device,
    length_limit,
    position_limit,
    require_padding,
    tokenize,
)

DEFAULT_MASKED_LM = "bert-base-uncased"
"""Name of the default model, the one of the papers and of TextAttack."""
MASKED_LM_VARIABLE = "ROSEARCH_MASKED_LM"
"""Environment variable that names a model or its folder."""

Method = Literal["bae", "bert-attack"]
"""How substitutions are read from a masked language model."""

_MAX_LENGTH = 512  # tokens, as in TextAttack
# How tokenizers mark tokens: WordPiece those inside a word, byte-level BPE and SentencePiece those
# that begin one.
_WORDPIECE, _BYTE_LEVEL, _SENTENCEPIECE = "##", "\u0120", "\u2581"
_HEADS = ("ForMaskedLM", "ForPreTraining")
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model")
_TIED_WEIGHTS = ("decoder.weight", "decoder.bias", "position_ids")


class MaskedLM(Oracle):
    """The predictions of a masked language model.

    There are two kinds of questions. ``("mask", text)`` asks for the ``count`` most likely words at
    the first mask token of ``text``; the answer is ``[[word, probability], ...]``.
    ``("places", text)`` asks for the ids of the ``count`` most likely tokens at every token of
    ``text``, special tokens included.

    Words are read as TextAttack reads them: tokens from inside a word lose their mark ("##ing"
    becomes "ing"), and tokens that are not exactly one word are skipped. Unlike in TextAttack,
    byte-level tokens of non-ASCII letters are decoded.

    The model runs on the GPU if there is one; it is loaded for the first question whose answer is
    not cached.

    Args:
        model: A name on the Hugging Face Hub, a folder, or a pair ``(model, tokenizer)``. Default:
            the environment variable ``ROSEARCH_MASKED_LM``, otherwise ``bert-base-uncased``.
        count: Number of words, or of tokens at each position.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The model is not found and cannot be downloaded, or it is not a masked
            language model.
        DataError: The tokenizer has no mask token or no padding token.
        ArgumentError: An argument has the wrong type or range.
    """

    name: ClassVar[str] = "masked-lm"

    def __init__(self, model: Any = None, *, count: int = 50, cache: Any = True) -> None:
        super().__init__(cache=cache)
        self._folder: Path | None = None
        if model is None or isinstance(model, (str, os.PathLike)):
            self._folder = find_masked_lm(model)
            self.model = f"files {digest_of_folder(self._folder)}"
        elif isinstance(model, tuple) and len(model) == 2:
            self._model, self._tokenizer = model
            self.model = f"weights {digest_of_model(*model)}"
        else:
            raise refused("masked_lm", "a name, a folder or a pair (model, tokenizer)", model)
        self.count = whole_number("count", count)
        require_padding(self.tokenizer)
        if self.tokenizer.mask_token_id is None:
            raise DataError(
                f"The tokenizer {self.tokenizer.name_or_path!r} has no mask token. Pass the "
                f"tokenizer that the masked language model was trained with."
            )

    # An oracle's public attributes are its settings, so these have private names.
    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    @cached_property
    def _model(self) -> Any:
        return _load(self._folder).to(default_device())

    @cached_property
    def _mark(self) -> str:
        marks = (_WORDPIECE, _BYTE_LEVEL, _SENTENCEPIECE)
        tokens = self.tokenizer.get_vocab()
        found = Counter(mark for token in tokens for mark in marks if token.startswith(mark))
        return found.most_common(1)[0][0] if found else _WORDPIECE

    @cached_property
    def _max_length(self) -> int:
        if self._folder is None:
            positions = position_limit(self._model)
        else:
            config = _config(self._folder)
            positions = config.get("max_position_embeddings")
            if positions and self._mark != _WORDPIECE:
                # RoBERTa and similar models number positions from after the padding token's id.
                positions -= int(config.get("pad_token_id") or 0) + 1
        return min(length_limit(self.tokenizer, _MAX_LENGTH), positions or _MAX_LENGTH)

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._tokenizer

    @property
    def max_length(self) -> int:
        """Number of tokens to which texts are truncated."""
        return self._max_length

    def within_word(self, token: str, *, starting: bool) -> bool:
        """Return whether a token continues a word.

        Args:
            token: A token of the vocabulary.
            starting: Whether it is the first token of the text, which a byte-level or SentencePiece
                tokenizer leaves unmarked.
        """
        if self._mark == _WORDPIECE:
            return _WORDPIECE in token
        return not starting and not token.startswith(self._mark)

    def plain(self, token: str) -> str:
        """Return a token, or several joined tokens, as written in a text."""
        if self._mark == _WORDPIECE:
            return token
        bare = token.strip(self._mark)
        if self._mark == _BYTE_LEVEL and not bare.isascii():
            return str(self.tokenizer.convert_tokens_to_string([bare])).strip()
        return bare

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        budget = 1024 if self._model.device.type == "cpu" else 16384
        while True:
            try:
                found = self._predict(questions, budget)
                break
            except torch.OutOfMemoryError:
                if budget <= self.max_length:
                    raise
                budget //= 2
        return found

    def _predict(self, questions: Sequence[Any], token_budget: int) -> list[Any]:
        rows = tokenize(self.tokenizer, [text for _, text in questions], max_length=self.max_length)
        found: list[Any] = [[] for _ in questions]
        batches = answers(
            self._model,
            rows,
            lambda inputs: self._model(**inputs).logits.float(),
            pad_id=require_padding(self.tokenizer),
            token_budget=token_budget,
            threaded=False,  # the logits of several batches would need too much memory
        )
        for batch, logits in batches:
            for i, row_logits in zip(batch, logits, strict=True):
                kind, ids = questions[i][0], rows[i].ids
                if kind == "places":
                    top = row_logits[: len(ids)].topk(min(self.count, row_logits.shape[1]))
                    found[i] = top.indices.tolist()
                elif self.tokenizer.mask_token_id in ids:  # otherwise truncation removed it
                    at = ids.index(self.tokenizer.mask_token_id)
                    found[i] = self._words(torch.softmax(row_logits[at], dim=0), starting=at == 1)
        return found

    def _words(self, probabilities: torch.Tensor, *, starting: bool) -> list[list[Any]]:
        found: list[list[Any]] = []
        # Sorting the whole vocabulary is slow and rarely needed.
        for size in (min(4 * self.count + 64, len(probabilities)), len(probabilities)):
            found.clear()
            values, tokens = probabilities.topk(size)
            names = self.tokenizer.convert_ids_to_tokens(tokens.tolist())
            for probability, token in zip(values.tolist(), names, strict=True):
                if self.within_word(token, starting=starting):
                    token = token.replace(self._mark, "")
                if len(Words.of(token)) == 1:
                    found.append([self.plain(token), float(f"{probability:.7g}")])
                    if len(found) == self.count:
                        return found
        return found

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if self._folder is not None:  # loaded again from the folder
            state.pop("_model", None)
            state.pop("_tokenizer", None)
        return state


def find_masked_lm(model: str | os.PathLike[str] | None = None, *, download: bool = True) -> Path:
    """Return the folder of a masked language model.

    Args:
        model: A folder or a name on the Hub. Default: see :class:`MaskedLM`.
        download: Whether to download the model if it is not found.

    Raises:
        MissingResourceError: The model is not found and cannot be downloaded, it is incomplete, or
            it is another kind of model.
    """
    name = str(model or os.environ.get(MASKED_LM_VARIABLE) or DEFAULT_MASKED_LM)
    on_the_hub = DEFAULT_MASKED_LM if Path(name).expanduser().is_dir() else name
    how_to_get = (
        f"Get one with: {masked_lm_command(on_the_hub)}. Without access to the Hub, name a folder "
        f"with masked_lm= or the environment variable {MASKED_LM_VARIABLE}."
    )
    folder = model_folder(
        name, "masked language model", how_to_get, _download if download else None
    )
    try:
        kinds = _config(folder).get("architectures") or []
    except (OSError, ValueError) as error:
        raise MissingResourceError(
            f"{folder} holds no model: config.json cannot be read ({error}). {how_to_get}"
        ) from error
    if kinds and not any(kind.endswith(_HEADS) for kind in kinds):
        raise MissingResourceError(
            f"{name!r} is a {', '.join(kinds)}, which has no masked-language-model head. "
            f"{how_to_get}"
        )
    if not weight_files(folder):
        raise MissingResourceError(f"{folder} holds no weights. {how_to_get}")
    if not any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES):
        raise MissingResourceError(f"{folder} holds no tokenizer. {how_to_get}")
    return folder


def masked_lm_command(name: str = DEFAULT_MASKED_LM) -> str:
    """Return the shell command that downloads a masked language model from the Hub."""
    return (
        f'python -c "from transformers import AutoModelForMaskedLM as M, AutoTokenizer as T; '
        f'M.from_pretrained({name!r}); T.from_pretrained({name!r})"'
    )


def _config(folder: Path | None) -> Any:
    return json.loads(Path(folder or "", "config.json").read_text(encoding="utf-8"))


def _download(name: str) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    AutoModelForMaskedLM.from_pretrained(name)
    AutoTokenizer.from_pretrained(name)


def _load(folder: Path | None) -> Any:
    from transformers import AutoModelForMaskedLM

    with quiet_transformers(warnings=False):
        model, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    missing = sorted(key for key in info["missing_keys"] if not key.endswith(_TIED_WEIGHTS))
    if missing:
        # transformers initializes them at random.
        raise MissingResourceError(
            f"{folder} lacks weights of a masked language model, such as {missing[0]}. Use a model "
            f"saved with its masked-language-model head."
        )
    return model.eval()
