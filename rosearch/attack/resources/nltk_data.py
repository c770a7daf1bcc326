"""A small NLTK data folder, made here, so that TextAttack and NLTK work without a download."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from rosearch.attack.resources.stop_words import STOP_WORDS
from rosearch.caching import cache_folder, share
from rosearch.errors import MissingResourceError
from rosearch.wordnet import (
    EXCEPTIONS,
    FILES,
    WordNet,
    find_wordnet,
    read_file,
)

_LAYOUT = "1"
"""Raise it when other files are written than before."""
_NEEDED = (*FILES, *EXCEPTIONS, "lexnames")
_USEFUL = ("index.sense", "cntlist.rev", "README", "LICENSE", "citation.bib")


def prepare_nltk(folder: str | os.PathLike[str] | None = None) -> Path:
    """Make the NLTK data that TextAttack reads, unless it is there already.

    It holds the corpora ``stopwords`` (English, rosearch's own list), ``wordnet`` (a copy of what
    :func:`~rosearch.attack.resources.find_wordnet` finds) and ``omw-1.4`` (empty: English only).
    The folder is named by its content and appears all at once, so that any number of processes may
    ask for it. NLTK reads it once it is named in ``nltk.data.path`` or ``$NLTK_DATA``; nothing
    is configured here.

    Args:
        folder: Cache folder to make it in. Default: ``$ROSEARCH_CACHE``, else
            ``~/.cache/rosearch``.

    Returns:
        The folder, about 30 MB.

    Raises:
        MissingResourceError: WordNet is not on this machine, or without the file ``lexnames`` that
            NLTK reads.
    """
    return _prepare(folder, find_wordnet())


def prepare_stop_words(folder: str | os.PathLike[str] | None = None) -> Path:
    """As :func:`prepare_nltk`, without WordNet."""
    return _prepare(folder, None)


def _prepare(folder: str | os.PathLike[str] | None, wordnet: Path | None) -> Path:
    words = "".join(f"{word}\n" for word in sorted(STOP_WORDS))
    content = f"{_LAYOUT}\n{WordNet(wordnet).digest if wordnet else ''}\n{words}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    target = cache_folder("attack", folder=folder) / f"nltk-{digest}"
    if target.is_dir():
        return target
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        _write(draft / "corpora", words, wordnet)
        share(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _write(corpora: Path, stop_words: str, wordnet: Path | None) -> None:
    (corpora / "stopwords").mkdir(parents=True)
    (corpora / "stopwords" / "english").write_text(stop_words, encoding="utf-8")
    if wordnet is None:
        return
    (corpora / "wordnet").mkdir()
    for name in (*_NEEDED, *_USEFUL):
        try:
            data = read_file(wordnet, name)
        except FileNotFoundError as error:
            if name in _NEEDED:
                raise MissingResourceError(
                    f"{wordnet} has no file {name}, which NLTK's reader needs. Name a complete "
                    f"WordNet database with the environment variable ROSEARCH_WORDNET."
                ) from error
            continue
        (corpora / "wordnet" / name).write_bytes(data)
    (corpora / "omw-1.4" / "eng").mkdir(parents=True)
    for name in ("LICENSE", "README", "citation.bib"):
        (corpora / "omw-1.4" / name).touch()
