"""The resources that attacks need: which are installed, and how to get the others.

Looking takes milliseconds: nothing is imported, downloaded or configured.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rosearch.attack.resources.masked_lm import find_masked_lm, masked_lm_command
from rosearch.attack.resources.sentence_encoders import find_encoder
from rosearch.attack.resources.word_vector_files import holds_vectors
from rosearch.attack.resources.word_vectors import installed_vectors
from rosearch.errors import MissingResourceError
from rosearch.optional import package_folder
from rosearch.wordnet import GET_WORDNET, find_wordnet, nltk_folders

_GET_ENCODER = (
    'pip install "rosearch[encoder]" && python -c "from sentence_transformers import '
    "SentenceTransformer as S; S('all-MiniLM-L6-v2')\""
)
_GET_FLAIR = (
    'pip install flair && python -c "from flair.models import SequenceTagger as S; '
    "S.load('upos-fast')\""
)


@dataclass(frozen=True)
class Resource:
    """A resource that attacks may need."""

    name: str
    used_by: str
    """The attacks or constraints that need it."""
    available: bool
    """Whether it is installed."""
    where: str
    """Its path if it is installed, otherwise what was not found."""
    command: str
    """The command that installs it."""


class ResourceTable(tuple[Resource, ...]):
    """All resources; printed as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        width = max(len(r.name) for r in self)
        indent = " " * (width + 13)
        lines = []
        for r in self:
            state = "installed" if r.available else "not found"
            lines.append(f"{state}  {r.name:{width}}  {r.where}")
            lines.append(f"{indent}used by: {r.used_by}")
            if not r.available:
                lines.append(f"{indent}how to get it: {r.command}")
        return "\n".join(lines)


def status() -> ResourceTable:
    """Return all resources, whether they are installed, and how to get them.

    ``rosearch resources`` prints the same table. A resource that would have to be downloaded is not
    installed.
    """
    return ResourceTable(_look(*entry) for entry in _RESOURCES)


def _look(name: str, used_by: str, find: Callable[[], Path], command: str) -> Resource:
    try:
        place = find()
    except MissingResourceError as error:
        # Errors of the resources' own modules say how to get them; the table has a line for that.
        reason = str(error).split(". Get ", maxsplit=1)[0]
        return Resource(name, used_by, available=False, where=reason, command=command)
    return Resource(name, used_by, available=True, where=str(place), command=command)


def _find_word_vectors() -> Path:
    place = installed_vectors()
    if place is None or not holds_vectors(place):
        raise MissingResourceError(
            "neither ROSEARCH_VECTORS, nor TextAttack's cache, nor vectors made by rosearch"
        )
    return place


def _find_flair_tagger() -> Path:
    _find_package("flair")
    root = Path(os.environ.get("FLAIR_CACHE_ROOT") or "~/.flair").expanduser()
    snapshots = root / "models/upos-english-fast/models--flair--upos-english-fast/snapshots"
    models = sorted(snapshots.glob("*/pytorch_model.bin"))
    if not models:
        raise MissingResourceError("upos-fast is not in flair's cache")
    return models[0]


def _find_nltk_tagger() -> Path:
    _find_package("nltk")
    name = "averaged_perceptron_tagger_eng"
    for folder in nltk_folders():
        parts = ("weights", "tagdict", "classes")
        if all((folder / "taggers" / name / f"{name}.{part}.json").is_file() for part in parts):
            return folder / "taggers" / name
    raise MissingResourceError(f"NLTK has no {name}")


def _find_textattack() -> Path:
    folder, *_ = [_find_package(name) for name in ("textattack", "flair", "greenlet")]
    return folder


def _find_package(name: str) -> Path:
    folder = package_folder(name)
    if folder is None:
        raise MissingResourceError(f"the package {name} is not installed")
    return folder


_RESOURCES: tuple[tuple[str, str, Callable[[], Path], str], ...] = (
    (
        "WordNet",
        "pwws, and every recipe with WordNet synonyms",
        find_wordnet,
        f"{GET_WORDNET} (or: python -m nltk.downloader wordnet)",
    ),
    (
        "word vectors",
        "textfooler, textbugger, genetic",
        _find_word_vectors,
        "python -m rosearch.attack.resources.counterfitting MODEL (name or folder; needs WordNet)",
    ),
    (
        "sentence encoder",
        "the sentence-similarity constraint of textfooler, textbugger, bae, bert-attack, a2t",
        partial(find_encoder, download=False),
        _GET_ENCODER,
    ),
    (
        "part-of-speech tagger: flair",
        "the part-of-speech constraint, as in TextAttack's textfooler",
        _find_flair_tagger,
        _GET_FLAIR,
    ),
    (
        "part-of-speech tagger: NLTK",
        "the part-of-speech constraint",
        _find_nltk_tagger,
        'pip install "nltk>=3.9" && python -m nltk.downloader averaged_perceptron_tagger_eng',
    ),
    (
        "part-of-speech tagger: HanTa",
        "the part-of-speech constraint; needs no download besides the package",
        partial(_find_package, "HanTa"),
        'pip install "rosearch[hanta]"',
    ),
    (
        "part-of-speech tagger: TextBlob",
        "the part-of-speech constraint; needs no download besides the package",
        partial(_find_package, "textblob"),
        'pip install "rosearch[textblob]"',
    ),
    (
        "masked language model",
        "bae, bert-attack",
        partial(find_masked_lm, download=False),
        masked_lm_command(),
    ),
    (
        "TextAttack",
        "rosearch.attack.textattack",
        _find_textattack,
        'pip install "rosearch[textattack]"',
    ),
)
