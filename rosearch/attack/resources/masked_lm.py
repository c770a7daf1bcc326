"""Masked language models: which words fit into a place of a text."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from rosearch.attack.resources.model_identity import (
    cached_files,
    digest_of_files,
    digest_of_model,
    model_files,
    weight_files,
)
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.settings import check_whole
from rosearch.attack.text import Words
from rosearch.errors import DataError, MissingResourceError
from rosearch.quiet import quiet_transformers
from rosearch.tokens import (
    collate,
    default_device,
    encode,
    evaluating,
    length_limit,
    position_limit,
    require_padding,
    token_batches,
)

DEFAULT_MASKED_LM = "bert-base-uncased"
"""The model that recipes use where none is named, as in the papers and in TextAttack."""
MASKED_LM_VARIABLE = "ROSEARCH_MASKED_LM"
"""Environment variable that names a model's folder."""
LONGEST = 512
"""Tokens after which texts are cut, as in TextAttack."""

_MARKS = ("##", "\u0120", "\u2581")
_HEADS = ("ForMaskedLM", "ForPreTraining")
_VOCABULARIES = ("tokenizer*", "vocab*", "*.model")
_TIED = ("decoder.weight", "decoder.bias", "position_ids")


class MaskedLM(Oracle):
    """What a masked language model puts in the places of a text.

    There are two kinds of questions. ``("mask", text)``: the ``count`` likeliest words for the
    first mask token of ``text``, answered by ``[[word, probability], ...]``. ``("places", text)``:
    the ids of the ``count`` likeliest tokens at every token of ``text``, special ones included.
    Questions that come together are computed in batches of similar length, on the GPU where there
    is one; the model is loaded at the first question that is not in the cache.

    Words are TextAttack's: pieces from within a word lose their mark ("##ing" is "ing") and are not
    left out; what is no single word is. Byte-level pieces that stand for other than
    ASCII letters are decoded, where TextAttack takes their raw form.

    Args:
        model: A name on the Hugging Face Hub, a folder, or a pair of model and tokenizer. Default:
            the folder named by the environment variable ``ROSEARCH_MASKED_LM``, else
            ``bert-base-uncased``.
        count: How many words, or tokens a place.
        token_budget: Tokens of a batch, padding included; changes speed only. Default: 1024 on a
            CPU, else 16384.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The model is not on this machine and cannot be downloaded, or is no
            masked language model.
        DataError: ``model`` is something else, or a number is no whole one from 1.
    """

    name: ClassVar[str] = "masked-lm"

    def __init__(
        self,
        model: Any = None,
        *,
        count: int = 50,
        token_budget: int | None = None,
        cache: Any = True,
    ) -> None:
        super().__init__(cache=cache)
        self._given: tuple[Any, Any] | None = None
        self._folder: Path | None = None
        if model is None or isinstance(model, (str, os.PathLike)):
            self._folder = find_masked_lm(model)
            self.model = f"files {digest_of_files(self._folder, model_files(self._folder))}"
        elif isinstance(model, tuple) and len(model) == 2:
            self._given = model
            self.model = f"weights {digest_of_model(*model)}"
        else:
            raise DataError(
                f"A masked language model is a name, a folder or a pair (model, tokenizer); got "
                f"{type(model).__name__}."
            )
        self.count = check_whole("count", count)
        self._budget = None if token_budget is None else check_whole("token_budget", token_budget)
        self._loaded: Any = None
        _require_mask(self.tokenizer)

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._tokenizer

    # Settings are the public attributes, so what is computed once has private names.
    @cached_property
    def _tokenizer(self) -> Any:
        if self._given is not None:
            return self._given[1]
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    @cached_property
    def _mark(self) -> tuple[str, bool]:
        """The mark of pieces, and whether it is on those that begin a word.

        WordPiece marks the later ones, byte-level and SentencePiece tokenizers the first.
        """
        found = Counter(
            mark
            for token in self.tokenizer.get_vocab()
            for mark in _MARKS
            if token.startswith(mark)
        )
        mark = found.most_common(1)[0][0] if found else _MARKS[0]
        return mark, mark != _MARKS[0]

    @property
    def max_length(self) -> int:
        """Tokens after which texts are cut."""
        return self._max_length

    @cached_property
    def _max_length(self) -> int:
        if self._given is not None:
            own = position_limit(self._given[0])
        else:
            own = _positions(self._folder, offset=self._mark[1])
        return min(length_limit(self.tokenizer, LONGEST), own or LONGEST)

    def within_word(self, token: str, *, starting: bool) -> bool:
        """Whether a token continues a word; byte-level tokens do not at the start of a text."""
        mark, on_first = self._mark
        if not on_first:
            return mark in token
        return not starting and not token.startswith(mark)

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        rows = encode(self.tokenizer, [text for _, text in questions], max_length=self.max_length)
        lengths = [len(row.ids) for row in rows]
        answers: list[Any] = [[] for _ in questions]
        model = self._model()
        device = next(model.parameters()).device
        budget = self._budget or (1024 if device.type == "cpu" else 16384)
        pad_id = require_padding(self.tokenizer)
        pending = token_batches(lengths, token_budget=budget)[::-1]
        with evaluating(model):
            while pending:
                batch = pending.pop()
                inputs = collate([rows[i] for i in batch], pad_id=pad_id, device=device)
                try:
                    with torch.inference_mode():
                        logits = model(**inputs).logits.float()
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    pending += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
                    continue
                for place, i in enumerate(batch.tolist()):
                    kind, ids = questions[i][0], rows[i].ids
                    if kind == "places":
                        answers[i] = self._places(logits[place, : len(ids)])
                    elif self.tokenizer.mask_token_id in ids:  # else it was cut off
                        at = ids.index(self.tokenizer.mask_token_id)
                        answers[i] = self._words(logits[place, at], starting=at == 1)
        return answers

    def _places(self, logits: torch.Tensor) -> list[list[int]]:
        best: list[list[int]] = logits.topk(min(self.count, logits.shape[-1])).indices.tolist()
        return best

    def _words(self, logits: torch.Tensor, *, starting: bool) -> list[list[Any]]:
        chances = torch.softmax(logits, dim=0)
        found: list[list[Any]] = []
        for chance, token in self._ranked(chances):
            raw = self.tokenizer.convert_ids_to_tokens(token)
            if self.within_word(raw, starting=starting):
                raw = raw.replace(self._mark[0], "")
            if len(Words.of(raw)) == 1:
                found.append([self.plain(raw), float(f"{chance:.7g}")])
                if len(found) == self.count:
                    break
        return found

    def _ranked(self, chances: torch.Tensor) -> Iterator[tuple[float, int]]:
        """Chances and tokens, the likeliest first; a whole vocabulary is only sorted in need."""
        some = min(4 * self.count + 64, len(chances))
        values, ids = chances.topk(some)
        yield from zip(values.tolist(), ids.tolist(), strict=True)
        values, ids = chances.sort(descending=True)
        seen = set(chances.topk(some).indices.tolist())
        for value, token in zip(values.tolist(), ids.tolist(), strict=True):
            if token not in seen:
                yield value, token

    def plain(self, token: str) -> str:
        """A token, or several joined, as they are written in a text."""
        mark, on_first = self._mark
        if not on_first:
            return token
        bare = token.strip(mark)
        if mark == _MARKS[1] and not bare.isascii():
            # Bytes stand for one another in such a vocabulary.
            return str(self.tokenizer.convert_tokens_to_string([bare])).strip()
        return bare

    def _model(self) -> Any:
        if self._loaded is None:
            if self._given is not None:
                self._loaded = self._given[0]
            else:
                self._loaded = _load(str(self._folder)).to(default_device())
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), "_loaded": None}
        if self._folder is not None:
            state.pop("_tokenizer", None)
        return state


def find_masked_lm(model: str | os.PathLike[str] | None = None, *, download: bool = True) -> Path:
    """The folder of a masked language model; downloaded from the Hub where it must be.

    Args:
        model: A folder or a name on the Hub. Default: see :class:`MaskedLM`.
        download: Whether it may be downloaded.

    Raises:
        MissingResourceError: It is not here and cannot be downloaded, is incomplete, or is another
            kind of model.
    """
    name = str(model or os.environ.get(MASKED_LM_VARIABLE) or DEFAULT_MASKED_LM)
    folder = Path(name).expanduser()
    found = folder.resolve() if folder.is_dir() else cached_files(name)
    if found is None:
        if not download:
            raise MissingResourceError(_absent(name))
        found = _downloaded(name)
    try:
        config = json.loads((found / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingResourceError(
            f"{found} holds no model: config.json cannot be read ({error}). {_advice(name)}"
        ) from error
    kinds = config.get("architectures") or []
    if kinds and not any(kind.endswith(_HEADS) for kind in kinds):
        raise MissingResourceError(
            f"{name!r} is a {', '.join(kinds)}, which cannot fill in masks. Expected a model with "
            f"a masked-language-model head. {_advice(name)}"
        )
    if not weight_files(found):
        raise MissingResourceError(f"{found} holds no weights. {_advice(name)}")
    if not any(path for pattern in _VOCABULARIES for path in found.glob(pattern)):
        raise MissingResourceError(f"{found} holds no tokenizer. {_advice(name)}")
    return found


def masked_lm_command(name: str = DEFAULT_MASKED_LM) -> str:
    """What downloads a masked language model from the Hub."""
    return (
        f'python -c "from transformers import AutoModelForMaskedLM as M, AutoTokenizer as T; '
        f'M.from_pretrained({name!r}); T.from_pretrained({name!r})"'
    )


def _advice(name: str) -> str:
    asked = DEFAULT_MASKED_LM if Path(name).expanduser().is_dir() else name
    return (
        f"Get one with: {masked_lm_command(asked)} (where the Hub can be reached), or name a "
        f"folder with masked_lm= or the environment variable {MASKED_LM_VARIABLE}."
    )


def _absent(name: str, besides: str = "") -> str:
    return (
        f"The masked language model {name!r} is neither a folder nor in the Hugging Face "
        f"cache{besides}. {_advice(name)}"
    )


def _positions(folder: Path | None, *, offset: bool) -> int | None:
    """Tokens that the model in a folder can read, without loading it."""
    if folder is None:
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    count = config.get("max_position_embeddings")
    if not isinstance(count, int) or count < 1:
        return None
    # RoBERTa and its relatives count positions from behind the padding token's.
    return count - int(config.get("pad_token_id") or 0) - 1 if offset else count


def _downloaded(name: str) -> Path:
    from transformers import AutoTokenizer

    error: Exception | None = None
    try:
        _load(name)
        AutoTokenizer.from_pretrained(name)
    except MissingResourceError:
        raise
    except Exception as caught:  # noqa: BLE001 - whatever it is, the model is not here
        error = caught
    found = cached_files(name)
    if found is None:
        reason = "it was loaded and not kept" if error is None else type(error).__name__
        raise MissingResourceError(
            _absent(name, f", and cannot be downloaded ({reason})")
        ) from error
    return found


def _load(name_or_folder: str) -> Any:
    from transformers import AutoModelForMaskedLM

    with quiet_transformers(warnings=False):
        model, told = AutoModelForMaskedLM.from_pretrained(name_or_folder, output_loading_info=True)
    missing = sorted(key for key in told["missing_keys"] if not key.endswith(_TIED))
    if missing:
        # transformers fills them with random numbers.
        raise MissingResourceError(
            f"{name_or_folder!r} lacks weights of a masked language model, {missing[0]} for "
            f"one. {_advice(name_or_folder)}"
        )
    return model.eval()


def _require_mask(tokenizer: Any) -> None:
    require_padding(tokenizer)
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"The tokenizer {tokenizer.name_or_path!r} has no mask token. Give the tokenizer that "
            f"the masked language model was trained with."
        )


Method = Literal["bae", "bert-attack"]
"""How replacements are read off a masked language model."""
