"""Vectors from a model's own word embeddings and WordNet's relations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rosearch.attack.resources import WordNet
from rosearch.attack.resources.counterfitting.descent import counterfit
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.text import word_spans
from rosearch.caching import cache_folder
from rosearch.errors import DataError, MissingResourceError
from rosearch.quiet import quiet_transformers

_VERSION = 1
"""Raised when the result changes, so that cached vectors are made anew."""


def counterfit_from_model(
    model: Any,
    tokenizer: Any = None,
    *,
    wordnet: str | os.PathLike[str] | None = None,
    senses: int | None = 2,
    radius: float = 0.5,
    cache: bool = True,
    progress: bool = True,
    **settings: Any,
) -> WordVectors:
    """Vectors from a model's own word embeddings, counter-fitted with WordNet's pairs.

    Words that the tokenizer keeps whole have an embedding; rarer ones, which it cuts into pieces,
    have none. The result is kept in the cache folder by content, so that the same model and
    WordNet are fitted once.

    Args:
        model: A Hugging Face model, or the name or folder of one.
        tokenizer: Its tokenizer. Default: that of the same name or folder, or ``model.tokenizer``.
        wordnet: Folder of WordNet's database; see
            :func:`rosearch.attack.resources.find_wordnet`.
        senses: See :func:`wordnet_pairs`.
        radius: See :func:`counterfit`. Wider than the paper's, because hardly any two words of a
            model's embeddings are within 0.2, and most that are related within 0.5.
        cache: Whether the result is kept in the cache folder.
        progress: Show a bar if it takes long.
        settings: Other settings of :func:`counterfit`.

    Raises:
        MissingResourceError: WordNet or the model is missing.
        DataError: The model has no tokenizer, or its tokenizer keeps no word whole.
    """
    words = WordNet(wordnet)
    start = model_vectors(model, tokenizer)
    settings["radius"] = radius
    identity = repr([_VERSION, start.digest, words.digest, senses, sorted(settings.items())])
    key = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    folder = cache_folder("vectors", f"counterfitted-{key}", create=False)
    if cache and folder.is_dir():
        return WordVectors.load(folder)
    synonyms, antonyms = wordnet_pairs(start.words, words, senses=senses)
    made = counterfit(start, synonyms, antonyms, progress=progress, **settings)
    return WordVectors.load(made.save(folder)) if cache else made


def model_vectors(model: Any, tokenizer: Any = None) -> WordVectors:
    """A model's input embeddings of all words that its tokenizer keeps whole, in lower case.

    The mean of all embeddings is subtracted: it says nothing about a word, and with it all words
    look alike (Mu and Viswanath 2018, "All-but-the-Top").

    Args:
        model: A Hugging Face model, or the name or folder of one.
        tokenizer: Its tokenizer. Default: that of the same name or folder, or ``model.tokenizer``.

    Raises:
        MissingResourceError: The model cannot be loaded.
        DataError: There is no tokenizer, or it keeps no word whole.
    """
    if isinstance(model, (str, os.PathLike)):
        from transformers import AutoModel, AutoTokenizer

        try:
            with quiet_transformers(warnings=False):
                tokenizer = tokenizer or AutoTokenizer.from_pretrained(str(model))
                model = AutoModel.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise MissingResourceError(
                f"The model {str(model)!r} cannot be loaded: {error}"
            ) from error
    tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise DataError(f"{type(model).__name__} has no tokenizer attribute; give tokenizer=.")
    table = model.get_input_embeddings().weight.detach().float().cpu()
    rows = _whole_words(tokenizer, len(table))
    if not rows:
        raise DataError("The tokenizer keeps no word whole. Use word vectors of another source.")
    chosen = table[list(rows.values())]
    return WordVectors(rows, (chosen - chosen.mean(dim=0)).numpy())


def wordnet_pairs(
    words: Sequence[str], wordnet: WordNet, *, senses: int | None = 2
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """WordNet's synonyms and antonyms among ``words``, each pair once, sorted.

    Args:
        words: Words in lower case.
        wordnet: Where pairs are looked up.
        senses: Synonyms share one of so many most frequent senses of both; ``None``: any sense. In
            rare ones "worst" is a synonym of "whip".
    """
    known = set(words)

    def among(related: Callable[[str], Iterable[str]]) -> list[tuple[str, str]]:
        pairs = {
            (min(word, other), max(word, other))
            for word in words
            for other in map(str.lower, related(word))
            if other != word and other in known
        }
        return sorted(pairs)

    return among(lambda word: wordnet.synonyms(word, senses=senses)), among(wordnet.antonyms)


def _whole_words(tokenizer: Any, rows: int) -> dict[str, int]:
    """Words that are one token when they stand behind a space, and that token's id."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    tokens = sorted(set(vocabulary) - special, key=vocabulary.__getitem__)
    # How tokenizers mark a token that begins a word (byte pairs, sentence pieces), or goes on with
    # one (word pieces).
    mark = next((m for m in ("Ġ", "▁") if any(t.startswith(m) for t in tokens)), "")
    found: dict[str, int] = {}
    cased: dict[str, int] = {}
    for token in tokens:
        if not token.startswith(mark) or token.startswith("##") or vocabulary[token] >= rows:
            continue
        word = tokenizer.convert_tokens_to_string([token]).strip() if mark else token
        if word_spans(word) != [(0, len(word))] or not any(c.isalpha() for c in word):
            continue
        (found if word == word.lower() else cased).setdefault(word.lower(), vocabulary[token])
    # A name that occurs in capitals only has a vector too.
    return {**cased, **found}
