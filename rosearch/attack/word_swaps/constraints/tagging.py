"""Parts of speech: a new word must be of the same kind as the old one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any, ClassVar, Literal

from rosearch.attack.resources.inventory import status
from rosearch.attack.resources.oracles import Ask, Asking, Oracle
from rosearch.attack.settings import name_of
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.attack.word_swaps.constraints.vectors import new_words
from rosearch.errors import DataError, EvaluationError, MissingResourceError

Backend = Literal["auto", "nltk", "flair", "textblob"]
TagSentences = Callable[[list[list[str]]], Sequence[Sequence[str]]]
"""A tagger as a plain function: lists of words to as many lists of tags."""

_SHOWN = {"nltk": "NLTK", "flair": "flair", "textblob": "TextBlob"}
_BEFORE, _AFTER = 4, 3

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


class Tagger(Oracle):
    """Tells the part of speech of a word among others.

    A question is a tuple of words and the place of one of them; the answer is that word's tag in
    the universal tag set (``"NOUN"``, ``"VERB"`` and so on).

    Args:
        backend: ``"nltk"`` (averaged perceptron; what TextAttack uses), ``"flair"``
            (``upos-fast``), ``"textblob"`` (a lexicon and rules on endings; needs no download
            besides the package), or a function from lists of words to lists of tags. ``"auto"``:
            the first of the three that is on this machine.
        key: Name of a function for the cache file; change it when the function changes. Without
            one a function's answers are kept in memory only.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: The tagger, or with ``"auto"`` every one, is missing.
        DataError: There is no such tagger.
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
            self.backend = _pick(backend)
            self.release = f"{self.backend} {metadata.version(self.backend)}"

    def compute(self, questions: Sequence[Any]) -> Sequence[str]:
        if self._loaded is None:
            self._loaded = _LOADERS[self.backend]()
        windows = list(dict.fromkeys(question[:-1] for question in questions))
        tagged = list(self._loaded([list(window) for window in windows]))
        by_window = dict(zip(windows, tagged, strict=True))
        for window, tags in by_window.items():
            if len(tags) != len(window):
                raise EvaluationError(
                    f"The tagger gave {len(tags)} tags for {len(window)} words: {window!r:.200}."
                )
        return [str(by_window[question[:-1]][question[-1]]) for question in questions]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loaded": self._function}


class PartOfSpeech(Constraint):
    """A new word is tagged as the original's word in its place is.

    As TextAttack's ``PartOfSpeech``: both are tagged among the four words before and the three
    words after them in the original text.

    Args:
        tagger: A :class:`Tagger`, or what makes one. Default: ``"auto"``.
        allow_verb_noun_swap: Whether a noun may stand for a verb, and a verb for a noun.

    Raises:
        MissingResourceError: The tagger is not on this machine.
    """

    name = "part-of-speech"

    def __init__(self, tagger: Any = None, *, allow_verb_noun_swap: bool = True) -> None:
        self.tagger = tagger if isinstance(tagger, Tagger) else Tagger(tagger or "auto")
        self.allow_verb_noun_swap = allow_verb_noun_swap

    def examine(self, change: Change) -> Asking[Examined]:
        original = change.original.words
        allowed = [True] * len(change.candidates)
        owners: list[int] = []
        questions: list[tuple[str | int, ...]] = []
        for place, candidate in enumerate(change.candidates):
            for index in new_words(change.current, candidate, change.index):
                if index >= len(original):
                    allowed[place] = False
                    break
                before = original[max(index - _BEFORE, 0) : index]
                after = original[index + 1 : index + 1 + _AFTER]
                owners.append(place)
                for word in (original[index], candidate.pieces[2 * index + 1]):
                    window = (*before, word, *after)
                    # The first of its kind, as in TextAttack, which finds the word by its letters.
                    questions.append((*window, window.index(word)))
        tags = yield Ask(self.tagger, questions)
        for place, old, new in zip(owners, tags[::2], tags[1::2], strict=True):
            alike = old == new or (self.allow_verb_noun_swap and {old, new} <= {"NOUN", "VERB"})
            allowed[place] = allowed[place] and alike
        return Examined(allowed)


def universal(tags: Iterable[str]) -> list[str]:
    """Tags of the Penn Treebank in the universal tag set; unknown ones are ``"X"``."""
    return [_UNIVERSAL.get(tag.partition("-")[0], "X") for tag in tags]


def _pick(backend: str) -> str:
    here = {resource.name: resource for resource in status()}
    found = {name: here[f"part-of-speech tagger: {shown}"] for name, shown in _SHOWN.items()}
    if backend in found:
        if found[backend].available:
            return backend
        raise MissingResourceError(
            f"The tagger {backend!r} cannot be used: {found[backend].where}. Get it with: "
            f"{found[backend].command}"
        )
    if backend != "auto":
        raise DataError(
            f"tagger is 'auto', {', '.join(map(repr, _SHOWN))} or a function from lists of words "
            f"to lists of tags; got {backend!r:.80}."
        )
    for name, resource in found.items():
        if resource.available:
            return name
    raise MissingResourceError(
        "No part-of-speech tagger was found. Get the smallest with: pip install "
        "\"rosearch[textblob]\". TextAttack's own is NLTK's: "
        f"{found['nltk'].command}. tagger=False leaves the constraint out."
    )


def _load_nltk() -> TagSentences:
    from nltk.tag import PerceptronTagger

    tagger = PerceptronTagger()

    def tag(sentences: list[list[str]]) -> list[list[str]]:
        return [universal(tag for _, tag in tagger.tag(words)) for words in sentences]

    return tag


def _load_flair() -> TagSentences:
    from flair.data import Sentence
    from flair.models import SequenceTagger

    tagger: Any = SequenceTagger.load("upos-fast")

    def tag(sentences: list[list[str]]) -> list[list[str]]:
        made = [Sentence(words) for words in sentences]
        tagger.predict(made)
        return [[token.get_label(tagger.label_type).value for token in one] for one in made]

    return tag


def _load_textblob() -> TagSentences:
    from textblob.en import parser

    def tag(sentences: list[list[str]]) -> list[list[str]]:
        return [universal(tag for _, tag in parser.find_tags(list(words))) for words in sentences]

    return tag


_LOADERS: dict[str, Callable[[], TagSentences]] = {
    "nltk": _load_nltk,
    "flair": _load_flair,
    "textblob": _load_textblob,
}
