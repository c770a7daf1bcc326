"""A small NLTK data folder, made from WordNet, so that TextAttack and NLTK need no download."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from rosearch.caching import cache_folder, new_folder
from rosearch.errors import MissingResourceError
from rosearch.stop_words import STOP_WORDS
from rosearch.wordnet import GET_WORDNET, WordNet, find_wordnet
from rosearch.wordnet_data import EXCEPTIONS, FILES, has_files, read_file

_LAYOUT = "1"
"""Increased when other files are written than before."""
_OTHERS = ("lexnames", "index.sense", "cntlist.rev", "README", "LICENSE", "citation.bib")


def prepare_nltk() -> Path:
    """Make the NLTK data that TextAttack reads in the cache folder, unless it exists.

    It holds the corpora ``stopwords`` (English), ``wordnet`` (a copy of the database that
    :func:`~rosearch.wordnet.find_wordnet` finds) and ``omw-1.4`` (empty: English only). The folder
    is named by its content and appears in one step, so any number of processes may call this.
    NLTK reads the folder once it is in ``nltk.data.path`` or ``$NLTK_DATA``; this function does not
    configure that.

    Returns:
        The folder, about 30 MB.

    Raises:
        MissingResourceError: WordNet is not found, or found without its own files, or these lack
            ``lexnames``, which NLTK reads.
    """
    return _prepare(find_wordnet())


def prepare_stop_words() -> Path:
    """Make the same data as :func:`prepare_nltk` without WordNet."""
    return _prepare(None)


def _prepare(wordnet: Path | None) -> Path:
    words = "".join(f"{word}\n" for word in sorted(STOP_WORDS))
    content = f"{_LAYOUT}\n{WordNet(wordnet).digest if wordnet else ''}\n{words}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    target = cache_folder("attack") / f"nltk-{digest}"
    if not target.is_dir():
        with new_folder(target) as draft:
            (draft / "corpora" / "stopwords").mkdir(parents=True)
            (draft / "corpora" / "stopwords" / "english").write_text(words, encoding="utf-8")
            if wordnet is not None:
                _copy_wordnet(wordnet, draft / "corpora")
    return target


def _copy_wordnet(wordnet: Path, corpora: Path) -> None:
    if not has_files(wordnet):
        raise MissingResourceError(
            f"{wordnet} is a database of wn, but NLTK reads WordNet's own files. Get them with: "
            f"{GET_WORDNET}, or name a folder with the environment variable ROSEARCH_WORDNET."
        )
    (corpora / "wordnet").mkdir()
    for name in (*FILES, *EXCEPTIONS, *_OTHERS):
        with contextlib.suppress(FileNotFoundError):
            (corpora / "wordnet" / name).write_bytes(read_file(wordnet, name))
    if not (corpora / "wordnet" / "lexnames").exists():
        raise MissingResourceError(
            f"{wordnet} has no file lexnames, which NLTK's reader needs. Name a complete WordNet "
            f"database with the environment variable ROSEARCH_WORDNET."
        )
    (corpora / "omw-1.4" / "eng").mkdir(parents=True)
    for name in ("LICENSE", "README", "citation.bib"):
        (corpora / "omw-1.4" / name).touch()
