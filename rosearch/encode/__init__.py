"""Encodings: texts to canonical texts, word by word, before tokenisation."""

from rosearch.encode.base import EncodedText, Encoding, Evidence, Exchanges, encodings, word_counts
from rosearch.encode.chain import Chain, joined
from rosearch.encode.files import (
    ENCODING_FILE,
    fitted,
    from_dict,
    from_json,
    load_encoding,
    save_encoding,
    to_json,
)

register = encodings.register
get = encodings.get
names = encodings.names

__all__ = [
    "ENCODING_FILE",
    "Chain",
    "EncodedText",
    "Encoding",
    "Evidence",
    "Exchanges",
    "encodings",
    "fitted",
    "from_dict",
    "from_json",
    "get",
    "joined",
    "load_encoding",
    "names",
    "register",
    "save_encoding",
    "to_json",
    "word_counts",
]
