"""Encodings: texts to canonical texts, word by word, before tokenisation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rosearch.encode.base import EncodedText, Encoding, Evidence, Exchanges, encodings, word_counts
from rosearch.encode.chain import Chain, joined
from rosearch.encode.exchanges import WordNetExchanges
from rosearch.encode.files import (
    ENCODING_FILE,
    fitted,
    fitted_chain,
    from_dict,
    from_json,
    load_encoding,
    save_encoding,
    to_json,
)
from rosearch.encode.frequent_synonyms import FrequentSynonyms
from rosearch.encode.look_alikes import skeleton
from rosearch.encode.spelling import Spelling
from rosearch.encode.stability import WorstCase, reachable, single_typos, worst_case
from rosearch.encode.synonym_encoding import SynonymEncoding
from rosearch.encode.typo_clusters import TypoClusters
from rosearch.encode.word_classes import WordClasses

if TYPE_CHECKING:
    from rosearch.encode.tokenizer import EncodedTokenizer, encoding_of, plain_tokenizer

register = encodings.register
get = encodings.get
names = encodings.names

__all__ = [
    "ENCODING_FILE",
    "Chain",
    "EncodedText",
    "EncodedTokenizer",
    "Encoding",
    "Evidence",
    "Exchanges",
    "FrequentSynonyms",
    "Spelling",
    "SynonymEncoding",
    "TypoClusters",
    "WordClasses",
    "WordNetExchanges",
    "WorstCase",
    "encoding_of",
    "encodings",
    "fitted",
    "fitted_chain",
    "from_dict",
    "from_json",
    "get",
    "joined",
    "load_encoding",
    "names",
    "plain_tokenizer",
    "reachable",
    "register",
    "save_encoding",
    "single_typos",
    "skeleton",
    "to_json",
    "word_counts",
    "worst_case",
]


def __getattr__(name: str) -> Any:
    # Importing transformers takes a second, and encodings need none of it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("rosearch.encode.tokenizer"), name)
