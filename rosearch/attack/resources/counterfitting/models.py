"""Word vectors from a model's word embeddings and WordNet's relations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rosearch.attack.resources.counterfitting.descent import counterfit
from rosearch.attack.resources.hub_models import load_pretrained
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.errors import DataError
from rosearch.wordnet import WordNet
from rosearch.words import word_spans

_SENSES = 2
# Larger than in the paper, because hardly any two words of a model's embeddings are within 0.2, and
# most related ones within 0.5.
_RADIUS = 0.5


def counterfit_from_model(
    model: Any, tokenizer: Any = None, *, wordnet: str | os.PathLike[str] | None = None
) -> WordVectors:
    """Counter-fit a model's word embeddings to WordNet's synonyms and antonyms.

    Only words that the tokenizer does not split have a vector. It takes about half a minute; write
    the result to a folder with :meth:`WordVectors.save`.

    Args:
        model: A Hugging Face model, or the name or folder of one.
        tokenizer: Default: the tokenizer of the same name or folder, or ``model.tokenizer``.
        wordnet: Folder of WordNet's database; see :func:`rosearch.wordnet.find_wordnet`.

    Raises:
        MissingResourceError: WordNet or the model is missing.
        DataError: The model has no tokenizer, or its tokenizer splits every word.
    """
    relations = WordNet(wordnet)
    start = model_vectors(model, tokenizer)
    synonyms, antonyms = wordnet_pairs(start.words, relations)
    return counterfit(start, synonyms, antonyms, radius=_RADIUS)


def model_vectors(model: Any, tokenizer: Any = None) -> WordVectors:
    """Return a model's input embeddings of the words that its tokenizer does not split.

    Words are in lower case. The mean embedding is subtracted, because it makes all words similar
    (Mu and Viswanath 2018, "All-but-the-Top").

    Args:
        model: A Hugging Face model, or the name or folder of one.
        tokenizer: Default: the tokenizer of the same name or folder, or ``model.tokenizer``.

    Raises:
        MissingResourceError: The model cannot be loaded.
        DataError: There is no tokenizer, or it splits every word.
    """
    if isinstance(model, (str, os.PathLike)):
        from transformers import AutoModel

        model, tokenizer = load_pretrained(AutoModel, str(model), "model", tokenizer)
    if tokenizer is None:
        tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise DataError(f"{type(model).__name__} has no tokenizer attribute; pass tokenizer=.")
    table = model.get_input_embeddings().weight.detach().float().cpu()
    rows = _whole_words(tokenizer, len(table))
    if not rows:
        raise DataError("The tokenizer splits every word. Use word vectors from another source.")
    chosen = table[list(rows.values())]
    return WordVectors(rows, (chosen - chosen.mean(dim=0)).numpy())


def wordnet_pairs(
    words: Sequence[str], wordnet: WordNet
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return WordNet's synonyms and antonyms among ``words``, each pair once, sorted.

    Synonyms share one of the first two senses of both words, in WordNet's order. By a late sense
    "worst" is a synonym of "whip".

    Args:
        words: Words in lower case.
        wordnet: Used for the look-ups.
    """
    known = set(words)

    def pairs(related: Callable[[str], Iterable[str]]) -> list[tuple[str, str]]:
        found = {
            (min(word, other), max(word, other))
            for word in words
            for other in map(str.lower, related(word))
            if other != word and other in known
        }
        return sorted(found)

    def synonyms(word: str) -> list[str]:
        ranks = wordnet.ranked(word, base_forms=False)
        return [name for name, rank in ranks.items() if rank <= _SENSES]

    return pairs(synonyms), pairs(wordnet.antonyms)


def _whole_words(tokenizer: Any, rows: int) -> dict[str, int]:
    """Return the words that are a single token after a space, and the ids of these tokens."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    tokens = sorted(set(vocabulary) - special, key=vocabulary.__getitem__)
    # Byte-level BPE and SentencePiece mark tokens that begin a word, WordPiece ("##") the others.
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
    # Names that occur capitalized only have a vector too.
    return {**cased, **found}
