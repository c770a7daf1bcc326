"""Part-of-speech taggers: NLTK, flair, HanTa, TextBlob, or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any, ClassVar, Literal

from rosearch.attack.resources.inventory import status
from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.settings import name_of
from rosearch.checks import choice
from rosearch.errors import EvaluationError, MissingResourceError

Backend = Literal["auto", "nltk", "flair", "hanta", "textblob"]
TagSentences = Callable[[list[list[str]]], Sequence[Sequence[str]]]
"""A tagger as a plain function: maps lists of words to lists of tags of the same lengths."""

# Petrov, Das, McDonald 2012: "A Universal Part-of-Speech Tagset", the table for the Penn Treebank.
_UNIVERSAL = {
    tag: universal
    for universal, tags in {
        "ADJ": "JJ JJR JJS",
        "ADP": "IN",
        "ADV": "RB RBR RBS WRB",
        "CONJ": "CC",
        "DET": "DT EX PDT WDT",
        "NOUN": "NN NNP NNPS NNS NP",
        "NUM": "CD",
        "PRON": "PRP PRP$ WP WP$",
        "PRT": "POS RP TO",
        "VERB": "MD VB VBD VBG VBN VBP VBZ",
        ".": "# $ '' ( ) , . : ``",
    }.items()
    for tag in tags.split()
}

# Likewise for the tags of the British National Corpus, by their first two letters where all with
# these are one part of speech.
_BNC = {
    tag: universal
    for universal, tags in {
        "ADJ": "AJ OR",
        "ADP": "CJS CJT IN PRF PRP",
        "ADV": "AV0 AVQ XX",
        "CONJ": "CJC",
        "DET": "AT DT EX",
        "NOUN": "NN NP",
        "NUM": "CR",
        "PRON": "DP PN",
        "PRT": "AVP POS TO",
        "VERB": "VB VD VH VM VV",
        ".": "PU",
    }.items()
    for tag in tags.split()
}


class Tagger(Oracle):
    """The part of speech of a word in its context.

    A question is a tuple of words followed by the position of one of them. The answer is that
    word's tag in the universal tag set, such as ``"NOUN"`` or ``"VERB"``.

    Args:
        backend: ``"nltk"`` (averaged perceptron, TextAttack's default), ``"flair"``
            (``upos-fast``), ``"hanta"`` (Hanover Tagger, a hidden Markov model; its package has the
            model), ``"textblob"`` (lexicon and suffix rules, which read each word by itself, in
            lower case; needs no download either), or a function that maps lists of words to lists
            of tags. ``"auto"`` takes the first of the four that is available.
        key: Names a function in the cache file; change it when the function changes. Without a
            key, the answers of a function are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The tagger is not available; with ``"auto"``, none is.
        ArgumentError: ``backend`` is unknown.
    """

    name: ClassVar[str] = "tagger"

    def __init__(
        self,
        backend: Backend | TagSentences = "auto",
        *,
        key: str | None = None,
        cache: Any = True,
    ) -> None:
        function = backend if callable(backend) else None
        super().__init__(cache=False if function is not None and key is None else cache)
        self._function = function
        self._loaded: TagSentences | None = function
        if callable(backend):
            self.backend, self.release = "function", key or name_of(backend)
        else:
            self.backend = _available(choice("tagger", backend, ("auto", *_BACKENDS)))
            self.release = f"{self.backend} {metadata.version(self.backend)}"
            if self.backend == "textblob":
                self.release += ", lower case"  # other answers than before in the same cache

    def compute(self, questions: Sequence[Any]) -> Sequence[str]:
        if self._loaded is None:
            _, load = _BACKENDS[self.backend]
            self._loaded = load()
        contexts = list(dict.fromkeys(question[:-1] for question in questions))
        tagged = self._loaded([list(context) for context in contexts])
        tags = dict(zip(contexts, tagged, strict=True))
        for words, found in tags.items():
            if len(found) != len(words):
                raise EvaluationError(
                    f"The tagger returned {len(found)} tags for {len(words)} words: {words!r:.200}."
                )
        return [str(tags[question[:-1]][question[-1]]) for question in questions]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loaded": self._function}


def _available(backend: str) -> str:
    """``backend``, or the first available one for ``"auto"``."""
    resources = {resource.name: resource for resource in status()}
    advice = []
    for name, (title, _) in _BACKENDS.items():
        resource = resources[title]
        if backend in ("auto", name):
            if resource.available:
                return name
            advice.append(f"{name!r}: {resource.where}. Get it with: {resource.command}.")
    raise MissingResourceError(
        f"The part-of-speech tagger is not available. {' '.join(advice)} tagger=False disables the "
        f"constraint."
    )


def _nltk() -> TagSentences:
    from nltk.tag import PerceptronTagger

    return _from_penn(PerceptronTagger().tag)


def _textblob() -> TagSentences:
    from textblob.en import parser

    # Its lexicon has few words with capitals, and takes those it lacks for names or nouns.
    return _from_penn(lambda words: parser.find_tags([word.lower() for word in words]))


def _hanta() -> TagSentences:
    from HanTa.HanoverTagger import HanoverTagger

    tagger = HanoverTagger("morphmodel_en.pgz")

    def tag_sentences(sentences: list[list[str]]) -> list[list[str]]:
        # It reads the first character of every word.
        given = [[word or "_" for word in words] for words in sentences]
        return [[_of_bnc(tag) for _, _, tag in tagger.tag_sent(words)] for words in given]

    return tag_sentences


def _from_penn(tag: Callable[[list[str]], Iterable[Any]]) -> TagSentences:
    """A tagger with universal tags from a function to pairs of word and Penn Treebank tag."""

    def tag_sentences(sentences: list[list[str]]) -> list[list[str]]:
        return [[universal(found) for _, found in tag(words)] for words in sentences]

    return tag_sentences


def universal(tag: str) -> str:
    """The universal tag of a Penn Treebank tag; ``"X"`` for unknown ones."""
    return _UNIVERSAL.get(tag.partition("-")[0], "X")


def _flair() -> TagSentences:
    from flair.data import Sentence
    from flair.models import SequenceTagger

    tagger: Any = SequenceTagger.load("upos-fast")

    def tag_sentences(sentences: list[list[str]]) -> list[list[str]]:
        parsed = [Sentence(words) for words in sentences]
        tagger.predict(parsed)
        return [[token.get_label(tagger.label_type).value for token in one] for one in parsed]

    return tag_sentences


def _of_bnc(tag: str) -> str:
    """The universal tag of a tag of the British National Corpus (C5)."""
    return _BNC.get(tag) or _BNC.get(tag[:2], "X")


# Title in the table of resources, and loader; "auto" tries them in this order.
_BACKENDS: dict[str, tuple[str, Callable[[], TagSentences]]] = {
    "nltk": ("part-of-speech tagger: NLTK", _nltk),
    "flair": ("part-of-speech tagger: flair", _flair),
    "hanta": ("part-of-speech tagger: HanTa", _hanta),
    "textblob": ("part-of-speech tagger: TextBlob", _textblob),
}
